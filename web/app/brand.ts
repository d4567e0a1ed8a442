import { withAccess } from './api';
import { t } from './strings';

/** Says where the name in the corner leads, and keeps what gives access on the way. */
export function nameBrand(): void {
  const brand = document.querySelector<HTMLAnchorElement>('.brand');
  if (!brand) return;
  brand.setAttribute('aria-label', t('home'));
  brand.href = withAccess('/');
}

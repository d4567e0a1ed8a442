import { copyText, el, icon, setText } from './dom';
import { t } from './strings';

const COPIED_MS = 2_000;

/** The button that hands the address on: to other programs on a phone, to the clipboard elsewhere. */
export function buildShare(url: () => string, title: () => string): HTMLElement {
  const text = el('span', {}, t('share'));
  const button = el('button', { class: 'button', type: 'button', on: { click: () => void share() } }, icon('share'), text);
  async function share(): Promise<void> {
    if (matchMedia('(pointer: coarse)').matches && navigator.share) {
      await navigator.share({ title: title(), url: url() }).catch(() => undefined);
      return;
    }
    if (!(await copyText(url()))) return;
    button.querySelector('svg')!.replaceWith(icon('done'));
    setText(text, t('linkCopied'));
    setTimeout(() => {
      button.querySelector('svg')!.replaceWith(icon('share'));
      setText(text, t('share'));
    }, COPIED_MS);
  }
  return button;
}

import css from './home.css?inline';
import { recordings, withAccess } from './api';
import { el } from './dom';
import { buildRecordingCard } from './recording-card';
import { t } from './strings';

/** Two rows on a large screen. */
const SHOWN = 8;

/** What was recorded of a channel, for the page of one that is not live; nothing where there is nothing. */
export async function channelRecordings(stream: string): Promise<HTMLElement | undefined> {
  const list = (await recordings({ stream, limit: SHOWN }))?.recordings ?? [];
  if (!list.length) return undefined;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return el('section', { class: 'past', label: t('recordings') },
    el('div', { class: 'heading' }, el('h2', {}, t('recordings')), el('a', { class: 'link', href: withAccess(`/recordings?stream=${encodeURIComponent(stream)}`) }, t('allRecordings'))),
    el('ul', { class: 'grid' }, ...list.map((recording) => {
      const card = buildRecordingCard(recording);
      card.update(recording);
      return card.element;
    })));
}

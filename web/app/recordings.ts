import { poll, recordings, Refused, withAccess, type Recording } from './api';
import { nameBrand } from './brand';
import { el, icon, setText } from './dom';
import { buildRecordingCard, channelOf, type RecordingCard } from './recording-card';
import { switchLanguage, t } from './strings';
import { chosenTheme, showTheme, switchTheme } from './theme';

const POLL_MS = 15_000;
/** Who types faster than this is not done. */
const TYPING_MS = 200;
/** A screen of a large monitor, twice. */
const PAGE = 48;

showTheme(chosenTheme());
document.title = `${t('recordings')} · Rushlight`;
const main = document.querySelector('#main')!;
nameBrand();
const stream = new URLSearchParams(location.search).get('stream') ?? undefined;

const input = el('input', { type: 'search', label: t('searchRecordings'), placeholder: t('searchRecordings'), autocomplete: 'off', spellcheck: 'false', on: { input: () => searched() } });
document.querySelector('#search')!.append(el('label', {}, icon('search'), input));
document.querySelector('#side')!.append(
  el('a', { class: 'plain', href: withAccess('/') }, t('liveNow')),
  el('button', { type: 'button', class: 'plain', label: t('theme'), on: { click: switchTheme } }, icon('theme')),
  el('button', { type: 'button', class: 'plain', on: { click: switchLanguage } }, t('language')));
addEventListener('keydown', (event) => {
  if (event.key !== '/' || (event.target as HTMLElement).matches('input')) return;
  event.preventDefault();
  input.focus();
});

const count = el('span');
const heading = el('div', { class: 'heading' },
  el('h1', {}, stream ? t('recordingsOf', { name: channelOf(stream) }) : t('recordings')), count);
const grid = el('ul', { class: 'grid' });
const more = el('button', { class: 'button more', type: 'button', on: { click: () => void older() } }, t('recordingsMore'));
const status = el('p', { class: 'offscreen', role: 'status' });

/** Newest first; undefined before there was an answer. */
let list: Recording[] | undefined;
let next: string | null = null;
let failed: 'network' | 'closed' | undefined;
/** What the list is of; empty is everything. */
let query = '';
let showing = '';
const cards = new Map<string, RecordingCard>();

const message = (title: string, text: string, ...buttons: Node[]) => {
  const flame = document.querySelector('.brand svg')!.cloneNode(true) as SVGElement;
  flame.setAttribute('class', 'flame');
  return el('div', { class: 'message' }, flame, el('h1', {}, title), el('p', {}, text), ...buttons);
};

/** Replaces the page's content only when it is another view, so that the list keeps its place. */
function show(view: string, make: () => Node[]): void {
  if (view === showing) return;
  showing = view;
  main.replaceChildren(status, ...make());
  setText(status, view === 'loading' ? t('recordingsLoading') : '');
}

const blank = () => el('li', {}, el('div', { class: 'card blank' }, el('div', { class: 'picture' }), el('h2'), el('p')));

function render(): void {
  if (!list) {
    if (failed === 'closed') return show('closed', () => [message(t('recordingsClosedTitle'), t('recordingsClosedText'))]);
    if (!failed) return show('loading', () => [heading, el('ul', { class: 'grid', 'aria-hidden': 'true' }, ...Array.from({ length: 8 }, blank))]);
    return show('error', () => [message(t('recordingsErrorTitle'), t('recordingsErrorText'),
      el('button', { class: 'button strong', type: 'button', on: { click: () => location.reload() } }, t('retry')))]);
  }
  more.hidden = next === null;
  if (!list.length && query) {
    return show(`no ${query}`, () => [message(t('noMatchTitle'), t('recordingsNoMatchText', { query }),
      el('button', { class: 'button', type: 'button', on: { click: () => { input.value = ''; searched(); input.focus(); } } }, t('clearSearch')))]);
  }
  if (!list.length) {
    return show('none', () => [message(t('recordingsNoneTitle'), t('recordingsNoneText'),
      el('a', { class: 'button strong', href: withAccess('/') }, t('browseLive')))]);
  }
  show('grid', () => [heading, grid, more]);
  setText(count, next === null ? String(list.length) : '');
  const ids = new Set(list.map((r) => r.id));
  for (const [id, card] of cards) {
    if (ids.has(id)) continue;
    card.remove();
    cards.delete(id);
  }
  list.forEach((recording, at) => {
    let card = cards.get(recording.id);
    if (!card) cards.set(recording.id, (card = buildRecordingCard(recording)));
    card.update(recording);
    // Moving a node that is in place already would drop its focus.
    if (grid.children[at] !== card.element) grid.insertBefore(card.element, grid.children[at] ?? null);
  });
}

const ask = (before?: string) => recordings({
  limit: PAGE, ...(stream ? { stream } : {}), ...(before ? { before } : {}), ...(query ? { q: query } : {}),
});

let typing: ReturnType<typeof setTimeout> | undefined;

/** The server searches: what is on this page is only the newest. */
function searched(): void {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    query = input.value.trim();
    const asked = query;
    const page = await ask().catch(() => undefined);
    // What was typed meanwhile is asked for by itself.
    if (!page || asked !== query) return;
    list = page.recordings;
    next = page.next;
    render();
  }, TYPING_MS);
}

async function older(): Promise<void> {
  if (next === null) return;
  more.disabled = true;
  try {
    const asked = query;
    const page = await ask(next);
    // Another search has a list of its own.
    if (asked !== query) return;
    list = [...(list ?? []), ...(page?.recordings ?? [])];
    next = page?.next ?? null;
    render();
  } catch {
    // The button stays for another try.
  } finally {
    more.disabled = false;
  }
}

render();
poll(POLL_MS, async () => {
  const asked = query;
  try {
    const page = await ask();
    if (asked !== query) return;
    const newest = page?.recordings ?? [];
    // What was shown with "more" stays below what is new.
    const known = new Set(newest.map((r) => r.id));
    const oldest = newest.at(-1)?.id;
    const rest = list && oldest !== undefined ? list.filter((r) => !known.has(r.id) && r.id < oldest) : [];
    if (!rest.length) next = page?.next ?? null;
    list = [...newest, ...rest];
    failed = undefined;
  } catch (error) {
    // A list that was there stays.
    failed = error instanceof Refused && (error.status === 401 || error.status === 403) ? 'closed' : 'network';
    if (!list) render();
    throw error;
  }
  render();
});

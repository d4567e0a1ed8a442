import { channels, poll, withAccess, type Channel } from './api';
import { nameBrand } from './brand';
import { buildCard, type Card } from './card';
import { el, icon, setText } from './dom';
import { buildGuide } from './guide';
import { switchLanguage, t } from './strings';
import { chosenTheme, showTheme, switchTheme } from './theme';

const POLL_MS = 5_000;

showTheme(chosenTheme());
const main = document.querySelector('#main')!;
nameBrand();

const guide = el('dialog', { label: t('howTitle') });
guide.append(el('button', { type: 'button', label: t('close'), on: { click: () => guide.close() } }, icon('close')), buildGuide());
guide.addEventListener('click', (event) => event.target === guide && guide.close());
document.body.append(guide);

const input = el('input', { type: 'search', label: t('search'), placeholder: t('search'), autocomplete: 'off', spellcheck: 'false', on: { input: () => render() } });
document.querySelector('#search')!.append(el('label', {}, icon('search'), input));
const past = el('a', { class: 'plain past-link', label: t('recordings'), href: withAccess('/recordings') },
  icon('film'), el('span', {}, t('recordings')));
document.querySelector('#side')!.append(
  past,
  el('button', { type: 'button', class: 'plain', label: t('theme'), on: { click: switchTheme } }, icon('theme')),
  el('button', { type: 'button', class: 'plain', on: { click: switchLanguage } }, t('language')),
  el('button', { type: 'button', class: 'button strong', on: { click: () => guide.showModal() } }, t('goLive')));
addEventListener('keydown', (event) => {
  if (event.key !== '/' || (event.target as HTMLElement).matches('input')) return;
  event.preventDefault();
  input.focus();
});

const count = el('span');
const heading = el('div', { class: 'heading' }, el('h1', {}, t('liveNow')), count);
const grid = el('ul', { class: 'grid' });
const status = el('p', { class: 'offscreen', role: 'status' });

let list: Channel[] | undefined;
let failed = false;
let showing = '';
const cards = new Map<string, Card>();

const flame = () => {
  const svg = document.querySelector('.brand svg')!.cloneNode(true) as SVGElement;
  svg.setAttribute('class', 'flame');
  return svg;
};

const message = (title: string, text: string, ...more: Node[]) =>
  el('div', { class: 'message' }, flame(), el('h1', {}, title), el('p', {}, text), ...more);

/** Replaces the page's content only when it is another view, so that lists keep their place. */
function show(view: string, make: () => Node[]): void {
  if (view === showing) return;
  showing = view;
  main.replaceChildren(status, ...make());
  setText(status, view === 'loading' ? t('loading') : '');
}

function render(): void {
  if (!list) {
    if (failed) {
      return show('error', () => [message(t('errorTitle'), t('errorText'),
        el('button', { class: 'button strong', type: 'button', on: { click: () => location.reload() } }, t('retry')))]);
    }
    return show('loading', () => [heading, el('ul', { class: 'grid', 'aria-hidden': 'true' }, ...Array.from({ length: 4 }, blank))]);
  }
  if (!list.length) return show('none', () => [message(t('noneTitle'), t('noneText')), buildGuide()]);
  const query = input.value.trim().toLowerCase();
  const found = list.filter((c) => `${c.channel} ${c.title ?? ''}`.toLowerCase().includes(query));
  if (!found.length) {
    return show(`no ${query}`, () => [message(t('noMatchTitle'), t('noMatchText', { query: input.value.trim() }),
      el('button', { class: 'button', type: 'button', on: { click: () => { input.value = ''; render(); input.focus(); } } }, t('clearSearch')))]);
  }
  show('grid', () => [heading, grid]);
  setText(count, String(found.length));
  fill(found);
}

const blank = () => el('li', {}, el('div', { class: 'card blank' }, el('div', { class: 'picture' }), el('h2'), el('p')));

function fill(found: Channel[]): void {
  const names = new Set(found.map((c) => c.name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.remove();
    cards.delete(name);
  }
  found.forEach((channel, at) => {
    let card = cards.get(channel.name);
    if (!card) cards.set(channel.name, (card = buildCard()));
    card.update(channel);
    // Moving a node that is in place already would drop its focus.
    if (grid.children[at] !== card.element) grid.insertBefore(card.element, grid.children[at] ?? null);
  });
}

render();
poll(POLL_MS, async () => {
  try {
    const all = await channels();
    list = all.filter((c) => c.live && c.app === 'live').sort((a, b) => b.viewers - a.viewers || a.name.localeCompare(b.name));
    failed = false;
  } catch (error) {
    // A list that was there stays; one lost answer is no reason to empty the page.
    failed = true;
    if (!list) render();
    throw error;
  }
  render();
});

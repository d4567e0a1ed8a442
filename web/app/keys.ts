import { el, icon } from './dom';
import type { Controls } from './controls';
import type { Places } from './places';
import { tenth } from './scale';
import { t, type Key } from './strings';

const STEP_S = 5;
const LEAP_S = 10;

/** One line of the list that `?` shows. */
type Line = [keys: string, what: Key];

/** What a key does: by `event.key`, in lower case where it is a letter. */
export function actions(places: Places, controls: Controls, more: { stats(): void; list(): void }): Record<string, () => void> {
  const skip = (by: number) => () => places.go(places.at + by);
  const to = (digit: number) => () => {
    const { range } = places;
    if (range) places.go(tenth(range, digit));
  };
  return {
    ' ': controls.togglePlay,
    k: controls.togglePlay,
    f: controls.toggleFullscreen,
    t: controls.toggleTheatre,
    m: controls.toggleSound,
    c: controls.toggleCaptions,
    i: more.stats,
    '?': more.list,
    j: skip(-LEAP_S),
    // Forward does not lead past live, so the key beside J goes all the way there.
    l: places.live ? () => places.goLive() : skip(LEAP_S),
    ArrowLeft: skip(-STEP_S),
    ArrowRight: skip(STEP_S),
    ArrowUp: () => controls.changeVolume(1),
    ArrowDown: () => controls.changeVolume(-1),
    Home: to(0),
    End: places.live ? () => places.goLive() : to(10),
    ...(places.live ? {} : { '<': () => controls.changeRate(-1), '>': () => controls.changeRate(1) }),
    ...Object.fromEntries(Array.from({ length: 10 }, (_, digit) => [String(digit), to(digit)])),
  };
}

const lines = (live: boolean): Line[] => [
  ['Space · K', 'keyPlay'], ['← · →', 'keyStep'], ...(live ? [['J', 'keyBack'], ['L', 'toLive']] : [['J · L', 'keyLeap']]) as Line[],
  ['Home · End', 'keyEnds'], ['0 – 9', 'keyTenths'], ...(live ? [] : [['< · >', 'speed']]) as Line[],
  ['↑ · ↓', 'volume'], ['M', 'keySound'], ['C', 'keyCaptions'], ['F', 'fullscreen'], ['T', 'theatre'], ['I', 'stats'], ['?', 'keys'],
];

/** Keyboard of a player; keys that a focused control uses itself are left to it. */
export function bindKeys(places: Places, controls: Controls, toggleStats: () => void): void {
  const list = el('dialog', { class: 'keys', label: t('keys') });
  list.append(
    el('button', { type: 'button', label: t('close'), on: { click: () => list.close() } }, icon('close')),
    el('h2', {}, t('keys')),
    el('dl', {}, ...lines(places.live).flatMap(([keys, what]) => [el('dt', {}, keys), el('dd', {}, t(what))])));
  list.addEventListener('click', (event) => event.target === list && list.close());
  const table = actions(places, controls, {
    stats: toggleStats,
    // In full screen, only what lies in the stage is seen.
    list: () => {
      (document.fullscreenElement ?? document.body).append(list);
      if (list.open) list.close();
      else list.showModal();
    },
  });
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.matches('input, textarea, select')) return;
    if (event.key === ' ' && target.matches('button, a')) return;
    if (list.open && event.key !== '?') return;
    const action = table[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
    controls.wake();
  });
}

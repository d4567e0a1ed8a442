import { el, setText } from './dom';
import type { Places } from './places';
import { shareOf, timeAt } from './scale';
import { clock, t } from './strings';

export interface SeekBar {
  element: HTMLElement;
  /** The time in words beside the buttons. */
  time: HTMLElement;
  update(): void;
}

/** The bar over what can be played: pointer and finger drag it, keys go through keys.ts. */
export function buildSeekBar(places: Places, bufferedEnd: () => number): SeekBar {
  const ahead = el('i');
  const played = el('i', { class: 'played' });
  const hint = el('output', { hidden: true, 'aria-hidden': 'true' });
  const element = el('div', {
    class: 'seek', role: 'slider', tabindex: 0, label: t(places.live ? 'seekLive' : 'seek'), 'aria-orientation': 'horizontal',
    hidden: true,
  }, el('div', { class: 'track' }, ahead, played), el('b'), hint);
  const time = el('span', { class: 'time' });
  let dragged: number | undefined;

  const under = (event: PointerEvent): number => {
    const box = element.getBoundingClientRect();
    return timeAt(places.range ?? { start: 0, end: 0 }, event.clientX, box.left, box.width);
  };
  const words = (at: number) => (places.live ? (at > -1 ? t('live') : `−${clock(-at * 1000)}`) : clock(at * 1000));

  function show(at: number): void {
    const range = places.range;
    element.hidden = !range;
    if (!range) return setText(time, '');
    const share = shareOf(range, at);
    element.style.setProperty('--at', `${share * 100}%`);
    played.style.width = `${share * 100}%`;
    ahead.style.width = `${shareOf(range, Math.max(at, bufferedEnd())) * 100}%`;
    const of = places.live ? '' : ` / ${clock(range.end * 1000)}`;
    setText(time, places.live && at > -1 ? '' : words(at) + of);
    for (const [name, value] of [['min', range.start], ['max', range.end], ['now', at]] as const) {
      element.setAttribute(`aria-value${name}`, String(Math.round(value)));
    }
    element.setAttribute('aria-valuetext', places.live
      ? (at > -1 ? t('live') : t('behindBy', { time: clock(-at * 1000) })) : t('timeOf', { at: clock(at * 1000), of: clock(range.end * 1000) }));
  }

  function showHint(at: number): void {
    const range = places.range;
    if (!range) return;
    hint.hidden = false;
    hint.style.left = `clamp(28px, ${shareOf(range, at) * 100}%, 100% - 28px)`;
    setText(hint, words(at));
  }

  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    dragged = under(event);
    show(dragged);
    showHint(dragged);
  });
  element.addEventListener('pointermove', (event) => {
    const at = under(event);
    showHint(at);
    if (dragged === undefined) return;
    dragged = at;
    show(at);
  });
  element.addEventListener('pointerup', () => {
    if (dragged !== undefined) places.go(dragged);
    dragged = undefined;
    hint.hidden = true;
  });
  for (const name of ['pointerleave', 'pointercancel']) {
    element.addEventListener(name, () => {
      if (name === 'pointercancel') dragged = undefined;
      if (dragged === undefined) hint.hidden = true;
    });
  }
  return { element, time, update: () => dragged === undefined && show(places.atEdge ? 0 : places.at) };
}

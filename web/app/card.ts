import type { Rung } from '../player/rungs/rules';
import { beginWith } from '../player/rungs/start';
import { paintStill } from '../player/still';
import { withAccess, type Channel } from './api';
import { el, icon, setText } from './dom';
import { clock, compact, t, viewers } from './strings';

/** Pictures are taken anew this often, one keyframe of traffic each, while a card is in view. */
const PICTURE_MS = 20_000;

/** How long a pointer rests on a card before its stream moves: one that passes by starts nothing. */
const REST_MS = 250;

/** A rung for players that know no others. */
const JOIN = 'join';

export interface Card {
  element: HTMLElement;
  update(channel: Channel): void;
  remove(): void;
}

export function buildCard(): Card {
  const canvas = el('canvas', { hidden: true, 'aria-hidden': 'true' });
  const watching = el('span', { 'aria-hidden': 'true' });
  const watchingText = el('span', { class: 'offscreen' });
  const title = el('h2');
  const detail = el('p');
  const link = el('a', { class: 'card' },
    el('div', { class: 'picture' }, canvas, el('div', { class: 'tag' }, icon('eye'), watching, watchingText)), title, detail);
  const element = el('li', {}, link);
  for (const event of ['pointerenter', 'touchstart', 'focus']) {
    link.addEventListener(event, () => prefetch(link.href), { once: true, passive: true });
  }

  let rest: ReturnType<typeof setTimeout> | undefined;
  const move = () => {
    still();
    if (!name || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    rest = setTimeout(() => {
      const moving = el('img', { class: 'moving', alt: '' });
      // A stream of which there is none stands still.
      moving.addEventListener('error', still);
      moving.src = withAccess(`/live/${encodeURIComponent(name)}/preview.webp`);
      canvas.after(moving);
    }, REST_MS);
  };
  const still = () => {
    clearTimeout(rest);
    element.querySelector('.moving')?.remove();
  };
  for (const event of ['mouseenter', 'focus']) link.addEventListener(event, move);
  for (const event of ['mouseleave', 'blur']) link.addEventListener(event, still);

  let visible = false;
  let name = '';
  let sizes: Rung[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const picture = async () => {
    clearTimeout(timer);
    if (!visible || !name) return;
    if (!document.hidden) {
      const stream = `/live/${encodeURIComponent(name)}.flv`;
      const carried = await paintStill(withAccess(stream), canvas);
      if (carried) beginWith(stream, sizes, carried);
    }
    timer = setTimeout(picture, PICTURE_MS);
  };
  const observer = new IntersectionObserver(([entry]) => {
    const before = visible;
    visible = entry?.isIntersecting ?? false;
    if (visible && !before) void picture();
  });
  observer.observe(element);

  return {
    element,
    update(channel) {
      const first = !name;
      name = channel.channel;
      link.href = withAccess(`/watch/${encodeURIComponent(name)}`);
      sizes = sizesOf(channel);
      setText(title, channel.title ?? name);
      setText(watching, compact(channel.viewers));
      setText(watchingText, viewers(channel.viewers));
      const size = channel.video?.height ? ` · ${channel.video.height}p` : '';
      const host = channel.title ? `${name} · ` : '';
      setText(detail, `${host}${t('uptime', { time: clock(Date.now() - Date.parse(channel.startedAt)) })}${size}`);
      if (first) void picture();
    },
    remove() {
      clearTimeout(timer);
      still();
      visible = false;
      observer.disconnect();
      element.remove();
    },
  };
}

/** The stream itself and the smaller versions of it that players choose from. */
function sizesOf({ channel, bitrateBps, video, rungs = [] }: Channel): Rung[] {
  const source = { name: 'source', url: `/live/${encodeURIComponent(channel)}.flv`, bps: bitrateBps, width: video?.width ?? 0, height: video?.height ?? 0 };
  const smaller = rungs.filter(({ name }) => name !== JOIN);
  return [source, ...smaller.map(({ name, width, height, bitrateBps: bps }) => ({ name, url: source.url.replace(/\.flv$/, `~${name}.flv`), bps, width, height }))];
}

/** The watch page holds the whole player, so having it means that only the stream is left to fetch. */
function prefetch(href: string): void {
  document.head.append(el('link', { rel: 'prefetch', as: 'document', href }));
}

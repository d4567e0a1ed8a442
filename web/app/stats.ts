import type { RushlightPlayer } from '../player/element';
import { snapshot, type Snapshot } from '../player/report';
import { el, icon, setText } from './dom';
import { locale, seconds, t, type Key } from './strings';

const REFRESH_MS = 500;
const SMALL_PX = 560;

const ms = (value: number | undefined) => (value === undefined ? '–' : `${Math.round(value)} ms`);

const ROWS: [Key, (s: Snapshot) => string][] = [
  ['statStartup', (s) => ms(s.stages.t5)],
  ['statLatency', (s) => `${seconds(s.latencyMs)} s · ${t('statTarget', { s: seconds(s.targetMs) })}`],
  ['statBuffer', (s) => `${seconds(s.bufferedMs)} s`],
  ['statRate', (s) => `×${s.playbackRate.toFixed(2)}`],
  ['statStalls', (s) => `${s.stalls} · ${seconds(s.stallMs)} s`],
  ['statFrames', (s) => `${s.decodedFrames.toLocaleString(locale)} · ${t('statDropped', { n: s.droppedFrames })}`],
  ['statBitrate', (s) => `${(s.bitrateBps / 1e6).toFixed(2)} Mbit/s`],
  ['statNetwork', (s) => (s.estimateBps ? `${(s.estimateBps / 1e6).toFixed(2)} Mbit/s` : '–')],
  ['statRung', (s) => (s.rung ? `${s.rung} · ${t('statSwitches', { n: s.switches })}` : '–')],
  ['statVideo', (s) => (s.videoCodec ? `${s.width}×${s.height} · ${s.videoCodec}` : '–')],
  ['statAudio', (s) => s.audioCodec || '–'],
  ['statProtocol', (s) => `${s.protocol} · ${s.renderer}`],
];

/** Panel with the start-up stages as a bar and the numbers of the moment. */
export function buildStats(player: RushlightPlayer, stage: HTMLElement) {
  const bar = el('div', { class: 'stages', 'aria-hidden': 'true' });
  const segments = ['t1', 't2', 't3', 't4', 't5'].map(() => bar.appendChild(document.createElement('i')));
  const legend = el('p', { class: 'key' }, t('statStages'));
  const values = ROWS.map(() => el('dd'));
  const list = el('dl', {}, ...ROWS.flatMap(([key], i) => [el('dt', {}, t(key)), values[i]]));
  const element = el('section', { class: 'stats', label: t('stats'), hidden: true },
    el('button', { type: 'button', label: t('close'), on: { click: () => toggle() } }, icon('close')),
    el('h2', {}, t('stats')), bar, legend, list);
  let timer: ReturnType<typeof setInterval> | undefined;

  function refresh(): void {
    const now = snapshot(player);
    let last = 0;
    for (const [i, name] of (['t1', 't2', 't3', 't4', 't5'] as const).entries()) {
      const value = now.stages[name];
      segments[i]!.style.flexGrow = String(Math.max(0, (value ?? last) - last));
      segments[i]!.title = `${name} ${ms(value)}`;
      last = value ?? last;
    }
    ROWS.forEach(([, read], i) => setText(values[i]!, read(now)));
  }

  function toggle(): void {
    element.hidden = !element.hidden;
    clearInterval(timer);
    if (element.hidden) return;
    // On a phone the picture is too small to read numbers on it.
    const small = stage.clientWidth < SMALL_PX && !document.fullscreenElement;
    element.classList.toggle('below', small);
    if (small) stage.after(element);
    else stage.append(element);
    refresh();
    timer = setInterval(refresh, REFRESH_MS);
  }

  return { element, toggle };
}

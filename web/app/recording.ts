import '../player/element';
import type { RushlightPlayer } from '../player/element';
import { HlsPlayback } from '../player/hls';
import { observe } from '../player/report';
import { recording as fetchRecording, Refused, withAccess, type Recording } from './api';
import { nameBrand } from './brand';
import { buildControls } from './controls';
import { el, icon, setText } from './dom';
import { bindKeys } from './keys';
import { buildNotice } from './notice';
import { RecordingPlaces } from './places';
import { begunAt, channelOf, isGrowing } from './recording-card';
import { buildShare } from './share';
import { buildStats } from './stats';
import { clock, locale, t, when } from './strings';
import { chosenTheme, showTheme } from './theme';

const REFRESH_MS = 200;
/** How often a recording that is still made is asked for. */
const POLL_MS = 10_000;
const RETRY_MS = 5_000;

showTheme(chosenTheme());
const player = document.querySelector<RushlightPlayer>('#player')!;
const stage = document.querySelector<HTMLElement>('#stage')!;
const title = document.querySelector('#title')!;
const meta = document.querySelector('#meta')!;
const about = document.querySelector('#about')!;
const id = /^\/recordings\/([^/]+)/.exec(location.pathname)?.[1] ?? '';
nameBrand();
stage.setAttribute('role', 'region');
stage.setAttribute('aria-label', t('player'));

let info: Recording | undefined;
const places = new RecordingPlaces(player);

/** The place that the address names, seconds: `?t=90`. */
const from = Math.max(0, Number(new URLSearchParams(location.search).get('t')) || 0);
const start = (at: number) => player.swap((elements, events) => new HlsPlayback(withAccess(`/recordings/${id}.m3u8`), elements, {
  ...events, t0: performance.now(), kind: 'recording', from: at,
}));

const notice = buildNotice(player, () => {
  const { at } = places;
  player.load();
  start(at);
});
const stats = buildStats(player, stage);
const controls = buildControls(player, stage, places, { toggleStats: stats.toggle });
stage.append(notice.element, controls.chip, controls.element);
bindKeys(places, controls, stats.toggle);

const begun = el('span');
const length = el('span', { class: 'on' });
const channel = el('a', { class: 'link' });
const size = el('span');
meta.append(channel, begun, length, size);
const download = el('a', { class: 'button', href: withAccess(`/recordings/${id}.mp4`), download: `${id}.mp4` }, icon('download'), el('span', {}, t('download')));
const link = () => {
  // Who shares in the middle means the middle.
  const at = Math.floor(places.at);
  return `${location.origin}${location.pathname}${player.engine?.paused && at > 0 ? `?t=${at}` : ''}`;
};
const share = buildShare(link, () => title.textContent ?? '');
document.querySelector('.bar')?.append(el('span', { class: 'grow' }), el('a', { class: 'link', href: withAccess('/recordings') }, t('allRecordings')));

function refresh(): void {
  notice.update(player.state);
  controls.update(player.state);
  if (!info) return;
  const growing = isGrowing(info);
  length.classList.toggle('dot', growing);
  setText(length, growing ? t('recordingNow') : clock(info.durationMs));
  const height = player.engine?.videoConfig?.height;
  const megabytes = (info.bytes / 1e6).toLocaleString(locale, { maximumFractionDigits: 0 });
  setText(size, [height ? `${height}p` : '', `${megabytes} MB`].filter(Boolean).join(' · '));
}

function describe(recording: Recording): void {
  const name = channelOf(recording.stream);
  setText(title, recording.title ?? name);
  document.title = `${recording.title ?? name} · Rushlight`;
  // Without a title, its name is the heading already.
  channel.hidden = !recording.title;
  setText(channel, name);
  channel.href = withAccess(`/recordings?stream=${encodeURIComponent(recording.stream)}`);
  setText(begun, when(recording.startedAt));
}

function gone(): void {
  // What plays already plays on, as far as it was fetched.
  if (info) return;
  setText(title, t('recordingGone'));
  notice.say(t('recordingGone'), t('recordingGoneText'), { href: withAccess('/recordings'), text: t('allRecordings') });
}

function begin(): void {
  const begun = begunAt(id);
  if (!info && begun) setText(title, when(begun));
  start(from);
  player.addEventListener('statechange', () => (player.state === 'ended' ? gone() : refresh()));
  // What can be handed on and downloaded is what plays.
  player.addEventListener('firstpicture', () => about.append(download, share), { once: true });
  setInterval(() => player.state === 'ended' || refresh(), REFRESH_MS);
}

async function load(): Promise<void> {
  let found: Recording | undefined;
  try {
    found = await fetchRecording(id);
  } catch (error) {
    // What it is may be for the operator alone; whether it plays is another question, which its playlist answers.
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return begin();
    notice.say(t('recordingBroken'), t('recordingBrokenText'));
    setTimeout(() => void load(), RETRY_MS);
    return;
  }
  if (!found) return gone();
  const first = !info;
  info = found;
  describe(found);
  if (first) {
    begin();
    observe(player, found.stream);
  }
  if (isGrowing(found)) setTimeout(() => void load(), POLL_MS);
  refresh();
}

void load();

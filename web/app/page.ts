import type { RushlightPlayer } from '../player/element';
import { HlsPlayback, playsNatively } from '../player/hls';
import type { State } from '../player/playback';
import { observe } from '../player/report';
import { mediaSourceClass } from '../player/source';
import { channel as fetchChannel, poll, withAccess, type Channel } from './api';
import { nameBrand } from './brand';
import { buildControls } from './controls';
import { buildStats } from './stats';
import { buildNotice } from './notice';
import { bindKeys } from './keys';
import { el, setText } from './dom';
import { LivePlaces } from './places';
import { depth } from './scale';
import { buildShare } from './share';
import { clock, seconds, t, viewers } from './strings';
import { chosenTheme, showTheme } from './theme';
import { livesByHls } from './way';

const POLL_MS = 5_000;
const REFRESH_MS = 250;
const PLAYS = new Set<State>(['live', 'behind']);

/** Builds title, controls, messages and statistics around a player that is already at work. */
export function buildPage(player: RushlightPlayer): void {
  showTheme(chosenTheme());
  const stage = document.querySelector<HTMLElement>('#stage')!;
  const title = document.querySelector('#title')!;
  const meta = document.querySelector('#meta')!;
  const about = document.querySelector('#about')!;
  const name = decodeName(/^\/watch\/([^/]+)/.exec(location.pathname)?.[1] ?? '');
  const address = `/live/${encodeURIComponent(name)}`;

  let info: Channel | undefined;
  let asked = false;

  const live = el('span', { class: 'dot' });
  const watching = el('span', { 'aria-live': 'off' });
  const detail = el('span');
  meta.append(live, watching, detail);
  setText(title, name);
  nameBrand();
  stage.setAttribute('role', 'region');
  stage.setAttribute('aria-label', t('player'));
  about.append(buildShare(() => location.origin + location.pathname, () => info?.title ?? name));

  /** Whether the live edge is played as HLS from now on. */
  let hls = false;
  const playLive = () => {
    if (!hls) return player.live();
    player.swap((elements, events) => new HlsPlayback(withAccess(`${address}.m3u8`), elements, { ...events, t0: performance.now(), kind: 'live' }));
  };
  const choose = () => {
    const flv = player.engine?.protocol !== 'hls' ? player.state : undefined;
    if (hls || !livesByHls(location.search, flv, { mse: mediaSourceClass() !== undefined, native: playsNatively(player.video) })) return;
    hls = true;
    playLive();
  };
  const places = new LivePlaces(player, withAccess(`${address}/rewind.m3u8`), playLive);
  const retry = () => {
    player.load();
    if (hls) playLive();
  };

  const notice = buildNotice(player, retry);
  const stats = buildStats(player, stage);
  const controls = buildControls(player, stage, places, { toggleStats: stats.toggle });
  stage.append(notice.element, controls.chip, controls.element);
  bindKeys(places, controls, stats.toggle);

  /** The host counts as gone when the server says so, whatever the connection looks like. */
  function shown(state: State): State {
    return state === 'reconnecting' && asked && !info?.live ? 'waiting' : state;
  }

  let past: HTMLElement | undefined;
  let askedForPast = false;
  /** Who comes when nobody is live finds what was. */
  async function showPast(): Promise<void> {
    if (past) past.hidden = info?.live === true;
    if (!asked || info?.live || askedForPast) return;
    askedForPast = true;
    const { channelRecordings } = await import('./channel-recordings');
    past = await channelRecordings(`live/${name}`).catch(() => undefined);
    if (past) about.after(past);
  }

  function refresh(): void {
    const state = shown(player.state);
    const on = state === 'live' || state === 'behind';
    notice.update(state);
    controls.update(state);
    live.classList.toggle('on', state === 'live');
    const latency = player.engine?.latencyMs ?? 0;
    const word: Record<State, string> = {
      starting: t('stateStarting'), live: t('live'), behind: t('live'), paused: t('statePaused'),
      playing: t('statePlaying'), buffering: t('stateBuffering'),
      reconnecting: t('stateReconnecting'), waiting: t('stateWaiting'), ended: t('stateEnded'),
      forbidden: t('stateForbidden'), unsupported: t('stateUnsupported'),
    };
    setText(live, on && latency ? `${word[state]} · ${t(state === 'live' ? 'latency' : 'behindLive', { s: seconds(latency) })}` : word[state]);
    setText(watching, info?.live ? viewers(info.viewers) : '');
    const config = player.engine?.videoConfig;
    const size = config ? `${config.height}p` : '';
    setText(detail, [size, info?.live ? t('uptime', { time: clock(Date.now() - Date.parse(info.startedAt)) }) : ''].filter(Boolean).join(' · '));
  }

  // Who comes near the bar may want to go back: that takes hls.js.
  controls.element.addEventListener('pointerenter', () => {
    if (places.range && !playsNatively(player.video)) void import('../player/hlsjs').catch(() => undefined);
  });

  // Who watches FLV gets smaller rungs where the network is too slow for the stream.
  void import('../player/rungs/ladder').then(({ Ladder }) => {
    const listOf = (stream: string) => withAccess(`/api/v1/channels${stream.replace(/\.flv$/, '')}/las.json`);
    player.ladder = new Ladder(player, listOf, new URLSearchParams(location.search).get('rung') ?? undefined);
  }).catch(() => undefined);

  choose();
  player.addEventListener('statechange', () => {
    choose();
    refresh();
  });
  observe(player, `live/${name}`);
  setInterval(refresh, REFRESH_MS);
  refresh();

  poll(POLL_MS, async () => {
    const told = await fetchChannel(name);
    // Who watches goes on when the address has ended meanwhile; what is known of the stream stays.
    if (told || !PLAYS.has(player.state)) info = told;
    asked = true;
    const text = info?.title ?? name;
    setText(title, text);
    document.title = `${text} · Rushlight`;
    places.depthS = info?.live ? depth(info.rewindS ?? 0, info.uptimeMs / 1000) : 0;
    // No need to wait for the next attempt when the server already has the stream.
    if (info?.live && (player.state === 'waiting' || player.state === 'ended')) places.resume();
    refresh();
    void showPast();
  });
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

import type { RushlightPlayer } from '../player/element';
import type { State } from '../player/engine';
import { channel as fetchChannel, poll, type Channel } from './api';
import { buildControls } from './controls';
import { buildStats } from './stats';
import { buildNotice } from './notice';
import { bindKeys } from './keys';
import { copyText, el, icon, setText } from './dom';
import { clock, seconds, t, viewers } from './strings';
import { chosenTheme, showTheme } from './theme';

const POLL_MS = 5_000;
const REFRESH_MS = 500;

/** Builds title, controls, messages and statistics around a player that is already at work. */
export function buildPage(player: RushlightPlayer): void {
  showTheme(chosenTheme());
  const stage = document.querySelector<HTMLElement>('#stage')!;
  const title = document.querySelector('#title')!;
  const meta = document.querySelector('#meta')!;
  const about = document.querySelector('#about')!;
  const name = decodeName(/^\/watch\/([^/]+)/.exec(location.pathname)?.[1] ?? '');

  let info: Channel | undefined;
  let asked = false;

  const live = el('span', { class: 'dot' });
  const watching = el('span', { 'aria-live': 'off' });
  const detail = el('span');
  meta.append(live, watching, detail);
  setText(title, name);
  document.querySelector('.brand')?.setAttribute('aria-label', t('home'));
  stage.setAttribute('role', 'region');
  stage.setAttribute('aria-label', t('player'));

  const share = el('button', { class: 'button', type: 'button', on: { click: () => void shareLink() } }, icon('share'), el('span', {}, t('share')));
  about.append(share);

  async function shareLink(): Promise<void> {
    const url = location.origin + location.pathname;
    const touch = matchMedia('(pointer: coarse)').matches;
    if (touch && navigator.share) {
      await navigator.share({ title: info?.title ?? name, url }).catch(() => undefined);
      return;
    }
    if (!(await copyText(url))) return;
    const text = share.querySelector('span')!;
    share.querySelector('svg')!.replaceWith(icon('done'));
    setText(text, t('linkCopied'));
    setTimeout(() => {
      share.querySelector('svg')!.replaceWith(icon('share'));
      setText(text, t('share'));
    }, 2_000);
  }

  const notice = buildNotice(player);
  const stats = buildStats(player, stage);
  const controls = buildControls(player, stage, { toggleStats: stats.toggle });
  stage.append(notice.element, controls.chip, controls.element);
  bindKeys(player, controls, stats.toggle);

  /** The host counts as gone when the server says so, whatever the connection looks like. */
  function shown(state: State): State {
    return state === 'reconnecting' && asked && !info?.live ? 'waiting' : state;
  }

  function refresh(): void {
    const state = shown(player.state);
    const on = state === 'live' || state === 'behind';
    notice.update(state);
    controls.update(state);
    live.classList.toggle('on', on);
    const latency = player.engine?.latencyMs ?? 0;
    const word: Record<State, string> = {
      starting: t('stateStarting'), live: t('live'), behind: t('live'), paused: t('statePaused'),
      reconnecting: t('stateReconnecting'), waiting: t('stateWaiting'), ended: t('stateEnded'),
      forbidden: t('stateForbidden'), unsupported: t('stateUnsupported'),
    };
    setText(live, on && latency ? `${word[state]} · ${t(state === 'live' ? 'latency' : 'behindLive', { s: seconds(latency) })}` : word[state]);
    setText(watching, info?.live ? viewers(info.viewers) : '');
    const config = player.engine?.videoConfig;
    const size = config ? `${config.height}p` : '';
    setText(detail, [size, info?.live ? t('uptime', { time: clock(Date.now() - Date.parse(info.startedAt)) }) : ''].filter(Boolean).join(' · '));
  }

  player.addEventListener('statechange', refresh);
  setInterval(refresh, REFRESH_MS);
  refresh();

  poll(POLL_MS, async () => {
    info = await fetchChannel(name);
    asked = true;
    const text = info?.title ?? name;
    setText(title, text);
    document.title = `${text} · Rushlight`;
    // No need to wait for the next attempt when the server already has the stream.
    if (info?.live && (player.state === 'waiting' || player.state === 'ended')) player.engine?.retryNow();
    refresh();
  });
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

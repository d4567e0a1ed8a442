import css from './controls.css?inline';
import type { RushlightPlayer } from '../player/element';
import type { State } from '../player/playback';
import { el, icon, setText, type Icon } from './dom';
import type { Places } from './places';
import { buildQuality } from './quality';
import { buildSeekBar } from './seekbar';
import { seconds, t } from './strings';

const IDLE_MS = 2_600;
const VOLUME_STEP = 0.1;
/** Behind live in words: from a minute on nobody counts tenths. */
const TENTHS_MS = 60_000;
const RATES = [0.5, 0.75, 1, 1.25, 1.5, 2];

const PICTURE = new Set<State>(['live', 'behind', 'playing', 'paused', 'buffering', 'reconnecting']);
/** While these last, the controls recede. */
const PLAYING = new Set<State>(['live', 'behind', 'playing', 'buffering']);

type OldVideo = HTMLVideoElement & { webkitEnterFullscreen?(): void };

export interface Controls {
  element: HTMLElement;
  /** The one tap that turns sound on. */
  chip: HTMLElement;
  update(state: State): void;
  wake(): void;
  togglePlay(): void;
  toggleSound(): void;
  toggleFullscreen(): void;
  toggleTheatre(): void;
  changeVolume(steps: number): void;
  /** Shows or hides captions, where the stream has any. */
  toggleCaptions(): void;
  /** To the next rate up or down; of recordings. */
  changeRate(steps: number): void;
}

export function buildControls(
  player: RushlightPlayer, stage: HTMLElement, places: Places, options: { toggleStats(): void },
): Controls {
  // A <link> would hold up the player's script until it had arrived.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];

  const button = (name: Icon, label: string, click: () => void, extra = '') =>
    el('button', { type: 'button', label, class: extra, on: { click } }, icon(name));
  const change = (node: HTMLElement, name: Icon, label: string) => {
    if (node.dataset.icon === name) return;
    node.dataset.icon = name;
    node.querySelector('svg')?.replaceWith(icon(name));
    node.setAttribute('aria-label', label);
    node.title = label;
  };

  const togglePlay = () => (player.engine?.paused ? places.play() : places.pause());
  // Media keys and the window of picture-in-picture: what they do to the <video> itself, the player would undo.
  navigator.mediaSession?.setActionHandler('pause', () => places.pause());
  navigator.mediaSession?.setActionHandler('play', () => places.play());
  const toggleSound = () => {
    const { video } = player;
    const silent = video.muted || video.volume === 0;
    player.setSound(silent, silent && video.volume === 0 ? 0.5 : video.volume);
    refreshSound();
  };
  const changeVolume = (steps: number) => {
    const volume = (player.video.muted ? 0 : player.video.volume) + steps * VOLUME_STEP;
    player.setSound(volume > 0.001, volume);
    refreshSound();
  };
  const toggleFullscreen = () => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else if (stage.requestFullscreen) void stage.requestFullscreen().catch(() => undefined);
    else (player.video as OldVideo).webkitEnterFullscreen?.();
  };
  const toggleTheatre = () => {
    document.body.classList.toggle('theatre');
    scrollTo(0, 0);
  };
  const togglePip = () => {
    if (document.pictureInPictureElement) void document.exitPictureInPicture();
    else void player.video.requestPictureInPicture().catch(() => undefined);
  };

  const toggleCaptions = () => {
    for (const track of player.video.textTracks) {
      if (track.kind !== 'captions' && track.kind !== 'subtitles') continue;
      track.mode = track.mode === 'showing' ? 'hidden' : 'showing';
      return;
    }
  };
  const setRate = (value: number) => {
    player.video.playbackRate = value;
    rate.value = String(value);
  };
  const changeRate = (steps: number) => {
    if (places.live) return;
    const next = RATES.indexOf(player.video.playbackRate) + steps;
    if (RATES[next]) setRate(RATES[next]);
  };

  const play = button('pause', t('pause'), togglePlay);
  const sound = button('muted', t('unmute'), toggleSound);
  const volume = el('input', {
    type: 'range', min: 0, max: 1, step: 0.05, label: t('volume'),
    on: { input: () => player.setSound(volume.valueAsNumber > 0, volume.valueAsNumber) },
  });
  const edgeText = el('span', {}, t('live'));
  const edge = el('button', { type: 'button', class: 'edge dot', hidden: !places.live, on: { click: () => places.goLive() } }, edgeText);
  const rate = el('select', { class: 'rate', label: t('speed'), hidden: places.live, on: { change: () => setRate(Number(rate.value)) } },
    ...RATES.map((value) => el('option', { value, selected: value === 1 }, `${value}×`)));
  const quality = buildQuality(player);
  const seek = buildSeekBar(places, () => places.at + (player.engine?.bufferedMs ?? 0) / 1000);
  const pip = button('pip', t('pip'), togglePip, 'pip-button');
  pip.hidden = !document.pictureInPictureEnabled;
  const full = button('full', t('fullscreen'), toggleFullscreen);
  const element = el('div', { class: 'controls', role: 'group', label: t('controls'), hidden: true }, seek.element,
    el('div', { class: 'row' },
      play, sound, volume, edge, seek.time, el('span', { class: 'grow' }), rate, quality.element,
      button('stats', t('stats'), options.toggleStats, 'stats-button'), pip,
      button('theatre', t('theatre'), toggleTheatre, 'theatre-button'), full));
  const chip = el('button', { type: 'button', class: 'sound', hidden: true, on: { click: toggleSound } }, icon('muted'), t('tapForSound'));

  document.addEventListener('fullscreenchange', () =>
    document.fullscreenElement ? change(full, 'exit', t('exitFullscreen')) : change(full, 'full', t('fullscreen')));

  function refreshSound(): void {
    const { video } = player;
    const silent = video.muted || video.volume === 0;
    change(sound, silent ? 'muted' : 'sound', silent ? t('unmute') : t('mute'));
    volume.valueAsNumber = silent ? 0 : video.volume;
    chip.hidden = !video.muted || !player.engine?.audioConfig || !PLAYING.has(player.state);
  }

  let idle: ReturnType<typeof setTimeout> | undefined;
  const wake = () => {
    stage.classList.remove('idle');
    clearTimeout(idle);
    idle = setTimeout(() => {
      if (PLAYING.has(player.state)) stage.classList.add('idle');
    }, IDLE_MS);
  };
  for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
  stage.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse' && PLAYING.has(player.state)) stage.classList.add('idle');
  });
  // With a mouse, a click on the picture pauses; with a finger it only shows the controls.
  player.addEventListener('click', (event) => {
    if ((event as PointerEvent).pointerType === 'mouse') togglePlay();
  });
  player.addEventListener('dblclick', toggleFullscreen);
  wake();

  return {
    element, chip, wake, togglePlay, toggleSound, toggleFullscreen, toggleTheatre, changeVolume, toggleCaptions, changeRate,
    update(state) {
      const paused = player.engine?.paused ?? false;
      change(play, paused ? 'play' : 'pause', paused ? t('play') : t('pause'));
      refreshSound();
      // Without a picture there is nothing to control, unless one can go back to where there is one.
      element.hidden = !PICTURE.has(state) && !(places.range && state === 'starting');
      const latency = player.engine?.latencyMs ?? 0;
      const on = state === 'live';
      edge.classList.toggle('on', on);
      stage.classList.toggle('seekable', places.range !== undefined);
      const behind = places.range || latency >= TENTHS_MS ? t('backToLive') : t('behindLive', { s: seconds(latency) });
      setText(edgeText, on || !latency ? t('live') : behind);
      edge.title = on ? t('live') : t('toLive');
      edge.setAttribute('aria-label', on ? t('live') : `${t('toLive')}: ${edgeText.textContent ?? ''}`);
      seek.update();
      quality.update();
      if (paused) stage.classList.remove('idle');
    },
  };
}

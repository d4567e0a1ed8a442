import css from './controls.css?inline';
import type { RushlightPlayer } from '../player/element';
import type { State } from '../player/engine';
import { el, icon, setText, type Icon } from './dom';
import { seconds, t } from './strings';

const IDLE_MS = 2_600;
const VOLUME_STEP = 0.1;
const SKIP_S = 5;

const PICTURE = new Set<State>(['live', 'behind', 'paused', 'reconnecting']);

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
  skip(steps: number): void;
}

export function buildControls(
  player: RushlightPlayer, stage: HTMLElement, options: { toggleStats(): void },
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

  const togglePlay = () => (player.engine?.paused ? player.engine.play() : player.engine?.pause());
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

  const play = button('pause', t('pause'), togglePlay);
  const sound = button('muted', t('unmute'), toggleSound);
  const volume = el('input', {
    type: 'range', min: 0, max: 1, step: 0.05, label: t('volume'),
    on: { input: () => player.setSound(volume.valueAsNumber > 0, volume.valueAsNumber) },
  });
  const edgeText = el('span', {}, t('live'));
  const edge = el('button', { type: 'button', class: 'edge dot', label: t('toLive'), on: { click: () => player.engine?.goLive() } }, edgeText);
  const pip = button('pip', t('pip'), togglePip);
  pip.hidden = !document.pictureInPictureEnabled;
  const full = button('full', t('fullscreen'), toggleFullscreen);
  const element = el('div', { class: 'controls', role: 'group' },
    play, sound, volume, edge, el('span', { class: 'grow' }),
    button('stats', t('stats'), options.toggleStats), pip,
    button('theatre', t('theatre'), toggleTheatre, 'theatre-button'), full);
  const chip = el('button', { type: 'button', class: 'sound', hidden: true, on: { click: toggleSound } }, icon('muted'), t('tapForSound'));

  document.addEventListener('fullscreenchange', () =>
    document.fullscreenElement ? change(full, 'exit', t('exitFullscreen')) : change(full, 'full', t('fullscreen')));

  function refreshSound(): void {
    const { video } = player;
    const silent = video.muted || video.volume === 0;
    change(sound, silent ? 'muted' : 'sound', silent ? t('unmute') : t('mute'));
    volume.valueAsNumber = silent ? 0 : video.volume;
    chip.hidden = !video.muted || !player.engine?.audioConfig || !(player.state === 'live' || player.state === 'behind');
  }

  let idle: ReturnType<typeof setTimeout> | undefined;
  const wake = () => {
    stage.classList.remove('idle');
    clearTimeout(idle);
    idle = setTimeout(() => {
      if (player.state === 'live' || player.state === 'behind') stage.classList.add('idle');
    }, IDLE_MS);
  };
  for (const event of ['pointermove', 'pointerdown', 'focusin']) stage.addEventListener(event, wake);
  stage.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse' && player.state === 'live') stage.classList.add('idle');
  });
  // With a mouse, a click on the picture pauses; with a finger it only shows the controls.
  player.addEventListener('click', (event) => {
    if ((event as PointerEvent).pointerType === 'mouse') togglePlay();
  });
  player.addEventListener('dblclick', toggleFullscreen);
  wake();

  return {
    element, chip, wake, togglePlay, toggleSound, toggleFullscreen, toggleTheatre, changeVolume,
    skip: (steps) => player.engine?.skip(steps * SKIP_S),
    update(state) {
      const paused = player.engine?.paused ?? false;
      change(play, paused ? 'play' : 'pause', paused ? t('play') : t('pause'));
      refreshSound();
      // Without a picture there is nothing to control.
      element.hidden = !PICTURE.has(state);
      const latency = player.engine?.latencyMs ?? 0;
      const on = state === 'live';
      edge.classList.toggle('on', on);
      setText(edgeText, on || !latency ? t('live') : t('behindLive', { s: seconds(latency) }));
      if (paused) stage.classList.remove('idle');
    },
  };
}

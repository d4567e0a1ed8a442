import { Engine, type State } from './engine';
import { streamUrl, type Early } from './early';
import { Telemetry, type Report, type Stages } from './telemetry';
import type { Protocol } from './transport';

/** Everything the statistics overlay and the tests want to know, at one moment. */
export interface Snapshot {
  state: State;
  reason: string;
  stages: Stages;
  renderer: string;
  protocol: Protocol;
  framesPresented: number;
  currentTime: number;
  latencyMs: number;
  targetMs: number;
  bufferedMs: number;
  playbackRate: number;
  stalls: number;
  stallMs: number;
  droppedFrames: number;
  decodedFrames: number;
  /** Bytes of sound decoded so far, where the browser tells; otherwise undefined. */
  audioDecodedBytes: number | undefined;
  bitrateBps: number;
  videoCodec: string;
  audioCodec: string;
  width: number;
  height: number;
  muted: boolean;
}

declare global {
  interface Window {
    /** For tests and support: a fresh snapshot of the first player at every read. */
    readonly __rushlight?: Snapshot;
  }
  interface HTMLElementTagNameMap {
    'rushlight-player': RushlightPlayer;
  }
}

const FILL = 'position:absolute;inset:0;width:100%;height:100%;object-fit:contain';

const SOUND = 'rushlight.sound';

/** Moment the person asked for the page: the start of its navigation. */
const NAVIGATION_T0 = 0;

/**
 * `<rushlight-player src="/live/CHANNEL.flv">`. Without `src` it plays what the
 * address of the page names. Dispatches `statechange` and `firstpicture`.
 */
export class RushlightPlayer extends HTMLElement {
  video: HTMLVideoElement = document.createElement('video');
  engine: Engine | undefined;
  private readonly canvas = document.createElement('canvas');
  private telemetry: Telemetry | undefined;
  private readonly leave = () => this.telemetry?.end();
  private readonly back = (event: PageTransitionEvent) => {
    // Out of the back-forward cache: the connection died there.
    if (event.persisted) this.load();
  };

  connectedCallback(): void {
    addEventListener('pagehide', this.leave);
    addEventListener('pageshow', this.back);
    this.load(window.__rushlightEarly);
    window.__rushlightEarly = undefined;
  }

  disconnectedCallback(): void {
    removeEventListener('pagehide', this.leave);
    removeEventListener('pageshow', this.back);
    this.unload();
  }

  get state(): State {
    return this.engine?.state ?? 'starting';
  }

  /** What this viewer chose, on this or an earlier page. */
  private get sound(): { on: boolean; volume: number } {
    try {
      return { on: false, volume: 1, ...(JSON.parse(localStorage.getItem(SOUND) ?? '{}') as object) };
    } catch {
      return { on: false, volume: 1 }; // Storage may be off limits, or hold anything.
    }
  }

  setSound(on: boolean, volume = this.video.volume): void {
    this.video.muted = !on;
    this.video.volume = Math.min(1, Math.max(0, volume));
    try {
      localStorage.setItem(SOUND, JSON.stringify({ on, volume: this.video.volume }));
    } catch {
      // Then the choice lasts as long as the page.
    }
  }

  /** Starts from scratch, with the request the page has already sent if there is one. */
  load(early?: Early): void {
    this.unload();
    const src = this.getAttribute('src') ?? streamUrl(location);
    if (!src) return;
    const mine = early?.url === src ? early : undefined;
    early?.url !== src && early?.abort.abort();
    this.video = mine?.video ?? document.createElement('video');
    this.video.playsInline = true;
    // Where sound is not allowed without a gesture, the engine begins without it.
    this.video.muted = !this.sound.on;
    this.video.volume = this.sound.volume;
    this.video.style.cssText = this.canvas.style.cssText = FILL;
    this.canvas.hidden = true;
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    root.replaceChildren(this.video, this.canvas);
    const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
    this.engine = new Engine(src, { video: this.video, canvas: this.canvas }, {
      t0: mine ? NAVIGATION_T0 : performance.now(),
      t1: mine && entry ? entry.connectEnd : 0,
      early: mine,
      changed: () => this.dispatchEvent(new Event('statechange')),
      firstPicture: () => {
        this.telemetry?.start();
        this.dispatchEvent(new Event('firstpicture'));
      },
    });
    const stream = decodeURIComponent(src.replace(/^.*?([^/]+\/[^/]+)\.flv.*$/, '$1'));
    this.telemetry = new Telemetry(stream, () => this.report());
    if (!window.__rushlight) {
      Object.defineProperty(window, '__rushlight', { get: () => this.snapshot(), configurable: true });
    }
    this.dispatchEvent(new Event('statechange'));
  }

  snapshot(): Snapshot {
    const { engine, video } = this;
    const quality = video.getVideoPlaybackQuality?.();
    const config = engine?.videoConfig;
    return {
      state: this.state,
      reason: engine?.reason ?? '',
      stages: { ...engine?.stages },
      renderer: engine?.renderer ?? 'mse',
      protocol: engine?.protocol ?? 'http-flv',
      framesPresented: engine?.framesPresented ?? 0,
      currentTime: video.currentTime,
      latencyMs: engine?.latencyMs ?? 0,
      targetMs: engine?.targetMs ?? 0,
      bufferedMs: engine?.bufferedMs ?? 0,
      playbackRate: video.playbackRate,
      stalls: engine?.progress.stalls ?? 0,
      stallMs: engine?.progress.stallMs ?? 0,
      droppedFrames: quality?.droppedVideoFrames ?? 0,
      decodedFrames: quality?.totalVideoFrames ?? 0,
      audioDecodedBytes: (video as { webkitAudioDecodedByteCount?: number }).webkitAudioDecodedByteCount,
      bitrateBps: engine?.bitrateBps ?? 0,
      videoCodec: config?.mime ?? '',
      audioCodec: engine?.audioConfig?.mime ?? '',
      width: config?.width ?? 0,
      height: config?.height ?? 0,
      muted: video.muted,
    };
  }

  private report(): Report {
    const { stages, protocol, latencyMs, ...s } = this.snapshot();
    return {
      stages, protocol, latencyMs,
      renderer: this.engine?.renderer ?? 'mse',
      counts: {
        stalls: s.stalls, stallMs: s.stallMs, watchedMs: this.engine?.watchedMs ?? 0,
        droppedFrames: s.droppedFrames, decodedFrames: s.decodedFrames,
      },
    };
  }

  private unload(): void {
    this.telemetry?.end();
    this.engine?.destroy();
    this.engine = undefined;
  }
}

if (!customElements.get('rushlight-player')) customElements.define('rushlight-player', RushlightPlayer);

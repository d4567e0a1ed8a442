import { Backoff } from './backoff';
import { nativeSource } from './native';
import type { Elements, Events, Playback, Renderer, Stages, State } from './playback';
import { Progress } from './progress';
import { mediaSourceClass } from './source';

// Plays HLS: live where FLV cannot, the past of a live stream, and recordings.
// Who fetches and appends is hls.js (hlsjs.ts, loaded when needed) or the
// browser itself (native.ts).

/** What is played: a live stream at its edge, its past, or something with a beginning and an end. */
export type HlsKind = 'live' | 'rewind' | 'recording';

export interface HlsOptions extends Events {
  /** When the person asked for it, on the `performance.now()` clock. */
  t0: number;
  kind: HlsKind;
  /** Seconds at which to begin: behind live, or after the beginning of a recording. */
  from?: number | undefined;
  /** Shows its first picture and waits there. */
  paused?: boolean;
}

export type Failure =
  | { why: 'status'; status: number }
  | { why: 'network' }
  /** The browser cannot play it; `reason` says what. */
  | { why: 'unsupported'; reason: string };

/** What fetches playlists and segments for a <video>. Seconds are those of its clock. */
export interface HlsSource {
  /** The live edge at this moment, or the end of a recording. Undefined before a playlist is there. */
  readonly edge: number | undefined;
  /** The earliest moment that can be played. */
  readonly start: number;
  /** The distance from the live edge at which a player is at ease. */
  readonly target: number;
  readonly videoConfig: Playback['videoConfig'];
  readonly audioConfig: Playback['audioConfig'];
  readonly bitrateBps: number;
  /** Changes where playback begins, before there is a playlist. */
  begin(from: number): void;
  /** Goes on after a failure. */
  reload(): void;
  destroy(): void;
}

export interface HlsRequest {
  url: string;
  kind: HlsKind;
  from: number | undefined;
  /** The first playlist is here. */
  listed(): void;
  /** The first segment or part is here. */
  fetched(): void;
  /** It is up to `reload` to go on. */
  failed(failure: Failure): void;
}

export type MakeSource = (video: HTMLVideoElement, request: HlsRequest) => HlsSource;

const TICK_MS = 200;
/** Standing still becomes a state of its own after this long; less is a hiccup. */
const STILL_MS = 1_200;
/** Further than this behind its target, a live stream is not at its edge. */
const BEHIND_S = 4;
/** Who follows a live stream and comes to be that far behind its target, because the machine stood, is brought back to it. */
const LEFT_BEHIND_S = 10;
/** A host who is gone for longer than this has ended the stream. */
const ENDED_AFTER_MS = 45_000;
const HAVE_METADATA = 1;

/** Whether this browser plays HLS with its own means only: it lacks media sources, as older iPhones do. */
export function playsNatively(video: HTMLVideoElement): boolean {
  return !mediaSourceClass() && video.canPlayType('application/vnd.apple.mpegurl') !== '';
}

/** Plays one HLS playlist on one <video>. */
export class HlsPlayback implements Playback {
  readonly stages: Stages = {};
  readonly protocol = 'hls';
  readonly renderer: Renderer;
  readonly progress = new Progress();
  state: State = 'starting';
  reason = '';
  framesPresented = 0;
  watchedMs = 0;

  private readonly video: HTMLVideoElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly abort = new AbortController();
  private readonly retry = new Backoff(500, 8_000);
  private readonly ticker: ReturnType<typeof setInterval>;
  private source: HlsSource | undefined;
  private from: number | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private down: 'reconnecting' | 'waiting' | 'ended' | undefined;
  private lostAt: number | undefined;
  private presented = false;
  private wantsPlay: boolean;
  /** Another place was asked for before there was a picture. */
  private moved = false;
  /** Nobody has chosen another place than live. */
  private follows: boolean;
  private lastTick = performance.now();

  constructor(private readonly url: string, elements: Elements, private readonly options: HlsOptions) {
    this.video = elements.video;
    this.canvas = elements.canvas;
    this.from = options.from;
    this.wantsPlay = !options.paused;
    this.follows = options.kind === 'live';
    const { signal } = this.abort;
    const on = (name: string, run: () => void) => this.video.addEventListener(name, run, { signal });
    on('waiting', () => {
      if (this.presented && this.wantsPlay && !this.video.seeking) this.progress.stallBegins(performance.now());
    });
    on('playing', () => this.progress.stallEnds(performance.now()));
    on('seeking', () => this.progress.stallExcused());
    on('ended', () => this.over());
    on('loadeddata', () => {
      if (!this.video.requestVideoFrameCallback || !this.video.videoWidth) requestAnimationFrame(() => this.pictureShown());
    });
    addEventListener('online', () => this.lostAt !== undefined && this.retryNow(), { signal });
    // What is there is not what was asked for; its picture is held until that comes.
    this.video.pause();
    this.watchFrames();
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.stages.t2 = performance.now() - options.t0;
    const native = playsNatively(this.video);
    this.renderer = native ? 'native' : 'mse';
    void this.open(native ? Promise.resolve(nativeSource) : import('./hlsjs').then(({ hlsJsSource }) => hlsJsSource));
  }

  // ---- what a page asks for -------------------------------------------------

  get kind(): HlsKind {
    return this.options.kind;
  }

  get paused(): boolean {
    return !this.wantsPlay;
  }

  play(): void {
    this.wantsPlay = true;
    if (this.video.ended) this.video.currentTime = this.source?.start ?? 0;
    this.startPlayback();
    this.settle();
  }

  /** The place is kept; what comes meanwhile is played later. */
  pause(): void {
    this.wantsPlay = false;
    this.follows = false;
    this.video.pause();
    this.settle();
  }

  goLive(): void {
    this.goBehind(this.source?.target ?? 0);
    this.follows = this.options.kind === 'live';
    this.play();
  }

  /** Goes to so many seconds behind live. */
  goBehind(seconds: number): void {
    const { source } = this;
    this.from = seconds;
    this.follows = false;
    if (source?.edge === undefined || !this.presented) {
      this.moved = true;
      source?.begin(seconds);
    } else this.seek(source.edge - Math.max(seconds, source.target));
    this.settle();
  }

  /** Goes to this moment on the clock of the <video>: of a recording, seconds after its beginning. */
  seek(time: number): void {
    this.follows = false;
    if (!this.source) this.from = time;
    else this.video.currentTime = Math.max(this.source.start, time);
  }

  /** What can be played, on the clock of the <video>. */
  get range(): { start: number; end: number } | undefined {
    const end = this.source?.edge;
    return end === undefined ? undefined : { start: this.source!.start, end };
  }

  retryNow(): void {
    if (this.lostAt === undefined) return;
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
    this.source?.reload();
  }

  destroy(): void {
    clearInterval(this.ticker);
    clearTimeout(this.retryTimer);
    this.abort.abort();
    this.source?.destroy();
  }

  // ---- what there is to tell -------------------------------------------------

  get latencyMs(): number {
    if (this.options.kind === 'recording') return 0;
    const edge = this.source?.edge;
    // Until there is a picture, the place is the one that was asked for.
    if (edge === undefined || !this.presented) return (this.from ?? 0) * 1000;
    return Math.max(0, edge - this.video.currentTime) * 1000;
  }

  get targetMs(): number {
    return (this.source?.target ?? 0) * 1000;
  }

  get bufferedMs(): number {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) return (buffered.end(i) - currentTime) * 1000;
    }
    return 0;
  }

  get videoConfig(): Playback['videoConfig'] {
    return this.source?.videoConfig;
  }

  get audioConfig(): Playback['audioConfig'] {
    return this.source?.audioConfig;
  }

  get bitrateBps(): number {
    return this.source?.bitrateBps ?? 0;
  }

  // ---- fetching --------------------------------------------------------------

  private async open(ready: Promise<MakeSource>): Promise<void> {
    try {
      const make = await ready;
      if (this.abort.signal.aborted) return;
      this.source = make(this.video, {
        url: this.url,
        kind: this.options.kind,
        from: this.from,
        listed: () => {
          this.stages.t3 ??= performance.now() - this.options.t0;
          this.back();
        },
        fetched: () => {
          this.stages.t4 ??= performance.now() - this.options.t0;
          this.back();
        },
        failed: (failure) => this.failed(failure),
      });
    } catch (error) {
      // The script of hls.js did not arrive. Browsers remember that for as long as the page lives.
      this.failed({ why: 'unsupported', reason: String(error) });
    }
  }

  /** Something came: whatever was lost is found. */
  private back(): void {
    this.lostAt = undefined;
    this.down = undefined;
    this.retry.reset();
  }

  private failed(failure: Failure): void {
    if (this.abort.signal.aborted) return;
    if (failure.why === 'unsupported') {
      this.reason = failure.reason;
      return this.setState('unsupported');
    }
    const now = performance.now();
    this.lostAt ??= now;
    this.down = 'reconnecting';
    let wait = this.retry.next();
    if (failure.why === 'status') {
      const { status } = failure;
      this.reason = `HTTP ${status}`;
      if (status === 401 || status === 403) return this.setState('forbidden');
      if (status === 404 || status === 410) {
        const gone = this.options.kind !== 'live' || (this.presented && now - this.lostAt > ENDED_AFTER_MS);
        this.down = gone ? 'ended' : 'waiting';
        // The host may be back at any moment, but nobody is served by asking all the time.
        wait = Math.max(wait, gone ? 8_000 : 1_500);
      } else wait = Math.max(wait, 1_000);
    }
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => this.source?.reload(), wait);
    this.settle();
  }

  // ---- playback --------------------------------------------------------------

  private watchFrames(): void {
    const { video } = this;
    if (!video.requestVideoFrameCallback) return;
    const next = (_: number, frame: VideoFrameCallbackMetadata) => {
      if (this.abort.signal.aborted) return;
      this.framesPresented = Math.max(this.framesPresented, frame.presentedFrames);
      // What was played before on the same <video> may still show frames.
      if (this.source && video.readyState >= HAVE_METADATA) this.pictureShown();
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  }

  private pictureShown(): void {
    if (this.presented || this.abort.signal.aborted) return;
    this.presented = true;
    this.canvas.hidden = true;
    this.progress.begin(performance.now());
    this.stages.t4 ??= performance.now() - this.options.t0;
    this.stages.t5 = performance.now() - this.options.t0;
    this.options.firstPicture();
    // The playlist may have been there already, with the first place in it.
    if (this.moved) this.goBehind(this.from ?? 0);
    this.startPlayback();
    this.settle();
  }

  private startPlayback(): void {
    if (!this.wantsPlay || !this.presented || !this.video.paused) return;
    this.video.play().catch((error: DOMException) => {
      // Sound needs a gesture first: begin without it, the page offers to turn it on.
      if (error.name === 'NotAllowedError' && !this.video.muted) {
        this.video.muted = true;
        this.video.play().catch(() => undefined);
      }
    });
  }

  /** Played to its end. */
  private over(): void {
    if (this.options.kind === 'recording') return this.pause();
    this.down = 'ended';
    this.lostAt ??= performance.now();
    this.settle();
  }

  private tick(): void {
    const now = performance.now();
    if (this.presented && this.wantsPlay) this.watchedMs += now - this.lastTick;
    this.lastTick = now;
    this.progress.at(now, this.video.currentTime, this.wantsPlay);
    this.startPlayback();
    if (this.follows && this.presented && this.latencyMs - this.targetMs > LEFT_BEHIND_S * 1000) this.goLive();
    this.settle();
  }

  private settle(): void {
    if (this.state === 'forbidden' || this.state === 'unsupported') return;
    const still = this.progress.stillMs(performance.now()) > STILL_MS;
    // What is buffered still plays; the loss shows only when that has run out.
    if (this.down && this.lostAt !== undefined && (!this.presented || (this.wantsPlay && still))) return this.setState(this.down);
    if (!this.presented) return this.setState('starting');
    if (!this.wantsPlay) return this.setState('paused');
    if (still) return this.setState('buffering');
    if (this.options.kind === 'recording') return this.setState('playing');
    const near = this.options.kind === 'live' && this.latencyMs - this.targetMs < BEHIND_S * 1000;
    this.setState(near ? 'live' : 'behind');
  }

  private setState(state: State): void {
    if (this.state === state) return;
    this.state = state;
    this.options.changed();
  }
}

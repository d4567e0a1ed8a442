import { Backoff } from './backoff';
import { audioConfig, videoConfig, type AudioConfig, type TrackConfig, type VideoConfig } from './codec';
import { startUrl, type Early } from './early';
import { FlvDemuxer, type Metadata, type Packet } from './flv';
import { LatencyController } from './latency';
import { MseSink, playable } from './mse';
import { PAUSE_RELEASE_MS, type Elements, type Events, type Playback, type Renderer, type Stages, type State } from './playback';
import { Poster } from './poster';
import { Progress } from './progress';
import { attach } from './source';
import { Timeline } from './timeline';
import { connect, fetchStreams, type Connection, type End, type FlvProtocol } from './transport';

/**
 * Without a byte for this long the connection counts as dead. A server keeps
 * viewers for about 15 s while it waits for a host.
 */
const SILENCE_MS = 20_000;
/** A host who is gone for longer than this has ended the stream. */
const ENDED_AFTER_MS = 45_000;
/** A server that lets a request wait has no stream for it yet. */
const WAITING_AFTER_MS = 2_500;
/** Playback starts with this much in the buffer, or after the grace period with less. */
const START_BUFFER_S = 0.2;
const START_GRACE_MS = 250;
/** The same for who begins with less than the stream: what is slow at first comes in fits. */
const START_BUFFER_SLOW_S = 0.45;
const START_GRACE_SLOW_MS = 450;
/** Playback that stands for so long with something ahead goes on behind the next hole, if there is one. */
const BEFORE_HOLE_MS = 500;
/** Standing still becomes a state of its own after this long; less is a hiccup. */
const STILL_MS = 400;
const STILL_CONNECTED_MS = 1_200;
const TICK_MS = 100;
/** How long the rest of the first burst waits at most for the first picture. */
const HOLD_MS = 100;
/** Frames that a decoder takes before it gives out the first one of a stream with B-frames. */
const REORDER_FRAMES = 4;
const HAVE_METADATA = 1;
/** Playback that cannot start this often in a row is not going to. */
const FAILURES_MAX = 3;

export interface EngineOptions extends Events {
  /** When the person asked for the stream, on the `performance.now()` clock. */
  t0: number;
  t1?: number;
  early?: Early | undefined;
}

/** Who takes what a connection brings. */
export interface Taker {
  /** The first bytes are here. */
  begun(): void;
  packet(packet: Packet): void;
  /** The connection ended by itself; `hadBytes` when any came. */
  end(end: End, hadBytes: boolean): void;
}

/** Told of everything that comes, before it is played; see rungs/ladder.ts. */
export interface Watcher {
  /** Bytes of any connection, at this time. */
  chunk(at: number, size: number): void;
  /** Whether it keeps the packet: then it is not played. */
  packet(packet: Packet): boolean;
}

/** Plays one live stream on one <video>: connection, demuxing, MSE, recovery. */
export class Engine implements Playback {
  readonly stages: Stages = {};
  state: State = 'starting';
  protocol: FlvProtocol = fetchStreams() ? 'http-flv' : 'ws-flv';
  renderer: Renderer = 'mse';
  readonly progress = new Progress();
  framesPresented = 0;
  videoConfig: VideoConfig | undefined;
  audioConfig: AudioConfig | undefined;
  /** Why the state is `unsupported`, or what was last wrong. */
  reason = '';
  watcher: Watcher | undefined;
  /** What the next connection asks for: the stream, or a rung of it. */
  url: string;

  private readonly video: HTMLVideoElement;
  private readonly poster: Poster;
  private readonly retry = new Backoff(300, 8_000);
  private readonly latency = new LatencyController();
  private readonly abort = new AbortController();
  private timeline = new Timeline();
  private sink: MseSink | undefined;
  private nextSource: MediaSource | undefined;
  private connection: Connection | undefined;
  private connected = false;
  private announcedAudio = true;
  private announcedVideo = true;
  private metadata: Metadata = {};
  private needKey = true;
  /** The connection continues another one, with the same clock and sound. */
  private spliced = false;
  private restartAtKey = false;
  /** The first keyframe and how many frames are still needed to see it, until they are sent. */
  private opening: { key: Packet['data']; missing: number } | undefined;
  /** The <video> itself shows a picture, not only the poster canvas. */
  private presented = false;
  /** What composition adds to the first dts, so that none lies before 0. */
  private shift: number | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private pauseTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly ticker: ReturnType<typeof setInterval>;
  private down: 'reconnecting' | 'waiting' | 'ended' = 'reconnecting';
  private lostAt: number | undefined;
  private everLive = false;
  /** The stream ended in good order: standing still is not the network's fault. */
  private hostLeft = false;
  private lastByteAt = 0;
  private firstFrameAt: number | undefined;
  private rewound = false;
  private failures = 0;
  private wantsPlay = true;
  private watched = 0;
  private lastTick = 0;
  private readonly rates: [number, number][] = [];

  constructor(
    /** The address of the stream itself. */
    readonly source: string,
    elements: Elements,
    private readonly options: EngineOptions,
  ) {
    this.video = elements.video;
    this.url = options.early?.url ?? startUrl(source);
    this.poster = new Poster(elements.canvas, () => this.pictureShown('webcodecs'));
    this.lastTick = performance.now();
    if (options.t1 !== undefined) this.stages.t1 = options.t1;
    const { signal } = this.abort;
    const on = (name: string, run: () => void) => this.video.addEventListener(name, run, { signal });
    on('waiting', () => {
      if (this.firstFrameAt && this.wantsPlay && !this.video.seeking && !this.hostLeft) this.progress.stallBegins(performance.now());
    });
    on('playing', () => this.progress.stallEnds(performance.now()) && this.latency.stalled());
    on('error', () => this.broken(this.video.error?.message || 'media element'));
    addEventListener('online', () => this.reconnect(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.tick(), { signal });
    this.ticker = setInterval(() => this.tick(), TICK_MS);

    this.nextSource = options.early ? options.early.source : attach(this.video);
    if (!this.nextSource) {
      options.early?.abort.abort();
      this.reason = 'no MediaSource';
      this.setState('unsupported');
    } else {
      this.watchFrames();
      this.open(options.early);
    }
  }

  // ---- what a page asks for -------------------------------------------------

  play(): void {
    this.wantsPlay = true;
    clearTimeout(this.pauseTimer);
    if (this.state === 'forbidden' || this.state === 'unsupported') return;
    if (!this.connection && !this.retryTimer) this.open();
    this.startPlayback();
    this.settle();
  }

  pause(): void {
    this.wantsPlay = false;
    this.video.pause();
    clearTimeout(this.pauseTimer);
    this.pauseTimer = setTimeout(() => {
      this.disconnect();
      this.restartAtKey = true;
    }, PAUSE_RELEASE_MS);
    this.settle();
  }

  get paused(): boolean {
    return !this.wantsPlay;
  }

  goLive(): void {
    this.rewound = false;
    if (!this.wantsPlay) return this.play();
    const { end } = this.range();
    const to = end - this.latency.target;
    if (to > this.video.currentTime) this.video.currentTime = to;
    this.settle();
  }

  /** Moves inside what is buffered; going back stops the chase for the live edge. */
  skip(seconds: number): void {
    const { start, end } = this.range();
    const to = this.video.currentTime + seconds;
    if (to >= end - this.latency.target) return this.goLive();
    this.rewound = true;
    this.video.playbackRate = 1;
    this.video.currentTime = Math.max(start + 0.01, to);
    this.settle();
  }

  /** Tries again now instead of when it is due. */
  retryNow(): void {
    if (this.connection || this.state === 'unsupported') return;
    clearTimeout(this.retryTimer);
    this.retry.reset();
    this.open();
  }

  /** The network changed: a connection over the old one may never say that it is dead. */
  private reconnect(): void {
    if (!this.wantsPlay || this.state === 'forbidden') return;
    this.disconnect();
    this.lostAt ??= performance.now();
    this.retryNow();
  }

  destroy(): void {
    this.disconnect();
    clearTimeout(this.retryTimer);
    clearTimeout(this.pauseTimer);
    clearInterval(this.ticker);
    this.abort.abort();
    this.sink?.close();
    this.poster.close();
  }

  /** Distance behind the live edge as the server delivers it; 0 before anything plays. */
  get latencyMs(): number {
    const edge = this.latency.liveEdge(performance.now());
    return edge === undefined || !this.firstFrameAt ? 0 : Math.max(0, edge - this.video.currentTime * 1000);
  }

  /** How much to keep in the buffer whatever jitter says. */
  set keepMs(ms: number) {
    this.latency.keep = ms / 1000;
  }

  get targetMs(): number {
    return this.latency.target * 1000;
  }

  get bufferedMs(): number {
    return Math.max(0, this.range().end - this.video.currentTime) * 1000;
  }

  get watchedMs(): number {
    return this.watched;
  }

  /** Received bits per second over the last seconds. */
  get bitrateBps(): number {
    const now = performance.now();
    const recent = this.rates.filter(([at]) => now - at < 3_000);
    const first = recent[0];
    if (!first || now - first[0] < 200) return 0;
    return (recent.reduce((sum, [, size]) => sum + size, 0) * 8_000) / (now - first[0]);
  }

  // ---- connection -----------------------------------------------------------

  private open(early?: Early): void {
    if (this.abort.signal.aborted) return;
    this.retryTimer = undefined;
    const now = performance.now();
    this.lastByteAt = now;
    this.stages.t2 ??= (early?.sent ?? now) - this.options.t0;
    this.needKey = true;
    this.spliced = false;
    this.connection = this.connect(this.url, {
      begun: () => {
        this.connected = true;
        this.lostAt = undefined;
        this.hostLeft = false;
        this.latency.rejoin(this.lastByteAt);
        this.timeline.rejoin(this.lastByteAt - this.progress.frameAt, behindMs(this.url));
        this.stages.t3 ??= this.lastByteAt - this.options.t0;
      },
      packet: (packet) => this.take(packet),
      end: (end, hadBytes) => this.lost(end, hadBytes),
    }, early);
  }

  /** Opens a connection beside the one that is played, or instead of it. */
  connect(url: string, taker: Taker, early?: Early): Connection {
    let any = false;
    let closed = false;
    const demuxer = new FlvDemuxer({
      header: (audio, video) => {
        this.announcedAudio = audio;
        this.announcedVideo = video;
      },
      metadata: (values) => (this.metadata = values),
      // A connection may be closed on what a packet says, with more of them in the same chunk.
      packet: (packet) => closed || taker.packet(packet),
    });
    const { close } = connect(this.protocol, url, {
      open: () => undefined,
      chunk: (data) => {
        const at = performance.now();
        this.lastByteAt = at;
        this.rates.push([at, data.length]);
        while (this.rates.length > 1 && at - this.rates[0]![0] > 5_000) this.rates.shift();
        this.watcher?.chunk(at, data.length);
        if (!any) {
          any = true;
          taker.begun();
        }
        try {
          demuxer.push(data);
        } catch (error) {
          // Not FLV, or a broken tag: this connection cannot be followed further.
          this.reason = String(error);
          close();
          return taker.end({ why: 'network' }, any);
        }
        this.sink?.flush();
        this.showPoster();
      },
      end: (end) => taker.end(end, any),
    }, early);
    return {
      close() {
        closed = true;
        close();
      },
    };
  }

  /**
   * Goes on with a connection whose packets have the same clock, and the same sound. Its pictures begin with a keyframe that
   * comes right behind what was played.
   */
  adopt(connection: Connection, url: string): void {
    this.disconnect();
    this.connection = connection;
    this.connected = true;
    this.lostAt = undefined;
    this.url = url;
    this.timeline.rejoin(0);
    this.timeline.forget('video');
    this.spliced = true;
    this.shift = undefined;
    clearTimeout(this.retryTimer);
    this.retryTimer = undefined;
  }

  disconnect(): void {
    this.connection?.close();
    this.connection = undefined;
    this.connected = false;
  }

  lost(end: End, hadBytes: boolean): void {
    this.connection = undefined;
    this.connected = false;
    const now = performance.now();
    this.lostAt ??= now;
    if (hadBytes) this.retry.reset();
    let wait = this.retry.next();
    this.hostLeft = end.why !== 'network';
    if (this.hostLeft) this.progress.stallExcused();
    if (end.why === 'status' && (end.status === 401 || end.status === 403)) return this.setState('forbidden');
    if (end.why === 'status' && (end.status === 404 || end.status === 410)) {
      // A rung that cannot be had says nothing of the stream.
      if (this.url !== this.source) {
        this.url = this.source;
        return this.open();
      }
      const gone = this.everLive && now - this.lostAt > ENDED_AFTER_MS;
      this.down = gone ? 'ended' : 'waiting';
      // The host may be back at any moment, but nobody is served by asking all the time.
      wait = Math.max(wait, gone ? 8_000 : 1_500);
    } else {
      this.down = 'reconnecting';
      if (end.why === 'status') wait = Math.max(wait, end.retryAfterMs ?? 1_000);
      // A proxy that breaks one transport may let the other one through.
      else if (!hadBytes && end.why === 'network') this.protocol = this.protocol === 'http-flv' || !fetchStreams() ? 'ws-flv' : 'http-flv';
    }
    clearTimeout(this.retryTimer);
    if (this.wantsPlay) this.retryTimer = setTimeout(() => this.open(), wait);
    else this.restartAtKey = true;
    this.settle();
  }

  // ---- media ----------------------------------------------------------------

  /** Plays a packet, unless who watches keeps it. */
  take(packet: Packet): void {
    if (!this.watcher?.packet(packet)) this.packet(packet);
  }

  packet(packet: Packet): void {
    if (this.state === 'unsupported') return;
    if (packet.role === 'config') return this.configured(packet);
    if (packet.kind === 'audio' && !this.audioConfig && (packet.codec === '.mp3' || packet.codec === 'ac-3')) {
      this.configured(packet); // These have no configuration record: each frame says it all.
    }
    if (packet.kind === 'video') this.videoFrame(packet);
    else if (!this.needKey || !this.announcedVideo) this.frame(packet);
  }

  private configured(packet: Packet): void {
    const { kind, codec, data } = packet;
    const old = kind === 'video' ? this.videoConfig : this.audioConfig;
    if (old && old.codec === codec && same(old.record, data)) return;
    // The record outlives the network chunk it lies in.
    const record = data.slice();
    const config = kind === 'video' ? videoConfig(codec, record, this.metadata) : audioConfig(codec, record);
    if (!config || !playable(config)) {
      this.reason = config ? config.mime : `${codec} configuration`;
      if (kind === 'video') {
        this.disconnect();
        this.setState('unsupported');
      }
      return;
    }
    if (config.kind === 'video') this.videoConfig = config;
    else this.audioConfig = config;
    if (!this.sink?.started) this.prepare();
    else if (this.sink.has(kind)) {
      this.sink.reconfigure(config);
      this.timeline.forget(this.spliced ? kind : undefined);
    }
    else this.restartAtKey = true; // A track that was not there before needs a new media source.
  }

  /** Sets playback up as soon as every announced track is known, before the keyframe is there. */
  private prepare(): void {
    if ((!this.announcedAudio || this.audioConfig) && (!this.announcedVideo || this.videoConfig)) this.startSink();
  }

  private startSink(): void {
    if (this.sink?.started || !this.nextSource) return;
    this.sink = new MseSink(this.video, this.nextSource, (reason) => this.broken(reason));
    this.nextSource = undefined;
    const configs: TrackConfig[] = [];
    if (this.videoConfig) configs.push(this.videoConfig);
    if (this.audioConfig) configs.push(this.audioConfig);
    this.sink.start(configs);
  }

  private videoFrame(packet: Packet): void {
    if (!this.videoConfig) return;
    if (packet.key) {
      if (this.restartAtKey) this.restart();
      this.timeline.key(packet.dts);
      this.needKey = false;
    } else if (this.needKey) return;
    const first = !this.timeline.started;
    if (first) {
      this.timeline.start(packet.pts);
      this.stages.t4 ??= performance.now() - this.options.t0;
      this.startSink();
      const reorders = this.videoConfig.reorders ?? packet.pts > packet.dts;
      this.opening = { key: packet.data, missing: reorders ? REORDER_FRAMES : 1 };
    }
    this.frame(packet);
    if (this.opening && --this.opening.missing === 0) this.sendFirst(first);
  }

  /**
   * A keyframe that can be shown on its own goes ahead of whatever came with it:
   * decoding more would only take time away from showing it.
   */
  private sendFirst(alone: boolean): void {
    this.opening = undefined;
    if (!alone) return;
    this.sink?.flushAndHold();
    setTimeout(() => this.sink?.release(), HOLD_MS);
  }

  /**
   * A stream with reordering shows nothing in MSE before some frames more. If the
   * first burst was too short, a decoder of its own paints the keyframe meanwhile.
   */
  private showPoster(): void {
    const { opening, videoConfig } = this;
    this.opening = undefined;
    if (opening && videoConfig) this.poster.show(videoConfig, opening.key);
  }

  private frame(packet: Packet): void {
    if (!this.timeline.started) {
      // Sound only: there is no picture to wait for.
      this.timeline.start(packet.pts);
      this.startSink();
    }
    this.progress.frame(performance.now());
    const base = this.timeline.base(packet.kind, packet.dts, packet.pts);
    if (base === undefined) return;
    const pts = packet.pts - base;
    let dts = packet.dts - base;
    if (packet.kind === 'video') dts += this.shift ??= packet.pts - packet.dts;
    this.everLive = true;
    // Sound from before the first picture has no place on the timeline.
    if (pts >= 0) this.sink?.push(packet.kind, dts, pts, packet.key, packet.data);
    if (packet.kind === 'video' || !this.videoConfig) this.latency.arrived(performance.now(), pts);
  }

  /** Begins again with a new media source at the keyframe that is about to come. */
  private restart(): void {
    this.restartAtKey = false;
    this.poster.hold(this.video);
    this.sink?.close();
    this.sink = undefined;
    this.nextSource = attach(this.video);
    this.timeline = new Timeline();
    this.shift = undefined;
    this.firstFrameAt = undefined;
    this.presented = false;
  }

  /** The media element or a SourceBuffer gave up. */
  private broken(reason: string): void {
    this.reason = reason;
    this.disconnect();
    this.sink?.close();
    if (++this.failures >= FAILURES_MAX) return this.setState('unsupported');
    this.restartAtKey = true;
    this.lost({ why: 'network' }, true);
  }

  // ---- playback -------------------------------------------------------------

  private watchFrames(): void {
    const { video } = this;
    if (video.requestVideoFrameCallback) {
      const next = (_: number, frame: VideoFrameCallbackMetadata) => {
        if (this.abort.signal.aborted) return;
        this.framesPresented = Math.max(this.framesPresented, frame.presentedFrames);
        // After a change of source, a last callback for the old one may come.
        if (video.readyState >= HAVE_METADATA) this.pictureShown('mse');
        video.requestVideoFrameCallback(next);
      };
      video.requestVideoFrameCallback(next);
    }
    video.addEventListener('loadeddata', () => {
      // Sound only, or a browser that does not announce frames.
      if (!this.videoConfig || !video.requestVideoFrameCallback) requestAnimationFrame(() => this.pictureShown('mse'));
    }, { signal: this.abort.signal });
  }

  private pictureShown(renderer: Renderer): void {
    if (renderer === 'mse') {
      if (this.presented) return;
      this.presented = true;
      this.sink?.release();
      this.failures = 0;
      this.poster.hide();
    }
    if (this.stages.t5 === undefined) {
      this.stages.t5 = performance.now() - this.options.t0;
      this.renderer = renderer;
      this.options.firstPicture();
    }
    this.progress.begin((this.firstFrameAt ??= performance.now()));
    this.startPlayback();
    this.settle();
  }

  /** Starts to play once there is enough for it not to stop again at once. */
  private startPlayback(): void {
    if (!this.wantsPlay || !this.video.paused || !this.presented) return;
    const waited = performance.now() - (this.firstFrameAt ?? 0);
    const [enoughS, graceMs] = this.url === this.source ? [START_BUFFER_S, START_GRACE_MS] : [START_BUFFER_SLOW_S, START_GRACE_SLOW_MS];
    if (this.bufferedMs < enoughS * 1000 && waited < graceMs) return;
    this.video.play().catch((error: DOMException) => {
      // Sound needs a gesture first: begin without it, the page offers to turn it on.
      if (error.name === 'NotAllowedError' && !this.video.muted) {
        this.video.muted = true;
        this.video.play().catch(() => undefined);
      }
    });
  }

  /** The buffered range around the playhead, seconds. */
  private range(): { start: number; end: number } {
    const { buffered, currentTime } = this.video;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) {
        return { start: buffered.start(i), end: buffered.end(i) };
      }
    }
    return { start: currentTime, end: currentTime };
  }

  private tick(): void {
    const now = performance.now();
    const elapsed = now - this.lastTick;
    this.lastTick = now;
    if (this.connection && now - this.lastByteAt > SILENCE_MS) {
      this.disconnect();
      this.lost({ why: 'network' }, this.everLive);
    }
    const { video } = this;
    if (this.firstFrameAt) {
      this.startPlayback();
      this.jumpGap();
      this.sink?.trim();
      const ahead = this.bufferedMs / 1000;
      if (!video.paused && !this.rewound && !video.seeking && ahead > 0) {
        const { rate, seekBehind } = this.latency.decide(now, ahead);
        if (video.playbackRate !== rate) video.playbackRate = rate;
        if (seekBehind !== undefined) video.currentTime += ahead - seekBehind;
      }
      if (this.wantsPlay) this.watched += elapsed;
      this.progress.at(now, video.currentTime, this.wantsPlay);
      if (this.progress.stuck(now)) this.unstick();
    }
    this.settle();
  }

  /**
   * Frames arrive, but none where the playhead is: their clock is not what it
   * was taken for. The next keyframe goes right behind what was played.
   */
  private unstick(): void {
    this.needKey = true;
    this.timeline.cut();
  }

  /** Steps over a hole in the buffer that playback stands before. */
  private jumpGap(): void {
    const { buffered, currentTime, seeking } = this.video;
    // With little before the hole, browsers neither begin nor arrive where they were sent.
    const stands = this.progress.stillMs(performance.now()) > BEFORE_HOLE_MS;
    if (!stands && (seeking || this.range().end - currentTime > 0.1)) return;
    for (let i = 0; i < buffered.length; i++) {
      const start = buffered.start(i);
      // A little must lie behind the hole, or the next one comes at once.
      if (start > currentTime && buffered.end(i) - start > 0.1) {
        this.video.currentTime = start + 0.001;
        return;
      }
    }
  }

  // ---- state ----------------------------------------------------------------

  private settle(): void {
    if (this.state === 'forbidden' || this.state === 'unsupported') return;
    const now = performance.now();
    const playing = this.firstFrameAt !== undefined;
    if (!this.wantsPlay && playing) return this.setState('paused');
    const still = this.progress.stillMs(now);
    if (!this.connected) {
      // What is buffered still plays; the loss shows only when that has run out.
      if (playing && this.lostAt !== undefined && still < STILL_MS) return;
      if (this.lostAt !== undefined) return this.setState(this.down);
      const waited = now - (this.stages.t2 ?? 0) - this.options.t0;
      if (!this.everLive) this.setState(waited > WAITING_AFTER_MS ? 'waiting' : 'starting');
      return;
    }
    if (!playing) return this.setState('starting');
    const lost = this.state === 'reconnecting' || this.state === 'waiting' || this.state === 'ended';
    if (still > STILL_CONNECTED_MS || (lost && still > STILL_MS)) return this.setState('reconnecting');
    this.setState(this.rewound ? 'behind' : 'live');
  }

  private setState(state: State): void {
    if (this.state === state) return;
    this.state = state;
    this.options.changed();
  }
}

/** How far behind live an address asks to join. */
const behindMs = (url: string): number => Number(/startPts=-(\d+)/.exec(url)?.[1] ?? 0);

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

import type { RushlightPlayer } from '../player/element';
import { HlsPlayback } from '../player/hls';
import { PAUSE_RELEASE_MS } from '../player/playback';
import { inside, type Range } from './scale';

/**
 * Where one is in what is played, and how to go elsewhere. Seconds as in
 * scale.ts: after the beginning of a recording, or behind live and negative.
 */
export interface Places {
  /** Whether it has a live edge. */
  readonly live: boolean;
  /** What can be played; undefined where there is no more than this moment. */
  readonly range: Range | undefined;
  readonly at: number;
  /** Whether it is played at its live edge, however far that is behind. */
  readonly atEdge: boolean;
  go(to: number): void;
  play(): void;
  pause(): void;
  /** To the live edge; nothing of the kind for recordings. */
  goLive(): void;
}

/** Closer to live than this is live: nobody asks for the difference. */
const LIVE_S = 2;

/** A live stream: the player's own buffer first, then what the server kept of the past. */
export class LivePlaces implements Places {
  readonly live = true;
  /** Seconds of the past that the server plays. */
  depthS = 0;
  private left: { at: number; behindS: number } | undefined;

  constructor(
    private readonly player: RushlightPlayer,
    private readonly rewindUrl: string,
    private readonly toLive: () => void,
  ) {}

  get range(): Range | undefined {
    return this.depthS > 0 ? { start: -this.depthS, end: 0 } : undefined;
  }

  get at(): number {
    const { engine } = this.player;
    return engine ? -engine.latencyMs / 1000 : 0;
  }

  get atEdge(): boolean {
    return this.player.state === 'live';
  }

  go(to: number): void {
    const { engine, video } = this.player;
    if (!engine) return;
    const behindS = this.range ? -inside(this.range, to) : -to;
    const rewound = this.rewound;
    if (behindS <= Math.max(LIVE_S, rewound ? rewound.targetMs / 1000 : 0)) return this.goLive();
    if (rewound) return rewound.goBehind(behindS);
    const by = -behindS - this.at;
    const near = bufferStart(video) <= video.currentTime + by;
    if (this.depthS > 0 && !near) this.rewind(behindS, engine.paused);
    else if (engine.skip) engine.skip(by);
    else if (engine instanceof HlsPlayback) engine.seek(video.currentTime + by);
  }

  play(): void {
    const { engine } = this.player;
    if (!engine?.paused) return;
    const awayMs = performance.now() - (this.left?.at ?? 0);
    if (engine.skip && this.left) {
      // Who paused comes back to where that was, behind live.
      if (awayMs < PAUSE_RELEASE_MS) engine.skip(0);
      else if (this.depthS > 0) return this.rewind(Math.min(this.depthS, this.left.behindS + awayMs / 1000), false);
    }
    engine.play();
  }

  pause(): void {
    this.left = { at: performance.now(), behindS: -this.at };
    this.player.engine?.pause();
  }

  goLive(): void {
    if (this.rewound) this.toLive();
    else this.player.engine?.goLive();
  }

  /** The host is back: tries again now, at the live edge. */
  resume(): void {
    if (this.rewound) this.toLive();
    else this.player.engine?.retryNow();
  }

  /** What plays the past, if that is what is played. */
  private get rewound(): HlsPlayback | undefined {
    const { engine } = this.player;
    return engine instanceof HlsPlayback && engine.kind === 'rewind' ? engine : undefined;
  }

  private rewind(behindS: number, paused: boolean): void {
    this.player.swap((elements, events) => new HlsPlayback(this.rewindUrl, elements, {
      ...events, t0: performance.now(), kind: 'rewind', from: behindS, paused,
    }));
  }
}

/** A recording, or one that is still made. */
export class RecordingPlaces implements Places {
  readonly live = false;
  readonly atEdge = false;

  constructor(private readonly player: RushlightPlayer) {}

  private get playback(): HlsPlayback | undefined {
    return this.player.engine instanceof HlsPlayback ? this.player.engine : undefined;
  }

  get range(): Range | undefined {
    return this.playback?.range;
  }

  get at(): number {
    return this.player.video.currentTime;
  }

  go(to: number): void {
    const { range } = this;
    this.playback?.seek(range ? inside(range, to) : Math.max(0, to));
  }

  play(): void {
    this.player.engine?.play();
  }

  pause(): void {
    this.player.engine?.pause();
  }

  goLive(): void {
    // A recording has no live edge.
  }
}

/** Where the buffer that holds the playhead begins. */
function bufferStart({ buffered, currentTime }: HTMLVideoElement): number {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) return buffered.start(i);
  }
  return Infinity;
}

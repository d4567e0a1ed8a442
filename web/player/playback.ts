import type { Progress } from './progress';
import type { Protocol } from './transport';

// What every way of playing has in common: FLV in engine.ts, HLS in hls.ts.

export type State =
  | 'starting' | 'live' | 'paused' | 'behind' | 'playing' | 'buffering'
  | 'reconnecting' | 'waiting' | 'ended' | 'forbidden' | 'unsupported';

export type Renderer = 'mse' | 'webcodecs' | 'native';

/** Milliseconds after t0, the moment the person asked for the stream. */
export interface Stages {
  /** The connection to the server was usable. */
  t1?: number;
  /** The stream was requested. */
  t2?: number;
  /** Its first byte arrived. */
  t3?: number;
  /** Its first keyframe was complete. */
  t4?: number;
  /** The first picture was on the screen. */
  t5?: number;
}

export interface Elements {
  video: HTMLVideoElement;
  /** Lies over the video: a picture painted here stays until playback has one of its own. */
  canvas: HTMLCanvasElement;
}

export interface Events {
  /** `state` is another one. */
  changed(): void;
  firstPicture(): void;
}

/** Plays one stream or recording on one <video>. */
export interface Playback {
  readonly state: State;
  /** Why the state is `unsupported`, or what was last wrong. */
  readonly reason: string;
  readonly stages: Stages;
  readonly protocol: Protocol;
  readonly renderer: Renderer;
  readonly progress: Pick<Progress, 'stalls' | 'stallMs'>;
  readonly framesPresented: number;
  readonly videoConfig: { mime: string; width: number; height: number } | undefined;
  readonly audioConfig: { mime: string } | undefined;
  /** Nobody wants it to play, whatever the <video> does. */
  readonly paused: boolean;
  /** Distance behind the live edge as the server delivers it; 0 where there is none. */
  readonly latencyMs: number;
  readonly targetMs: number;
  readonly bufferedMs: number;
  readonly watchedMs: number;
  /** Received bits per second of media. */
  readonly bitrateBps: number;
  play(): void;
  pause(): void;
  /** To the live edge, as near as this way of playing gets. */
  goLive(): void;
  /** Moves inside what is buffered, where the way of playing has nothing else to go to. */
  skip?(seconds: number): void;
  /** Tries again now instead of when it is due. */
  retryNow(): void;
  destroy(): void;
}

/** A pause of a live stream longer than this gives the connection back, and with it the place in the buffer. */
export const PAUSE_RELEASE_MS = 15_000;

import type { RushlightPlayer } from './element';
import type { Renderer, Stages, State } from './playback';
import { Telemetry, type Report } from './telemetry';
import type { Protocol } from './transport';

/** Everything the statistics overlay and the tests want to know, at one moment. */
export interface Snapshot {
  state: State;
  reason: string;
  stages: Stages;
  renderer: Renderer;
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
  /** The rung that is played, what was chosen, and how often it was changed. Empty where there is but one. */
  rung: string;
  choice: string;
  switches: number;
  /** Bits per second that the network is thought to carry; 0 where nothing has shown it. */
  estimateBps: number;
  muted: boolean;
}

declare global {
  interface Window {
    /** For tests and support: a fresh snapshot of the player at every read. */
    readonly __rushlight?: Snapshot;
  }
}

export function snapshot({ engine, ladder, state, video }: RushlightPlayer): Snapshot {
  const quality = video.getVideoPlaybackQuality?.();
  const config = engine?.videoConfig;
  return {
    state,
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
    rung: ladder?.current?.name ?? '',
    choice: ladder?.current ? ladder.choice : '',
    switches: ladder?.switches ?? 0,
    estimateBps: ladder?.estimateBps ?? 0,
    muted: video.muted,
  };
}

/** Tells the server and `window.__rushlight` what this view of `stream` (`app/channel`) is like, whatever it is played with. */
export function observe(player: RushlightPlayer, stream: string): void {
  Object.defineProperty(window, '__rushlight', { get: () => snapshot(player), configurable: true });
  // Of the ways of playing that are over. Frames are counted by the <video>, which outlives them.
  const past = { stalls: 0, stallMs: 0, watchedMs: 0 };
  const counts = (): Report['counts'] => {
    const { stalls, stallMs, droppedFrames, decodedFrames } = snapshot(player);
    return {
      stalls: past.stalls + stalls, stallMs: past.stallMs + stallMs,
      watchedMs: past.watchedMs + (player.engine?.watchedMs ?? 0), droppedFrames, decodedFrames,
    };
  };
  const telemetry = new Telemetry(stream, () => {
    const { stages, protocol, renderer, latencyMs, state } = snapshot(player);
    // How far back somebody chose to go says nothing about the way here.
    return { stages, protocol, renderer, counts: counts(), latencyMs: state === 'live' ? latencyMs : undefined };
  });
  const begin = () => telemetry.start();
  if (player.engine?.stages.t5 !== undefined) begin();
  player.addEventListener('firstpicture', begin);
  player.addEventListener('unload', () => Object.assign(past, counts()));
  addEventListener('pagehide', () => telemetry.end());
}

import type { State } from '../player/playback';

/** What a browser has for playing. */
export interface Means {
  /** Media sources, which FLV and hls.js need. */
  mse: boolean;
  /** HLS of its own, where there are no media sources. */
  native: boolean;
}

/**
 * Whether a live stream is played as HLS: where the address asks for it, where
 * the browser has nothing but HLS of its own, and where FLV turned out not to
 * play, such as with a codec that only the playlist announces in a way the
 * browser takes. `flv` is how FLV stands; undefined where it was not tried.
 */
export function livesByHls(search: string, flv: State | undefined, means: Means): boolean {
  if (!means.mse && !means.native) return false;
  return new URLSearchParams(search).get('protocol') === 'hls' || !means.mse || flv === 'unsupported';
}

import { remember } from './memory';
import { startRung, type Rung } from './rules';

// The rung that a channel begins with for somebody who comes from the home page, where a picture of it has shown what the
// network carries.

/** What loading a keyframe of the stream itself has shown. */
export interface Carried {
  /** Of the whole keyframe. */
  keyBytes: number;
  /** Those behind its first ones, and how long they took. */
  bytes: number;
  ms: number;
  /** From the request to the first byte. */
  firstMs: number;
}

/** A young connection sends what it may in one round trip, and twice as much in the next: so long nothing is known of the network. */
const OPENING_TRIPS = 1.5;
/** What is carried by a network that held nothing back. */
const AMPLE_BPS = 50_000_000;
/** The request goes over the connection that the page came on. */
const ROUND_TRIPS = 1;

/** Bits per second. */
export function carriedBps({ bytes, ms, firstMs }: Carried): number {
  return ms <= OPENING_TRIPS * firstMs ? AMPLE_BPS : (bytes * 8_000) / ms;
}

/** Has the next visit to `stream` (`/live/cam.flv`) begin with what suits. `rungs` are all, the stream itself first. */
export function beginWith(stream: string, rungs: readonly Rung[], carried: Carried): void {
  if (rungs.length < 2 || !rungs[0]!.bps) return;
  const start = startRung(rungs, { bps: carriedBps(carried), rttMs: carried.firstMs, keyBytes: carried.keyBytes, trips: ROUND_TRIPS });
  remember((memory) => {
    // Who chose a rung gets that.
    if (memory.choice !== undefined) return;
    delete memory.starts[stream];
    if (start > 0) memory.starts[stream] = rungs[start]!.url;
  });
}

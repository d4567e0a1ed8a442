// How much to keep in the buffer for what a network may yet do. Pure: times are milliseconds that the caller brings.
//
// Jitter says what a network does all the time. What empties a buffer is what it does once in a minute, and that is not to be seen
// before; so trust is earned by time. A network that was too slow once will be so again.

/** Kept while nothing is known, in seconds. It becomes less with every moment in which the network was fast enough. */
const UNPROVEN_S = 3;
/** After so long without fault a network is trusted. */
const PROVEN_MS = 600_000;
/** Being too slow for so long is no mere hiccup. */
const SPELL_MS = 300;
/** Kept after that: at least, at most, and by how late things came then. */
const WARNED_MIN_S = 4;
const WARNED_MAX_S = 8;
const LATE_FACTOR = 1.5;
/** For so long after the last time, and then less by so much in a second. */
const HOLD_MS = 60_000;
const FALL_S = 0.02;
/** A round trip this short has no radio in it, and nearly no network. */
const NEAR_MS = 10;

export class Caution {
  private warned = 0;
  private warnedAt = -Infinity;
  private before: number | undefined;

  /** For how long the network has been fast enough, earlier visits included. */
  calmMs: number;

  constructor(calmMs = 0) {
    this.calmMs = Math.min(PROVEN_MS, Math.max(0, calmMs));
  }

  /**
   * Seconds to keep. `limitedMs` and `lateMs` are those of `Throughput`; `roundTripMs` is the shortest that was seen, if one was. Call
   * several times a second while it plays.
   */
  see(now: number, { limitedMs, lateMs, roundTripMs }: { limitedMs: number; lateMs: number; roundTripMs: number | undefined }): number {
    const passed = this.before === undefined ? 0 : Math.min(1_000, now - this.before);
    this.before = now;
    if (limitedMs >= SPELL_MS) {
      const wanted = Math.min(WARNED_MAX_S, Math.max(WARNED_MIN_S, 1 + (LATE_FACTOR * lateMs) / 1000));
      this.warned = Math.max(this.warned, wanted);
      this.warnedAt = now;
      this.calmMs = 0;
    } else {
      this.calmMs = Math.min(PROVEN_MS, this.calmMs + passed);
      if (now - this.warnedAt > HOLD_MS) this.warned = Math.max(0, this.warned - (FALL_S * passed) / 1000);
    }
    const near = roundTripMs !== undefined && roundTripMs < NEAR_MS;
    const unproven = near ? 0 : UNPROVEN_S * (1 - this.calmMs / PROVEN_MS);
    return Math.max(unproven, this.warned);
  }
}

/** The shortest time that an answer of the server took so far, in ms, of `entries` of the performance timeline. */
export function roundTrip(entries: readonly PerformanceResourceTiming[]): number | undefined {
  const times = entries
    // What came out of a cache took no round trip.
    .filter(({ transferSize, requestStart }) => transferSize > 0 && requestStart > 0)
    .map(({ requestStart, responseStart }) => responseStart - requestStart);
  return times.length ? Math.min(...times) : undefined;
}

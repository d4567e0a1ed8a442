import type { Kind } from './flv';

// Maps the sender's timestamps to one media timeline that starts at 0 with the
// first picture and never jumps: MSE takes a jump for a gap, and a gap stalls.

/** A step back by more than this cannot be reordering: the sender's clock restarted. */
const BACK_MS = 1_000;
/** A step forward by more than this is a new clock, not lost packets. */
const FORWARD_MS = 10_000;
/** How far before live a new connection may begin, while the distance of keyframes is not known. */
const REJOIN_BACK_MS = 15_000;
/** What paces and queues may add to that distance. */
const REJOIN_SLACK_MS = 1_500;
const REJOIN_FORWARD_MS = 5_000;
/** Room left between the old and the new part, about one frame. */
const SEAM_MS = 40;

interface Track {
  base: number;
  last: number;
  epoch: number;
  /** After a reconnect: what the sender's clock says now, if it is still the same. */
  expected: number | undefined;
  /** After a reconnect: up to here, everything was received before. */
  known: number;
}

export class Timeline {
  private readonly tracks = new Map<Kind, Track>();
  private origin: number | undefined;
  private epoch = 0;
  private newest = 0;
  private lastKey: number | undefined;
  private keyDistance = 0;
  private rejoinBack = REJOIN_BACK_MS;

  get started(): boolean {
    return this.origin !== undefined;
  }

  /** The first picture's presentation time becomes 0. */
  start(pts: number): void {
    this.origin ??= pts;
  }

  /** A keyframe on the sender's clock: new connections begin at the newest one. */
  key(dts: number): void {
    const distance = dts - (this.lastKey ?? dts);
    if (distance > 0 && distance < FORWARD_MS * 2) this.keyDistance = Math.max(this.keyDistance, distance);
    this.lastKey = dts;
  }

  /**
   * A new connection follows, this long after the last packet of the old one. It
   * begins `behindMs` before live if it asks for that.
   */
  rejoin(elapsedMs: number, behindMs = 0): void {
    this.rejoinBack = behindMs + (this.keyDistance ? this.keyDistance * 2 + REJOIN_SLACK_MS : REJOIN_BACK_MS);
    for (const track of this.tracks.values()) {
      track.expected = track.last + elapsedMs;
      track.known = track.last;
    }
  }

  /** What follows is put right behind what was received, whatever its clock says. */
  cut(): void {
    for (const track of this.tracks.values()) track.expected = Infinity;
  }

  /** Nothing counts as known any more, of one track or of all, because what follows is coded in another way. */
  forget(kind?: Kind): void {
    for (const [of, track] of this.tracks) if (of === (kind ?? of)) track.known = -Infinity;
  }

  /**
   * Sender milliseconds to subtract for this packet, or undefined for one that
   * was received before. Call once per packet, in order.
   */
  base(kind: Kind, dts: number, pts = dts): number | undefined {
    let track = this.tracks.get(kind);
    if (!track) {
      const other = [...this.tracks.values()].find((t) => t.epoch === this.epoch);
      const base = other ? other.base : (this.origin ?? dts);
      track = { base, last: dts, epoch: this.epoch, expected: undefined, known: -Infinity };
      this.tracks.set(kind, track);
    }
    const [back, forward] = track.expected === undefined ? [BACK_MS, FORWARD_MS] : [this.rejoinBack, REJOIN_FORWARD_MS];
    const step = dts - (track.expected ?? track.last);
    if (step < -back || step > forward) this.splice(track, dts);
    track.expected = undefined;
    track.last = dts;
    if (dts <= track.known) return undefined;
    track.known = -Infinity;
    this.newest = Math.max(this.newest, dts - track.base, pts - track.base);
    return track.base;
  }

  private splice(track: Track, dts: number): void {
    track.known = -Infinity;
    // If the other track has made the same jump already, sound and picture
    // must share its new base; otherwise this track is first and picks one.
    const leader = [...this.tracks.values()].find((t) => t !== track && t.epoch > track.epoch);
    if (leader && Math.abs(dts - leader.last) < BACK_MS * 2) {
      track.base = leader.base;
      track.epoch = leader.epoch;
    } else {
      track.base = dts - this.newest - SEAM_MS;
      track.epoch = ++this.epoch;
    }
  }
}

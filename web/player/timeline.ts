import type { Kind } from './flv';

// Maps the sender's timestamps to one media timeline that starts at 0 with the
// first picture and never jumps: MSE takes a jump for a gap, and a gap stalls.

/** A step back by more than this cannot be reordering: the sender's clock restarted. */
const BACK_MS = 1_000;
/** A step forward by more than this is a new clock, not lost packets. */
const FORWARD_MS = 10_000;
/** After a reconnect the newest keyframe may lie this far before what was already received. */
const REJOIN_BACK_MS = 20_000;
const REJOIN_FORWARD_MS = 60_000;
/** Room left between the old and the new part, about one frame. */
const SEAM_MS = 40;

interface Track {
  base: number;
  last: number;
  epoch: number;
  rejoined: boolean;
}

export class Timeline {
  private readonly tracks = new Map<Kind, Track>();
  private origin: number | undefined;
  private epoch = 0;
  private newest = 0;

  get started(): boolean {
    return this.origin !== undefined;
  }

  /** The first picture's presentation time becomes 0. */
  start(pts: number): void {
    this.origin ??= pts;
  }

  /** A new connection follows: its first packets may repeat what was received. */
  rejoin(): void {
    for (const track of this.tracks.values()) track.rejoined = true;
  }

  /** Sender milliseconds to subtract for this packet; call once per packet, in order. */
  base(kind: Kind, dts: number): number {
    let track = this.tracks.get(kind);
    if (!track) {
      const other = [...this.tracks.values()].find((t) => t.epoch === this.epoch);
      track = { base: other ? other.base : (this.origin ?? dts), last: dts, epoch: this.epoch, rejoined: false };
      this.tracks.set(kind, track);
    }
    const step = dts - track.last;
    const back = track.rejoined ? REJOIN_BACK_MS : BACK_MS;
    const forward = track.rejoined ? REJOIN_FORWARD_MS : FORWARD_MS;
    if (step < -back || step > forward) this.splice(track, dts);
    track.rejoined = false;
    track.last = dts;
    this.newest = Math.max(this.newest, dts - track.base);
    return track.base;
  }

  private splice(track: Track, dts: number): void {
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

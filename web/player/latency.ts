// Keeps playback a short, steady distance behind the live edge. Pure: the
// caller brings the clock, the buffer level, and applies what is decided.

export interface Decision {
  rate: number;
  /** When set, move the playhead so that this many seconds stay buffered. */
  seekBehind?: number;
}

const TARGET_MIN = 0.3;
const TARGET_MAX = 3;
const TARGET_START = 0.8;
/** Chasing by rate takes 4 s for each second of lag; past this, one seek is kinder. */
const SEEK_ABOVE = 5;
/** Where much is kept, past this above it. */
const SEEK_ABOVE_TARGET = 3;
const SEEK_COOLDOWN_MS = 10_000;
/** Arrivals are judged only after this long, so the join burst is not taken for jitter. */
const SETTLE_MS = 3_000;
/** The first judgement counts after this long: a second has been seen by then. */
const JUDGED_MS = 4_000;
/** How fast the target falls, per second: from what was a guess, and from what a connection once needed. */
const FALL_GUESSED = 0.25;
const FALL_LEARNT = 0.05;
const WINDOW_MS = 30_000;
const SLOT_MS = 1_000;
/**
 * Playback rates above 1: begun above one distance from the target, and left below the other, in seconds. Steps, because
 * every change of rate restarts the audio time stretcher. The browser keeps the pitch; still, faster sounds hurried.
 */
const CHASE = [
  { rate: 1.06, from: 0.15, until: 0.03 },
  { rate: 1.15, from: 0.3, until: 0.2 },
  { rate: 1.25, from: 0.45, until: 0.3 },
] as const;

/** Playback rates below 1, for what is missing in the buffer: begun below one part of the target, and left above the other. */
const STRETCH = { rate: 0.95, from: 0.4, until: 0.7 };
/** The same where seconds are to be kept: there is time to gather them, and a slow network gives them no other way. */
const GATHER = { rate: 0.94, from: 0.75, until: 0.9 };
const GATHER_TARGET = 1;

interface Slot {
  start: number;
  offsetMin: number;
  latenessMax: number;
}

export class LatencyController {
  private slots: Slot[] = [];
  private joined: number | undefined;
  private penalty = 0;
  private lastSeek = -Infinity;
  private lastDecision: number | undefined;
  private rate = 1;
  private current = TARGET_START;
  /** Seconds to keep whatever jitter says. */
  keep = 0;
  /** The target is still above what was measured since the connection began. */
  private guessed = true;

  /** Seconds of media the controller tries to keep ahead of the playhead. */
  get target(): number {
    return this.current;
  }

  /** A new connection: its first burst says nothing about jitter. */
  rejoin(now: number): void {
    this.joined = now;
    this.guessed = true;
    this.slots = [];
  }

  /** One video packet: when it came and its time on the media timeline, both in ms. */
  arrived(now: number, mediaMs: number): void {
    this.joined ??= now;
    const offset = now - mediaMs;
    let slot = this.slots[this.slots.length - 1];
    if (!slot || now - slot.start >= SLOT_MS) {
      slot = { start: now, offsetMin: Infinity, latenessMax: 0 };
      this.slots.push(slot);
      while (this.slots[0] && now - this.slots[0].start > WINDOW_MS) this.slots.shift();
    }
    slot.offsetMin = Math.min(slot.offsetMin, offset);
    if (now - this.joined > SETTLE_MS) {
      slot.latenessMax = Math.max(slot.latenessMax, offset - this.offsetMin());
    }
  }

  /** Media time (ms) that is live at `now`: the fastest arrival of the window, extrapolated. */
  liveEdge(now: number): number | undefined {
    return this.slots.length ? now - this.offsetMin() : undefined;
  }

  /** Worst lateness of the window in ms, less the single worst second. */
  get jitterMs(): number {
    const worst = this.slots.map((s) => s.latenessMax).sort((a, b) => b - a);
    return worst[1] ?? worst[0] ?? 0;
  }

  /** Playback ran dry: keep more for a while. */
  stalled(): void {
    this.penalty = Math.min(2, this.penalty + 0.4);
  }

  /** `buffered` is the number of seconds between the playhead and the end of the buffer. */
  decide(now: number, buffered: number): Decision {
    const elapsed = this.lastDecision === undefined ? 0 : (now - this.lastDecision) / 1000;
    this.lastDecision = now;
    this.penalty = Math.max(0, this.penalty - elapsed / 60);
    this.adjustTarget(now, elapsed);

    if (buffered > Math.max(SEEK_ABOVE, this.current + SEEK_ABOVE_TARGET) && now - this.lastSeek > SEEK_COOLDOWN_MS) {
      this.lastSeek = now;
      this.rate = 1;
      return { rate: 1, seekBehind: this.current };
    }
    const excess = buffered - this.current;
    let step = CHASE.findIndex(({ rate }) => rate === this.rate);
    while (step + 1 < CHASE.length && excess > CHASE[step + 1]!.from) step++;
    while (step >= 0 && excess < CHASE[step]!.until) step--;
    if (step >= 0) {
      this.rate = CHASE[step]!.rate;
    } else if (this.rate > 1) {
      this.rate = 1;
    } else {
      const slow = this.keep >= GATHER_TARGET ? GATHER : STRETCH;
      if (buffered < this.current * slow.from && this.current > 0.5) this.rate = slow.rate;
      else if (this.rate < 1 && buffered > this.current * slow.until) this.rate = 1;
    }
    return { rate: this.rate };
  }

  private offsetMin(): number {
    return this.slots.reduce((least, slot) => Math.min(least, slot.offsetMin), Infinity);
  }

  private adjustTarget(now: number, elapsed: number): void {
    const judged = this.joined !== undefined && now - this.joined > JUDGED_MS;
    const measured = judged ? 0.25 + (1.25 * this.jitterMs) / 1000 : TARGET_START;
    const wanted = Math.max(this.keep, Math.min(TARGET_MAX, Math.max(TARGET_MIN, measured + this.penalty)));
    // Up at once, because a stall is what it prevents; down slowly.
    const fall = this.guessed ? FALL_GUESSED : FALL_LEARNT;
    this.current = wanted > this.current ? wanted : Math.max(wanted, this.current - fall * elapsed);
    if (judged && this.current === wanted) this.guessed = false;
  }
}

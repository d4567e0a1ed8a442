// What the network carries, from when bytes and frames come. Pure: times are milliseconds that the caller brings.
//
// A live stream comes as fast as it is made, whatever the network could do. Only while it falls behind, the network is what
// holds it back, and then bytes over time are its rate. At all other times they are no more than a lower bound.

/** How long is looked at for one judgement: some packets of even a slow network. */
const WINDOW_MS = 100;
/** Silence this long is a host or a server that sends nothing, or no network at all; neither has a rate. */
const SILENCE_MS = 150;
/** Media falls behind whose lateness grows by more than this part of the time. */
const FALLS_BEHIND = 0.1;
/** Later than this is more than jitter. */
const LATE_MS = 120;
/** Of a time of being too slow, about so much is looked at: single packets make the rate of a shorter one. */
const SPELL_MS = 600;
/** The estimate is raised by this factor at once, at most: much may come together because the page was busy, and read late. */
const RAISE_MAX = 1.25;
/** More than this no rung needs. */
const BPS_MAX = 50_000_000;
/** The clocks of sender and browser drift apart by less than this. */
const DRIFT = 0.002;
/** A step of lateness beyond these is another clock. */
const BACK_MS = 10_000;
const FORWARD_MS = 60_000;

export class Throughput {
  /** For how long, without a break, the network has been what holds the stream back. */
  limitedMs = 0;
  /** When it last did. */
  limitedAt = -Infinity;
  private estimate: number | undefined;
  private window: { start: number; late: number | undefined; bytes: number } | undefined;
  /** What came while the network was too slow. */
  private spell = { ms: 0, bytes: 0 };
  private chunkAt = -Infinity;
  private frameAt: number | undefined;
  private media: number | undefined;
  /** Between two pictures, in media time. */
  private step = 0;
  /** Arrival less media time of what came fastest. */
  private fastest: number | undefined;

  /** `carried` is what was known from before, in bits per second. */
  constructor(carried?: number) {
    this.estimate = carried;
  }

  /** Bits per second. */
  get bps(): number | undefined {
    return this.estimate;
  }

  /** How much later the newest frame came than the fastest. */
  get lateMs(): number {
    return this.frameAt === undefined ? 0 : this.lagMs(this.frameAt);
  }

  /** How late what has not come yet is by now, at least. */
  lagMs(now: number): number {
    return this.fastest === undefined || this.media === undefined ? 0 : Math.max(0, now - this.media - this.fastest);
  }

  /** Bytes came, of whatever connection. */
  chunk(now: number, bytes: number): void {
    const silent = now - this.chunkAt > SILENCE_MS;
    this.chunkAt = now;
    if (silent || !this.window) {
      // When its first bytes left is not known, so they count for nothing.
      this.window = { start: now, late: this.dueMs(now), bytes: 0 };
      if (silent) this.limitedMs = 0;
      return;
    }
    this.window.bytes += bytes;
    if (now - this.window.start >= WINDOW_MS) this.judge(now, this.window);
  }

  /** A picture came, with its time on the sender's clock. */
  frame(now: number, mediaMs: number): void {
    const offset = now - mediaMs;
    const before = this.fastest;
    const drift = this.frameAt === undefined ? 0 : (now - this.frameAt) * DRIFT;
    if (before === undefined || offset < before - BACK_MS || offset > before + FORWARD_MS) {
      if (before !== undefined) this.rejoin();
      this.fastest = offset;
    } else this.fastest = Math.min(before + drift, offset);
    const step = mediaMs - (this.media ?? mediaMs);
    if (step > 0) this.step = Math.min(step, SILENCE_MS);
    // Of pictures in decoding order the newest one counts.
    this.media = Math.max(this.media ?? mediaMs, mediaMs);
    this.frameAt = now;
  }

  /** What comes next comes over another connection, and may have been here before. */
  rejoin(): void {
    this.window = undefined;
    this.media = undefined;
    // A rung comes later than its stream by what it takes to make it.
    this.fastest = undefined;
    this.frameAt = undefined;
    this.limitedMs = 0;
  }

  /** How late the stream is: its newest picture, or the next one if that is due already. Waiting for the next one alone is not lateness. */
  private dueMs(now: number): number | undefined {
    if (this.frameAt === undefined) return undefined;
    return Math.max(this.lagMs(this.frameAt), this.lagMs(now - this.step));
  }

  private judge(now: number, { start, late, bytes }: NonNullable<Throughput['window']>): void {
    const passed = now - start;
    const due = this.dueMs(now);
    const rate = Math.min(BPS_MAX, (this.estimate ?? BPS_MAX) * RAISE_MAX, (bytes * 8_000) / passed);
    if (due !== undefined && late !== undefined && due - late > passed * FALLS_BEHIND && due > LATE_MS) {
      // What was thought before it came to this says little.
      if (!this.limitedMs) this.spell = { ms: 0, bytes: 0 };
      const { spell } = this;
      const kept = Math.max(0, Math.min(1, (SPELL_MS - passed) / (spell.ms || 1)));
      this.spell = { ms: spell.ms * kept + passed, bytes: spell.bytes * kept + bytes };
      this.estimate = Math.min(BPS_MAX, (this.spell.bytes * 8_000) / this.spell.ms);
      this.limitedMs += passed;
      this.limitedAt = now;
    } else {
      // A network that carries nearly enough is not too slow at every moment.
      if (due === undefined || late === undefined || due < LATE_MS || late - due > passed * FALLS_BEHIND) this.limitedMs = 0;
      this.estimate = Math.max(rate, this.estimate ?? 0);
    }
    this.window = { start: now, late: due, bytes: 0 };
  }
}

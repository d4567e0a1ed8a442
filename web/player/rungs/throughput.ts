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
/**
 * Of a time of being too slow, so much is looked at: where packets were lost, what follows them is held back until they have come
 * again, so bytes come in bursts between silences, neither of which has a rate of its own.
 */
const SPELL_MS = 2_000;
/** One burst with its silence: what is less late than so long before may be catching up, and a rate that has fallen counts after it. */
const CYCLE_MS = 1_000;
/** The estimate is raised by this factor at once, at most: much may come together because the page was busy, and read late. */
const RAISE_MAX = 1.25;
/** More than this no rung needs. */
const BPS_MAX = 50_000_000;
/** From less than this an estimate would take long to rise again. */
const BPS_MIN = 32_000;
/** The clocks of sender and browser drift apart by less than this. */
const DRIFT = 0.002;
/** A step of lateness beyond these is another clock. */
const BACK_MS = 10_000;
const FORWARD_MS = 60_000;

interface Window {
  start: number;
  late: number | undefined;
  bytes: number;
}

interface Sample {
  at: number;
  /** Since the spell began. */
  bytes: number;
  late: number;
}

export class Throughput {
  /** For how long, without a break, the network has been what holds the stream back. */
  limitedMs = 0;
  /** When it last did. */
  limitedAt = -Infinity;
  private estimate: number | undefined;
  private window: Window | undefined;
  /** What came since the network became too slow, the last seconds of it. */
  private spell: Sample[] | undefined;
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

  /** The same, or how late the next one is already, if that is more: a silence makes nothing late before something is due. */
  dueLateMs(now: number): number {
    return this.dueMs(now) ?? 0;
  }

  /** How late what has not come yet is by now, at least. */
  lagMs(now: number): number {
    return this.fastest === undefined || this.media === undefined ? 0 : Math.max(0, now - this.media - this.fastest);
  }

  /** Bytes came, of whatever connection. */
  chunk(now: number, bytes: number): void {
    if (this.window && !this.spell && now - this.chunkAt > SILENCE_MS) this.window = undefined;
    this.chunkAt = now;
    // When the first bytes behind a silence left is not known, so they count for nothing, unless they were held back.
    if (this.window) this.window.bytes += bytes;
    else this.window = { start: now, late: this.dueMs(now), bytes: 0 };
    this.look(now);
  }

  /** Time passed, with bytes or without. Call several times a second. */
  look(now: number): void {
    const { window } = this;
    if (!window || now - window.start < WINDOW_MS) return;
    if (this.spell) this.follow(this.spell, now, window);
    // Silence begins no spell: the host may be what is silent.
    else if (now - this.chunkAt <= SILENCE_MS) this.judge(now, window);
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
    this.spell = undefined;
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

  /** While nothing holds the stream back, what comes is a lower bound. */
  private judge(now: number, window: Window): void {
    const { start, late, bytes } = window;
    const passed = now - start;
    const due = this.dueMs(now);
    if (due !== undefined && late !== undefined && due - late > passed * FALLS_BEHIND && due > LATE_MS) {
      this.spell = [{ at: start, bytes: 0, late }];
      return this.follow(this.spell, now, window);
    }
    const rate = Math.min(BPS_MAX, (this.estimate ?? BPS_MAX) * RAISE_MAX, (bytes * 8_000) / passed);
    this.estimate = Math.max(rate, this.estimate ?? 0);
    this.window = { start: now, late: due, bytes: 0 };
  }

  /** In a spell the server has more to send than the network takes: all that comes in all of the time is what the network carries. */
  private follow(spell: Sample[], now: number, { start, bytes }: Window): void {
    const due = this.dueMs(now) ?? 0;
    spell.push({ at: now, bytes: spell[spell.length - 1]!.bytes + bytes, late: due });
    while (spell.length > 2 && now - spell[1]!.at >= SPELL_MS) spell.shift();
    const first = spell[0]!;
    const span = now - first.at;
    this.window = { start: now, late: due, bytes: 0 };
    const last = spell[spell.length - 1]!;
    const rateSince = ({ at, bytes: before }: Sample) => ((last.bytes - before) * 8_000) / (now - at);
    const recent = spell.find(({ at }, i) => i === spell.length - 2 || now - at <= CYCLE_MS)!;
    // A network that stands for a moment is not one that carries nothing.
    this.estimate = Math.max(BPS_MIN, Math.min(BPS_MAX, rateSince(first), span > CYCLE_MS ? rateSince(recent) : Infinity));
    const grown = due - first.late;
    const much = span * FALLS_BEHIND;
    if (due < LATE_MS || (span >= SPELL_MS && Math.abs(grown) <= much)) {
      this.limitedMs = 0;
      this.spell = undefined;
    } else if (grown > much) {
      this.limitedMs += now - start;
      this.limitedAt = now;
    } else if (span >= CYCLE_MS && grown < -much) this.limitedMs = 0;
  }
}

// Which rung to play. Pure: the caller brings what it sees, and does what is decided.

export interface Rung {
  /** What it is called: `source`, `720p`. */
  name: string;
  url: string;
  /** Bits per second, sound included, at most. */
  bps: number;
  /** In pixels. */
  width: number;
  height: number;
}

/** What there is to see at one moment. */
export interface View {
  /** Milliseconds. */
  now: number;
  /** Seconds in the buffer ahead of the playhead, and how many there should be. */
  bufferedS: number;
  targetS: number;
  /** How late what comes is, or what is due and does not come. */
  lateMs: number;
  /** What the network carries, in bits per second, if there is a guess. */
  bps: number | undefined;
  /** For how long now the network has been what holds the stream back. */
  limitedMs: number;
  /** When it last did. */
  limitedAt: number;
  /** Stalls so far. */
  stalls: number;
}

export interface Decision {
  /** Index of the rung. */
  to: number;
  /** There is no time to wait for a keyframe: what is played now is given up at once. */
  urgent: boolean;
}

/**
 * The network must have been too slow for this long; or for this where little is in the buffer, or where it carries no more than
 * that part of what the rung needs.
 */
const DOWN_AFTER_MS = 600;
const DOWN_SOON_MS = 200;
const LITTLE = 0.6;
const COLLAPSED = 0.8;
/**
 * With more than this in the buffer, in seconds, there is time to see whether it passes: for as long as what is buffered lasts that
 * long yet, and no more than this part of it has been lost.
 */
const DEEP_S = 1.5;
const LASTS_S = 8;
const LOST = 0.4;
/** What is lost was lost to the network if that was too slow so short a time before. */
const LOST_CAUSE_MS = 1_000;
/**
 * What is buffered is gone within this time, as fast as it became less in the last moments, while the network was too slow so short a
 * time before: no more than a change to the last rung takes on a network that hardly carries it, which needs a GOP of it at most.
 */
const EMPTY_S = 2.5;
const EMPTY_CAUSE_MS = 4_000;
const DRAIN_MS = 1_000;
/** A network that carries nearly enough is not taken to last for ever. */
const SHORT_MIN = 0.05;
/** A network that was too slow just before a stall is what made it. */
const STALL_CAUSE_MS = 3_000;
/** The part of what the network carries that a rung may take. */
const DOWN_SHARE = 0.8;
const UP_SHARE = 0.7;
/** To begin with: what there is behind live comes that many times as fast as it is played, and a buffer is there before the network changes. */
const START_SHARE = 0.2;
/** A rung is kept for at least this long before a larger one is tried. */
const UP_AFTER_MS = 5_000;
/**
 * Without an estimate that says yes, the next larger one is tried after this time; twice that after each time it was too much. Where
 * the last change was one for the better, the next comes as soon as may be.
 */
const TRY_AFTER_MS = 8_000;
/** One that was begun with so that the first picture came soon is left sooner. */
const GROW_AFTER_MS = 2_000;
const TRY_AFTER_MAX_MS = 180_000;
/** A larger rung that was left within this time was too much. */
const TOO_MUCH_MS = 30_000;
/** One that was played for so long is none of those any more. */
const PROVEN_MS = 60_000;
/** Calm enough for a larger rung: so late at most, and that much of the target in the buffer. */
const CALM_LATE_MS = 100;
const CALM_BUFFER = 0.7;
/**
 * A trial of a larger rung is given up when the network does not bear both: with no more than this in the buffer, or than this part
 * of what is to be there; after so long; or when it has cost this part of what is left.
 */
const TRIAL_BUFFER_S = 0.4;
const TRIAL_BUFFER = 0.35;
const TRIAL_LIMITED_MS = 1_000;
const TRIAL_LATE = 0.25;
/** A rung that did not come at all is left alone for so long. */
const REFUSED_MS = 30_000;
/** The first picture is to be there within this time, of which decoding and showing it take so much. */
const FIRST_PICTURE_MS = 300;
const SHOW_MS = 90;
/** What a connection may send before its first acknowledgement, and twice as much with each round trip. */
const INITIAL_BYTES = 14_000;
/** Round trips before the first byte of a keyframe comes: of the connection, and of the request. */
const ROUND_TRIPS = 2;
/** Data savers get no more than this. */
const SAVER_HEIGHT = 480;

export class Rules {
  /** The rung that is played. */
  current = 0;
  private since = 0;
  private raisedAt = -Infinity;
  private stalls = 0;
  /** What was in the buffer in the last moments. */
  private levels: { at: number; bufferedS: number }[] = [];
  private readonly tries: { failures: number; refusedUntil: number }[];

  /** `rungs` from the highest rate to the lowest. `beganSmall`: with a small one for the sake of the first picture. */
  constructor(
    private readonly rungs: readonly Rung[],
    private readonly saver: boolean,
    now: number,
    beganSmall = false,
  ) {
    this.since = beganSmall ? now - TRY_AFTER_MS + GROW_AFTER_MS : now;
    this.tries = rungs.map(() => ({ failures: 0, refusedUntil: -Infinity }));
  }

  /** The highest rung that may be played at all. */
  get top(): number {
    const fits = this.rungs.findIndex(({ width, height }) => Math.min(width, height) <= SAVER_HEIGHT);
    return this.saver && fits >= 0 ? fits : 0;
  }

  /** Call several times a second while it plays; undefined is to stay. */
  decide(view: View): Decision | undefined {
    const { now, limitedMs, bufferedS, targetS } = view;
    const stalled = view.stalls > this.stalls;
    this.stalls = view.stalls;
    if (now - this.since > PROVEN_MS) this.tries[this.current]!.failures = 0;
    const carried = (view.bps ?? Infinity) / this.rungs[this.current]!.bps;
    const lastsS = bufferedS / Math.max(SHORT_MIN, 1 - carried);
    const isLost = view.lateMs / 1000 > LOST * bufferedS;
    const soon = bufferedS > DEEP_S ? lastsS < LASTS_S || isLost : bufferedS < targetS * LITTLE || carried < COLLAPSED;
    const after = soon ? DOWN_SOON_MS : bufferedS > DEEP_S ? Infinity : DOWN_AFTER_MS;
    const slow = limitedMs >= after || (isLost && bufferedS > DEEP_S / 2 && now - view.limitedAt < LOST_CAUSE_MS) || (stalled && now - view.limitedAt < STALL_CAUSE_MS);
    if (this.empties(view)) return this.down({ ...view, bps: 0 });
    if (slow) return this.down(view);
    if (this.current < this.top) return this.at(this.top, now);
    return this.up(view);
  }

  /** The rung was changed, by these rules or by somebody's choice. */
  switched(to: number, now: number): void {
    if (to > this.current && now - this.raisedAt < TOO_MUCH_MS) this.failed(this.current);
    if (to < this.current) this.raisedAt = now;
    this.current = to;
    this.since = now;
    this.levels = [];
  }

  /** A change did not come about: the rung was too much, or it `came` not at all. */
  refused(to: number, now: number, came = false): void {
    if (to < this.current) this.failed(to);
    if (!came) this.tries[to]!.refusedUntil = now + REFUSED_MS;
    this.since = now;
  }

  /** A rung that somebody chose. */
  towards(to: number, now: number): Decision | undefined {
    return to === this.current ? undefined : this.at(to, now);
  }

  /** Whether the buffer runs out, for want of what the network does not carry, before much else could be done. */
  private empties({ now, bufferedS, limitedAt }: View): boolean {
    const { levels } = this;
    levels.push({ at: now, bufferedS });
    while (levels.length > 2 && now - levels[1]!.at >= DRAIN_MS) levels.shift();
    const first = levels[0]!;
    const passedS = (now - first.at) / 1000;
    if (passedS * 1000 < DRAIN_MS || now - limitedAt > EMPTY_CAUSE_MS) return false;
    return bufferedS < (EMPTY_S * (first.bufferedS - bufferedS)) / passedS;
  }

  private failed(rung: number): void {
    this.tries[rung]!.failures++;
  }

  private at(to: number, now: number): Decision | undefined {
    return now < this.tries[to]!.refusedUntil ? undefined : { to, urgent: false };
  }

  private down({ now, bps = 0 }: View): Decision | undefined {
    const open = this.rungs.flatMap((rung, i) => (i > this.current && now >= this.tries[i]!.refusedUntil ? [{ i, rung }] : []));
    const fits = open.find(({ rung }) => rung.bps <= bps * DOWN_SHARE) ?? open[open.length - 1];
    return fits && { to: fits.i, urgent: true };
  }

  private up({ now, bps = 0, lateMs, bufferedS, targetS, limitedAt }: View): Decision | undefined {
    const calm = lateMs < CALM_LATE_MS && bufferedS >= targetS * CALM_BUFFER;
    const after = now - this.since;
    if (this.current <= this.top || !calm || Math.min(after, now - limitedAt) < UP_AFTER_MS) return undefined;
    const next = this.current - 1;
    for (let i = this.top; i <= next; i++) {
      const { failures } = this.tries[i]!;
      // What failed before needs more than an estimate.
      if (!failures && this.rungs[i]!.bps <= bps * UP_SHARE) {
        const found = this.at(i, now);
        if (found) return found;
      }
    }
    const { failures } = this.tries[next]!;
    const rises = this.since === this.raisedAt && !failures;
    const wait = rises ? UP_AFTER_MS : Math.min(TRY_AFTER_MAX_MS, TRY_AFTER_MS * 2 ** failures);
    return after < wait ? undefined : this.at(next, now);
  }
}

/** Whether a larger rung that comes beside the one that is played costs that one too much. */
export function costsTooMuch({ bufferedS, targetS, lateMs, limitedMs }: Pick<View, 'bufferedS' | 'targetS' | 'lateMs' | 'limitedMs'>): boolean {
  if (!limitedMs) return false;
  return bufferedS < Math.max(TRIAL_BUFFER_S, TRIAL_BUFFER * targetS) || limitedMs > TRIAL_LIMITED_MS || lateMs / 1000 > TRIAL_LATE * bufferedS;
}

/**
 * The rung to begin the next visit with: the largest of which the network carries several, and whose keyframe is there in time; where
 * none is, the smallest. `keyBytes` are those of a keyframe of the first rung, and `trips` round trips pass before its first byte comes.
 */
export function startRung(
  rungs: readonly Rung[],
  { bps, rttMs, keyBytes, trips = ROUND_TRIPS }: { bps: number; rttMs: number; keyBytes: number; trips?: number },
): number {
  const leftMs = FIRST_PICTURE_MS - SHOW_MS - trips * rttMs;
  const fits = rungs.findIndex((rung) => {
    const bytes = (keyBytes * rung.bps) / (rungs[0]!.bps || 1);
    const growsMs = Math.max(0, Math.ceil(Math.log2(bytes / INITIAL_BYTES + 1)) - 1) * rttMs;
    return rung.bps <= bps * START_SHARE && Math.max(growsMs, (bytes * 8_000) / bps) <= leftMs;
  });
  return fits < 0 ? rungs.length - 1 : fits;
}

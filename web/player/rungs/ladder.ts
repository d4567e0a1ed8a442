import type { RushlightPlayer } from '../element';
import type { Engine, Watcher } from '../engine';
import type { Packet } from '../flv';
import type { Connection, End } from '../transport';
import { Caution, roundTrip } from './caution';
import { rungsOf } from './manifest';
import { recall, remember } from './memory';
import { costsTooMuch, Rules, startRung, type Rung } from './rules';
import { Frontier, Splice } from './splice';
import { Throughput } from './throughput';

// Changes between the rungs of a live stream that comes as FLV, by itself or by
// choice. Loaded when there is a picture; see README.md.

const TICK_MS = 100;
/** How often the list of rungs is asked for: what a stream is made of may change, and at first not all of it is known. */
const LIST_MS = 60_000;
const LIST_SOON_MS = 5_000;
/** A rung that nobody watched has to be begun first. */
const BEGIN_MS = 8_000;
const BEGIN_URGENT_MS = 5_000;
/** Two groups of pictures, or so long, must be enough to find a keyframe that both rungs have. */
const MEET_MS = 6_000;
/** How long pictures of the old rung are kept back for the new one, and what must be left in the buffer. */
const HOLD_MS = 500;
const HOLD_BUFFER_S = 0.3;
const MEMORY_MS = 5_000;

/** The choice that leaves it to the player. */
export const AUTO = 'auto';

interface Change {
  engine: Engine;
  to: number;
  urgent: boolean;
  at: number;
  splice: Splice;
  connection: Connection;
}

export class Ladder implements Watcher {
  /** The stream itself first; empty until the list is here, and where there is but one. */
  rungs: Rung[] = [];
  /** Changes that came about. */
  switches = 0;
  private rules: Rules | undefined;
  private chosen: string;
  private engine: Engine | undefined;
  /** What the rungs are those of. */
  private source: string | undefined;
  private change: Change | undefined;
  private frontier = new Frontier();
  private throughput: Throughput;
  private readonly caution: Caution;
  private listAt = -Infinity;
  /** Bytes of the newest keyframe. */
  private keySize = 0;
  private rememberAt = 0;
  private roundTripMs: number | undefined;
  private readonly ticker: ReturnType<typeof setInterval>;

  /** `listOf` is the address of the manifest of a stream (`/live/cam.flv`), and `choice` one for this page alone. */
  constructor(
    private readonly player: RushlightPlayer,
    private readonly listOf: (stream: string) => string,
    choice?: string,
  ) {
    const memory = recall();
    this.chosen = choice ?? memory.choice ?? AUTO;
    this.throughput = new Throughput(memory.bps);
    this.caution = new Caution(memory.calmMs);
    this.ticker = setInterval(() => this.tick(performance.now()), TICK_MS);
    this.tick(performance.now());
  }

  /** What was chosen: the name of a rung, or `auto`. */
  get choice(): string {
    return this.chosen;
  }

  /** The rung that is played. */
  get current(): Rung | undefined {
    return this.engine && this.rules && this.rungs[this.rules.current];
  }

  /** Bits per second that the network carries, if there is a guess. */
  get estimateBps(): number | undefined {
    return this.throughput.bps;
  }

  /** Plays this rung from the next keyframe on, and later streams as well where they have it. */
  choose(name: string): void {
    this.chosen = name;
    remember((memory) => {
      delete memory.choice;
      if (name !== AUTO) memory.choice = name;
    });
    // What is on its way for other reasons is not what is wanted now.
    if (this.change && !this.change.urgent) this.giveUp();
    this.tick(performance.now());
  }

  destroy(): void {
    clearInterval(this.ticker);
    this.leave();
  }

  // ---- what the engine tells -------------------------------------------------

  chunk(at: number, size: number): void {
    this.throughput.chunk(at, size);
  }

  packet(packet: Packet): boolean {
    const now = performance.now();
    const { change } = this;
    if (packet.kind === 'video' && packet.role === 'frame') {
      this.throughput.frame(now, packet.pts);
      if (packet.key) this.keySize = packet.data.length;
    }
    if (!change || change.splice.old(packet, now).length) {
      this.frontier.pass(packet);
      return false;
    }
    this.cut(change);
    return true;
  }

  // ---- what to do ------------------------------------------------------------

  private tick(now: number): void {
    this.throughput.look(now);
    const { engine } = this.player;
    const flv = engine && 'adopt' in engine ? (engine as Engine) : undefined;
    if (flv !== this.engine) {
      this.leave();
      this.engine = flv;
      if (flv) flv.watcher = this;
      if (flv && flv.source !== this.source) {
        this.source = flv.source;
        this.rungs = [];
        this.listAt = -Infinity;
      }
      this.place(now);
    }
    if (flv && now - this.listAt > (this.rungs.length > 1 ? LIST_MS : LIST_SOON_MS) && !document.hidden) void this.ask(flv, now);
    if (flv && !flv.paused) {
      const { limitedMs } = this.throughput;
      flv.keepMs = 1000 * this.caution.see(now, { limitedMs, lateMs: this.throughput.dueLateMs(now), roundTripMs: this.roundTripMs });
    }
    if (!flv || !this.rules) return;
    if (flv.paused) return this.change && this.giveUp();
    if (this.change) return this.supervise(this.change, now);
    // A rung that was refused when it was asked for again.
    if (this.rules.current && flv.url === flv.source) this.back(this.rules, now);
    this.decide(flv, this.rules, now);
    this.note(now);
  }

  private decide(flv: Engine, rules: Rules, now: number): void {
    if (flv.state !== 'live' && flv.state !== 'starting' && flv.state !== 'reconnecting') return;
    const wanted = this.rungs.findIndex(({ name }) => name === this.chosen);
    if (wanted >= 0) {
      const to = rules.towards(wanted, now);
      if (to) this.begin(flv, to.to, to.urgent, now);
      return;
    }
    const { bps, limitedMs, limitedAt } = this.throughput;
    const decision = rules.decide({
      now, bps, lateMs: this.throughput.dueLateMs(now), limitedMs, limitedAt,
      bufferedS: flv.bufferedMs / 1000, targetS: flv.targetMs / 1000, stalls: flv.progress.stalls,
    });
    if (decision) this.begin(flv, decision.to, decision.urgent, now);
  }

  /** The list of rungs; that there is none, or it cannot be had, changes nothing. */
  private async ask({ source }: Engine, now: number): Promise<void> {
    this.listAt = now;
    const response = await fetch(this.listOf(path(source)), { signal: AbortSignal.timeout(LIST_MS), priority: 'low' }).catch(() => undefined);
    this.roundTripMs = roundTrip(performance.getEntriesByType('resource') as PerformanceResourceTiming[]);
    if (source !== this.source) return;
    const rungs = response?.ok ? rungsOf(await response.json().catch(() => undefined)) : [];
    const same = rungs.map(({ url }) => url).join() === this.rungs.map(({ url }) => url).join();
    // A rate that is not known yet is one of the last seconds.
    if (rungs[0]) rungs[0].bps ||= this.player.engine?.bitrateBps ?? 0;
    if (same) return void rungs.forEach((rung, i) => Object.assign(this.rungs[i]!, rung));
    if (this.change || rungs.length < 2) return;
    this.rungs = rungs;
    this.place(performance.now());
  }

  /** Begins to judge anew, with the rung that the engine plays. */
  private place(now: number): void {
    this.rules = undefined;
    if (!this.engine || this.rungs.length < 2) return;
    const saver = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;
    const playing = this.rungs.findIndex(({ url }) => decodeURI(path(url)) === decodeURI(path(this.engine!.url)));
    this.rules = new Rules(this.rungs, saver, now, playing > 0 && this.switches === 0);
    this.rules.current = Math.max(0, playing);
  }

  // ---- a change --------------------------------------------------------------

  private begin(engine: Engine, to: number, urgent: boolean, now: number): void {
    const rung = this.rungs[to]!;
    const { last, key } = this.frontier;
    // Nothing that was played is lost by beginning anew.
    if (engine.stages.t5 === undefined) return urgent ? this.restart(engine, to, now) : undefined;
    if (last === undefined || key === undefined) return;
    const splice = new Splice(this.frontier, urgent);
    if (urgent) engine.disconnect();
    const taker = {
      begun: () => undefined,
      packet: (packet: Packet) => {
        const { change } = this;
        if (change?.splice === splice) {
          splice.fresh(packet, performance.now());
          this.cut(change);
        } else if (!this.packet(packet)) engine.packet(splice.show(packet));
      },
      end: (end: End, hadBytes: boolean) => {
        if (this.change?.splice === splice) return this.giveUp();
        // Whether the stream has ended or only this rung is said by the stream.
        if (end.why !== 'network') engine.url = engine.source;
        engine.lost(end, hadBytes);
      },
    };
    const connection = engine.connect(addressOf(rung.url, engine.source, Math.floor(urgent ? last : key)), taker);
    this.change = { engine, to, urgent, at: now, splice, connection };
  }

  /** The new rung takes over, if it can. */
  private cut(change: Change): void {
    const { engine, splice, to, connection } = change;
    const packets = splice.cut();
    if (!packets) return splice.full ? this.giveUp() : undefined;
    this.change = undefined;
    this.throughput.rejoin();
    engine.adopt(connection, this.address(engine, to));
    this.switched(to);
    for (const packet of packets) if (!this.packet(packet)) engine.packet(splice.show(packet));
  }

  private supervise(change: Change, now: number): void {
    const { engine, splice, urgent, to } = change;
    const bufferedS = engine.bufferedMs / 1000;
    const began = splice.begunAt ?? Infinity;
    const late = began === Infinity
      ? now - change.at > (urgent ? BEGIN_URGENT_MS : BEGIN_MS)
      : now - began > Math.max(MEET_MS, 2.5 * (this.frontier.gopMs ?? 0));
    const larger = to < this.rules!.current;
    const { limitedMs } = this.throughput;
    const tooMuch = larger && costsTooMuch({ bufferedS, targetS: engine.targetMs / 1000, limitedMs, lateMs: this.throughput.dueLateMs(now) });
    if (late || (!urgent && (tooMuch || engine.state !== 'live'))) return this.giveUp();
    if (splice.heldAt !== undefined && (now - splice.heldAt > HOLD_MS || bufferedS < HOLD_BUFFER_S)) this.release(change);
  }

  /** What was kept back of the old rung is played after all. */
  private release({ engine, splice }: Change): void {
    for (const packet of splice.release()) {
      this.frontier.pass(packet);
      engine.packet(packet);
    }
  }

  private giveUp(): void {
    const { change } = this;
    if (!change) return;
    this.change = undefined;
    change.connection.close();
    this.rules?.refused(change.to, performance.now(), change.splice.begunAt !== undefined);
    this.release(change);
    // The old rung was given up for it.
    if (change.urgent && change.engine === this.engine && !change.engine.paused) change.engine.lost({ why: 'network' }, true);
  }

  /** Without a place to go on from. */
  private restart(engine: Engine, to: number, now: number): void {
    engine.url = this.address(engine, to);
    engine.disconnect();
    engine.retryNow();
    this.throughput.rejoin();
    this.switched(to, now);
  }

  private switched(to: number, now = performance.now()): void {
    this.switches++;
    this.rules?.switched(to, now);
  }

  private address({ source }: Engine, to: number): string {
    return to ? addressOf(this.rungs[to]!.url, source) : source;
  }

  /** The stream itself is played, for want of the rung. */
  private back(rules: Rules, now: number): void {
    rules.refused(rules.current, now);
    rules.current = 0;
  }

  private leave(): void {
    const { engine } = this;
    this.giveUp();
    if (engine) engine.watcher = undefined;
    this.engine = undefined;
    this.frontier = new Frontier();
    this.throughput = new Throughput(this.throughput.bps);
  }

  /** What the next visit should know. */
  private note(now: number): void {
    if (now - this.rememberAt < MEMORY_MS || !this.rules) return;
    this.rememberAt = now;
    const { bps, limitedAt } = this.throughput;
    const rttMs = this.roundTripMs ?? 0;
    const known = limitedAt > 0 ? bps : undefined;
    const { current } = this.rules;
    const chosen = this.rungs.some(({ name }) => name === this.chosen);
    // What plays the stream itself begins with it: a moment of too little says nothing of the next visit.
    const start = chosen || !current || known === undefined ? current : startRung(this.rungs, { bps: known, rttMs, keyBytes: this.keyBytes });
    const stream = path(this.engine!.source);
    remember((memory) => {
      if (known !== undefined) memory.bps = known;
      memory.calmMs = this.caution.calmMs;
      delete memory.starts[stream];
      if (start > 0) memory.starts[stream] = path(this.rungs[start]!.url);
    });
  }

  /** Of a keyframe of the stream itself: those of its rungs are as much smaller as their rates are. */
  private get keyBytes(): number {
    const { current } = this;
    const source = this.rungs[0]!;
    return current?.bps ? (this.keySize * source.bps) / current.bps : 0;
  }
}

const path = (url: string): string => new URL(url, location.href).pathname;

/** The address of a rung with where to begin: there, or where that of the stream says. */
function addressOf(url: string, source: string, startPts?: number): string {
  const address = new URL(url, location.href);
  const behind = startPts ?? new URL(source, location.href).searchParams.get('startPts');
  if (behind !== null) address.searchParams.set('startPts', String(behind));
  return address.pathname + address.search;
}

import type { Packet } from '../flv';

// Where one rung goes over into another: at a keyframe that both have, or, when
// there is no time for that, right behind what was played. Pure.

/** Bytes of the new rung that wait for their keyframe: some seconds of the largest. */
const BYTES_MAX = 24 << 20;
/** Pictures that are decoded and not shown are so far apart, in ms: a unit of the video clock of 90 kHz. */
const HIDDEN_STEP_MS = 1 / 90;
/** All of them lie within the end of the picture before. */
const HIDDEN_MS = 8;
/** Sound that is missing between two packets, in ms, without anybody hearing it: less than two of them. */
const SOUND_GAP_MS = 50;
/** A step back by more than this is another clock. */
const BACK_MS = 10_000;

/** How far the stream was played, on the sender's clock in ms. */
export class Frontier {
  /** The newest picture. */
  last: number | undefined;
  /** Where the next picture belongs. */
  end: number | undefined;
  /** The newest sound. */
  sound: number | undefined;
  /** The newest keyframe. */
  key: number | undefined;
  /** Between keyframes. */
  gopMs: number | undefined;
  private step = 40;

  /** A packet is played. */
  pass({ kind, role, pts, key }: Packet): void {
    if (role !== 'frame') return;
    if (kind === 'audio') {
      this.sound = pts;
      return;
    }
    if (this.last !== undefined && pts < this.last - BACK_MS) this.last = this.end = this.key = undefined;
    if (key) {
      if (this.key !== undefined && pts > this.key) this.gopMs = pts - this.key;
      this.key = pts;
    }
    if (this.last === undefined || pts > this.last) {
      const step = pts - (this.last ?? pts);
      if (step > 0 && step < 200) this.step = step;
      this.last = pts;
      this.end = pts + this.step;
    }
  }
}

/** The new rung on its way, and the old one until then. */
export class Splice {
  /** When the first packet of the new rung came. */
  begunAt: number | undefined;
  /** When pictures of the old one began to be kept back, for the new one to begin in their place. */
  heldAt: number | undefined;
  private queue: Packet[] = [];
  private bytes = 0;
  private held: Packet[] = [];
  private hidden = 0;
  private isBehind = false;
  /** What was played when the new rung began. */
  private readonly from: number;
  private readonly end: number;

  /** `urgent`: the old rung does not come any more. */
  constructor(
    private readonly frontier: Frontier,
    private readonly urgent: boolean,
  ) {
    this.from = frontier.last ?? -Infinity;
    this.end = frontier.end ?? 0;
  }

  /** A packet of the old rung; what is returned is played now. */
  old(packet: Packet, now: number): Packet[] {
    if (!isPicture(packet)) return [packet];
    if (this.held.length || (packet.key && this.begunAt !== undefined) || this.candidate(packet.pts) >= 0) {
      this.heldAt ??= now;
      this.held.push(packet);
      return [];
    }
    return [packet];
  }

  /** A packet of the new rung. */
  fresh(packet: Packet, now: number): void {
    this.begunAt ??= now;
    // Those before its first keyframe are of no use, and neither is what sound comes with them.
    this.queue.push(packet);
    this.bytes += packet.data.length;
  }

  /** The old rung goes on: what was kept back of it is to be played. */
  release(): Packet[] {
    this.heldAt = undefined;
    return this.held.splice(0);
  }

  /** More of the new rung waits than there is room for. */
  get full(): boolean {
    return this.bytes > BYTES_MAX;
  }

  /** What to play from now on instead of the old rung, once; undefined until the new one can begin. All passes through `show`. */
  cut(): Packet[] | undefined {
    const at = this.urgent ? this.candidate() : this.held.length ? this.candidate(this.held[0]!.pts) : -1;
    if (at < 0 || !(this.urgent || this.hears)) return undefined;
    return this.queue.splice(0).filter((packet, i) => i >= at || !isPicture(packet));
  }

  /**
   * The packet as it is played: pictures from before the end of what was played pass in no time, so that
   * those behind it can be decoded.
   */
  show(packet: Packet): Packet {
    if (!this.urgent || this.isBehind || !isPicture(packet)) return packet;
    if (packet.pts > this.from) {
      // Behind a keyframe no picture is shown before it.
      this.isBehind = packet.key;
      return packet;
    }
    const at = this.end - HIDDEN_MS + this.hidden++ * HIDDEN_STEP_MS;
    return { ...packet, dts: at, pts: at };
  }

  /** Whether the sound of the new rung begins where that of the old one was played to. */
  private get hears(): boolean {
    const first = this.queue.find(({ kind, role }) => kind === 'audio' && role === 'frame');
    const { sound } = this.frontier;
    return !first || sound === undefined || first.pts <= sound + SOUND_GAP_MS;
  }

  /**
   * Index of the keyframe to begin with, or -1: without an old rung the newest that was due already; else one that comes
   * behind what was played, at `pts` or before.
   */
  private candidate(pts?: number): number {
    const { last } = this.frontier;
    const isKey = (packet: Packet) => isPicture(packet) && packet.key;
    if (pts !== undefined) return this.queue.findIndex((packet) => isKey(packet) && packet.pts <= pts && packet.pts > (last ?? -Infinity));
    const due = this.queue.reduce((found, packet, i) => (isKey(packet) && packet.pts <= (last ?? Infinity) ? i : found), -1);
    return due >= 0 ? due : this.queue.findIndex(isKey);
  }
}

const isPicture = ({ kind, role }: Packet): boolean => kind === 'video' && role === 'frame';

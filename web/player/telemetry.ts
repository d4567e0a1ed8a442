import type { Renderer, Stages } from './playback';
import type { Protocol } from './transport';

// What a view was like, told to the server that served it.

/** Totals since the player began, and the state of the moment. */
export interface Report {
  stages: Stages;
  protocol: Protocol;
  renderer: Renderer;
  counts: Record<'stalls' | 'stallMs' | 'droppedFrames' | 'decodedFrames' | 'watchedMs', number>;
  latencyMs: number | undefined;
}

const PATH = '/api/v1/beacon';
const INTERVAL_MS = 30_000;

export class Telemetry {
  private readonly session = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) =>
    b.toString(16).padStart(2, '0')).join('');
  private timer: ReturnType<typeof setInterval> | undefined;
  private sent: Partial<Report['counts']> = {};

  constructor(
    private readonly stream: string,
    private readonly report: () => Report,
  ) {}

  /** The first picture is up: reports it, then goes on every 30 s. */
  start(): void {
    if (this.timer) return;
    this.send('start');
    this.timer = setInterval(() => this.send('interval'), INTERVAL_MS);
  }

  end(): void {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.send('end');
  }

  private send(event: 'start' | 'interval' | 'end'): void {
    const { stages, counts, latencyMs, protocol, renderer } = this.report();
    // Counts are told as what was added since the last report, so that the
    // server need not remember anyone. Browsers may start theirs anew.
    const added = mapValues(counts, (name, value) => Math.max(0, Math.round(value - (this.sent[name] ?? 0))));
    this.sent = counts;
    const first = event === 'start';
    navigator.sendBeacon?.(PATH, JSON.stringify({
      session: this.session, stream: this.stream, protocol, renderer, event,
      t: first ? mapValues(stages, (_, value) => Math.round(value * 10) / 10) : {},
      ...added,
      ...(first || latencyMs === undefined ? {} : { latencyMs: Math.round(latencyMs) }),
    }));
  }
}

function mapValues<K extends string>(
  values: Partial<Record<K, number>>, change: (name: K, value: number) => number,
): Record<string, number> {
  return Object.fromEntries(Object.entries<number>(values as Record<K, number>).map(([name, value]) =>
    [name, change(name as K, value)]));
}

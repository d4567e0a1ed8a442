/**
 * Delays between attempts: doubling, capped, with full jitter on the upper half
 * so that the viewers of a node that died do not come back in one wave.
 */
export class Backoff {
  private attempt = 0;

  constructor(
    private readonly firstMs: number,
    private readonly capMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** Milliseconds to wait before the next attempt. */
  next(): number {
    const full = Math.min(this.capMs, this.firstMs * 2 ** Math.min(this.attempt++, 16));
    return full * (0.5 + 0.5 * this.random());
  }

  reset(): void {
    this.attempt = 0;
  }
}

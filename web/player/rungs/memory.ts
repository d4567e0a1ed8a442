// What one visit learns for the next: the network, what was chosen, and with which rung a channel begins.

const STORED = 'rushlight.rungs';
/** Channels that begin with a rung of their own. */
const STARTS_MAX = 32;

export interface Memory {
  /** Bits per second that the network carried. */
  bps?: number;
  /** For how long it has been fast enough, in ms. */
  calmMs?: number;
  /** The name of the rung that was chosen; absent where it is left to the player. */
  choice?: string;
  /** By path of the stream (`/live/cam.flv`): that of the rung to begin with, where the stream itself was too much. */
  starts: Record<string, string>;
}

export function recall(): Memory {
  try {
    const { bps, calmMs, choice, starts } = JSON.parse(localStorage.getItem(STORED) ?? '{}') as Partial<Memory>;
    return {
      ...(typeof bps === 'number' && bps > 0 ? { bps } : {}),
      ...(typeof calmMs === 'number' && calmMs > 0 ? { calmMs } : {}),
      ...(typeof choice === 'string' ? { choice } : {}),
      starts: typeof starts === 'object' && starts !== null ? starts : {},
    };
  } catch {
    return { starts: {} }; // Storage may be off limits, or hold anything.
  }
}

export function remember(change: (memory: Memory) => void): void {
  const memory = recall();
  change(memory);
  memory.starts = Object.fromEntries(Object.entries(memory.starts).slice(-STARTS_MAX));
  try {
    localStorage.setItem(STORED, JSON.stringify(memory));
  } catch {
    // Then the next visit begins as the first one did.
  }
}

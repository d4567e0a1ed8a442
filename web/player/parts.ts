import Hls, { type Events, type FragLoadedData, type FragLoadingData, type LevelDetails } from 'hls.js';

// How hls.js chooses between rungs of a stream that comes in parts.
//
// A part is decoded with what is before it in its segment. Who changes within a segment loads again what there is of it, and hls.js forgets to
// do so on its way back to a rung of which it has had parts before: their successors are dropped, and playback stands. So a larger rung is begun where a
// segment begins, and not soon after another change, which by itself makes what comes look fast. A smaller one is begun at once: it comes faster than it is
// played. A part that is late is not given up at once: what waits for a lost packet comes sooner than anything that is asked for now.

/** The part of pictures that came last. */
export interface Newest {
  level: number;
  /** Number of its segment. */
  sn: number;
  /** Seconds. */
  end: number;
}

/** A rung is played for so long before a larger one is tried. */
const UP_AFTER_MS = 8_000;
/** For so long a part is not given up, whatever is seen of it. */
const PATIENCE_MS = 700;
/** Seconds by which times of playlists are rounded. */
const ROUNDED_S = 0.01;

/** Whether what comes next is within the segment of what came last. */
export function isWithin(newest: Newest | undefined, details: Pick<LevelDetails, 'fragmentHint' | 'fragments'> | undefined): boolean {
  if (!newest || !details) return false;
  if (details.fragmentHint?.sn === newest.sn) return true;
  const segment = details.fragments.find(({ sn }) => sn === newest.sn);
  return segment !== undefined && newest.end < segment.end - ROUNDED_S;
}

export class PartsAbr extends Hls.DefaultConfig.abrController {
  private newest: Newest | undefined;
  /** What was loaded last, and since when it is another rung. */
  private level = -1;
  private since = -Infinity;
  private patience: ReturnType<typeof setTimeout> | undefined;

  protected override onFragLoading(event: Events.FRAG_LOADING, data: FragLoadingData): void {
    super.onFragLoading(event, data);
    if (data.frag.type !== 'main') return;
    clearTimeout(this.patience);
    if (!data.part) return;
    this.clearTimer();
    this.patience = setTimeout(() => super.onFragLoading(event, data), PATIENCE_MS);
  }

  protected override onFragLoaded(event: Events.FRAG_LOADED, data: FragLoadedData): void {
    super.onFragLoaded(event, data);
    const { frag, part } = data;
    if (frag.type !== 'main' || typeof frag.sn !== 'number') return;
    clearTimeout(this.patience);
    this.newest = part ? { level: frag.level, sn: frag.sn, end: part.end } : undefined;
    if (frag.level !== this.level) [this.level, this.since] = [frag.level, performance.now()];
  }

  override destroy(): void {
    clearTimeout(this.patience);
    super.destroy();
  }

  override get nextAutoLevel(): number {
    const next = super.nextAutoLevel;
    const now = this.hls?.loadLevel ?? -1;
    if (now < 0 || next <= now || this.level < 0) return next;
    const details = this.newest && this.hls.levels[this.newest.level]?.details;
    const isSoon = now !== this.level || performance.now() - this.since < UP_AFTER_MS;
    return isSoon || isWithin(this.newest, details) ? now : next;
  }

  override set nextAutoLevel(level: number) {
    super.nextAutoLevel = level;
  }
}

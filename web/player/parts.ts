import Hls, { type Events, type FragLoadedData, type LevelDetails } from 'hls.js';

// How hls.js chooses between rungs of a stream that comes in parts.
//
// A part is decoded with what is before it in its segment. Who changes within a segment loads again what there is of it, and hls.js forgets to
// do so on its way back to a rung of which it has had parts before: their successors are dropped, and playback stands. So a larger rung is begun where a
// segment begins. A smaller one is begun at once: it comes faster than it is played.

/** The part of pictures that came last. */
export interface Newest {
  level: number;
  /** Number of its segment. */
  sn: number;
  /** Seconds. */
  end: number;
}

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

  protected override onFragLoaded(event: Events.FRAG_LOADED, data: FragLoadedData): void {
    super.onFragLoaded(event, data);
    const { frag, part } = data;
    if (frag.type !== 'main' || typeof frag.sn !== 'number') return;
    this.newest = part ? { level: frag.level, sn: frag.sn, end: part.end } : undefined;
  }

  override get nextAutoLevel(): number {
    const next = super.nextAutoLevel;
    const now = this.hls?.loadLevel ?? -1;
    const details = this.newest && this.hls?.levels[this.newest.level]?.details;
    return now >= 0 && next > now && isWithin(this.newest, details) ? now : next;
  }

  override set nextAutoLevel(level: number) {
    super.nextAutoLevel = level;
  }
}

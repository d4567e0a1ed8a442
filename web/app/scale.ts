// Sums of seek bars. Seconds: of a recording after its beginning, of a live
// stream negative, behind live, so that 0 is live.

export interface Range {
  start: number;
  end: number;
}

export const inside = ({ start, end }: Range, time: number): number => Math.min(end, Math.max(start, time));

/** Where `time` lies in the range, 0 to 1. */
export function shareOf(range: Range, time: number): number {
  const length = range.end - range.start;
  return length > 0 ? (inside(range, time) - range.start) / length : 0;
}

/** The moment at `x` of a bar that begins at `left` and is `width` wide, pixels. */
export function timeAt(range: Range, x: number, left: number, width: number): number {
  const share = width > 0 ? Math.min(1, Math.max(0, (x - left) / width)) : 0;
  return range.start + share * (range.end - range.start);
}

/** Where the key of this digit goes: so many tenths of the range. */
export const tenth = (range: Range, digit: number): number => range.start + ((range.end - range.start) * digit) / 10;

/**
 * How much of the past of a live stream can be played: as much as is kept, but
 * no more than there was. The oldest second is left out, because it is gone
 * before it could be played.
 */
export function depth(keptS: number, uptimeS: number): number {
  return Math.max(0, Math.min(keptS, uptimeS) - 1);
}

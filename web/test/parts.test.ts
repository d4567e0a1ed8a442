import { describe, expect, it } from 'vitest';
import type { LevelDetails } from 'hls.js';
import { isWithin } from '../player/parts';

// Segments of two seconds, of which the third is being made.
const details = {
  fragments: [
    { sn: 7, end: 2 },
    { sn: 8, end: 4 },
  ],
  fragmentHint: { sn: 9, end: 4.667 },
} as unknown as LevelDetails;

const at = (sn: number, end: number) => ({ level: 0, sn, end });

describe('where a larger rung may begin', () => {
  it('is behind the last part of a segment', () => {
    expect(isWithin(at(8, 4), details)).toBe(false);
    expect(isWithin(at(8, 3.999), details)).toBe(false);
  });
  it('is not behind any other', () => {
    expect(isWithin(at(8, 3.667), details)).toBe(true);
  });
  it('is not in a segment that is being made, whatever there is of it', () => {
    expect(isWithin(at(9, 4.667), details)).toBe(true);
  });
  it('is anywhere as long as nothing came, and where segments are whole', () => {
    expect(isWithin(undefined, details)).toBe(false);
    expect(isWithin(at(8, 4), undefined)).toBe(false);
  });
  it('is anywhere once what came is no longer listed', () => {
    expect(isWithin(at(3, 1.5), details)).toBe(false);
  });
});

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { recall, remember } from '../player/rungs/memory';
import { beginWith, carriedBps } from '../player/rungs/start';

const rung = (name: string, kbps: number) => ({ name, url: `/live/cam~${name}.flv`, width: 0, height: 0, bps: kbps * 1000 });
const RUNGS = [rung('source', 2_400), rung('480p', 950), rung('216p', 160)];

describe('what a keyframe tells of the network', () => {
  test('is its rate, unless its connection was too young for one', () => {
    expect(carriedBps({ keyBytes: 60_000, bytes: 50_000, ms: 400, firstMs: 80 })).toBe(1_000_000);
    expect(carriedBps({ keyBytes: 60_000, bytes: 50_000, ms: 110, firstMs: 80 })).toBe(50_000_000);
  });
});

describe('a channel begins', () => {
  beforeEach(() => {
    const stored = new Map<string, string>();
    vi.stubGlobal('localStorage', { getItem: (key: string) => stored.get(key) ?? null, setItem: (key: string, text: string) => stored.set(key, text) });
  });
  afterEach(() => vi.unstubAllGlobals());
  const start = (carried: Parameters<typeof beginWith>[2], rungs = RUNGS) => {
    beginWith('/live/cam.flv', rungs, carried);
    return recall().starts['/live/cam.flv'];
  };

  test('with itself where the network is fast and near', () => {
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 20, firstMs: 15 })).toBeUndefined();
  });

  test('with what the network carries', () => {
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 70, firstMs: 40 })).toBe('/live/cam~480p.flv');
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 900, firstMs: 60 })).toBe('/live/cam~216p.flv');
  });

  test('with a keyframe that needs no second round trip where those are long', () => {
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 200, firstMs: 190 })).toBe('/live/cam~216p.flv');
  });

  test('as the last picture said, and not the one before', () => {
    start({ keyBytes: 60_000, bytes: 50_000, ms: 900, firstMs: 60 });
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 20, firstMs: 15 })).toBeUndefined();
  });

  test('as was chosen, where something was', () => {
    remember((memory) => (memory.choice = 'source'));
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 900, firstMs: 60 })).toBeUndefined();
  });

  test('with itself where there is nothing else', () => {
    expect(start({ keyBytes: 60_000, bytes: 50_000, ms: 900, firstMs: 60 }, RUNGS.slice(0, 1))).toBeUndefined();
  });
});

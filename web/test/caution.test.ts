import { describe, expect, test } from 'vitest';
import { Caution, roundTrip } from '../player/rungs/caution';

const CALM = { limitedMs: 0, lateMs: 0, roundTripMs: 60 };

/** Looks ten times a second for so long, and returns what is to be kept at the end. */
function watch(caution: Caution, from: number, ms: number, view = CALM): number {
  let keep = 0;
  for (let now = from; now <= from + ms; now += 100) keep = caution.see(now, view);
  return keep;
}

describe('what is kept', () => {
  test('becomes less as long as the network is fast enough, and nothing after ten minutes', () => {
    const caution = new Caution();
    expect(caution.see(0, CALM)).toBe(3);
    expect(watch(caution, 0, 300_000)).toBeCloseTo(1.5, 1);
    expect(watch(caution, 300_000, 301_000)).toBe(0);
  });

  test('begins where the last visit ended', () => {
    expect(new Caution(600_000).see(0, CALM)).toBe(0);
    expect(new Caution(300_000).see(0, CALM)).toBeCloseTo(1.5, 1);
    expect(new Caution(-5).see(0, CALM)).toBe(3);
  });

  test('is seconds once the network was too slow, more the later things came', () => {
    expect(watch(new Caution(600_000), 0, 100, { ...CALM, limitedMs: 300, lateMs: 400 })).toBe(4);
    expect(watch(new Caution(600_000), 0, 100, { ...CALM, limitedMs: 300, lateMs: 3_000 })).toBe(5.5);
    expect(watch(new Caution(600_000), 0, 100, { ...CALM, limitedMs: 300, lateMs: 60_000 })).toBe(8);
  });

  test('is not changed by a hiccup', () => {
    expect(watch(new Caution(600_000), 0, 100, { ...CALM, limitedMs: 200, lateMs: 400 })).toBe(0);
  });

  test('stays for a minute after the last time, then becomes less slowly', () => {
    const caution = new Caution();
    watch(caution, 0, 100, { ...CALM, limitedMs: 300, lateMs: 400 });
    expect(watch(caution, 200, 59_000)).toBe(4);
    expect(watch(caution, 60_200, 25_000)).toBeCloseTo(3.5, 1);
  });

  test('is nothing beside the server, until that is too slow all the same', () => {
    const near = { ...CALM, roundTripMs: 2 };
    const caution = new Caution();
    expect(caution.see(0, near)).toBe(0);
    expect(caution.see(100, { ...near, limitedMs: 400 })).toBe(4);
  });

  test('does not take a page that slept for one that watched', () => {
    const caution = new Caution();
    caution.see(0, CALM);
    expect(caution.see(3_600_000, CALM)).toBeGreaterThan(2.9);
  });
});

describe('round trip', () => {
  const entry = (requestStart: number, responseStart: number, transferSize = 300) =>
    ({ requestStart, responseStart, transferSize }) as PerformanceResourceTiming;

  test('is the shortest, without what came out of a cache', () => {
    expect(roundTrip([entry(10, 90), entry(100, 162), entry(200, 201, 0)])).toBe(62);
  });

  test('is not known where nothing was asked for, or other hosts do not tell', () => {
    expect(roundTrip([])).toBeUndefined();
    expect(roundTrip([entry(0, 0)])).toBeUndefined();
  });
});

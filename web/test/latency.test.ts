import { describe, expect, test } from 'vitest';
import { LatencyController } from '../player/latency';

/** Packets every 33 ms for `ms`, each late by what `late` says. */
function feed(controller: LatencyController, from: number, ms: number, late: (media: number) => number = () => 0): number {
  for (let media = from; media < from + ms; media += 33) {
    controller.arrived(media + late(media), media);
    controller.decide(media, controller.target);
  }
  return from + ms;
}

describe('rate', () => {
  test('stays at 1 around the target', () => {
    const c = new LatencyController();
    for (const buffered of [0.9, 1, 1.1, 1.2]) expect(c.decide(0, buffered)).toEqual({ rate: 1 });
  });

  test('rises with the distance, never above 1.1', () => {
    const rates = [1.28, 1.5, 1.9, 4.9].map((buffered) => new LatencyController().decide(0, buffered).rate);
    expect(rates).toEqual([1.03, 1.06, 1.1, 1.1]);
  });

  test('chases until the target is reached, then stops', () => {
    const c = new LatencyController();
    expect(c.decide(0, 1.5).rate).toBe(1.06);
    expect(c.decide(100, 1.1).rate).toBe(1.06);
    expect(c.decide(200, 1.02).rate).toBe(1);
    expect(c.decide(300, 1.1).rate).toBe(1);
  });

  test('falls when little is left, and recovers', () => {
    const c = new LatencyController();
    expect(c.decide(0, 0.2).rate).toBe(0.95);
    expect(c.decide(100, 0.6).rate).toBe(0.95);
    expect(c.decide(200, 0.8).rate).toBe(1);
  });
});

describe('seek', () => {
  test('happens once when far behind, not again at once', () => {
    const c = new LatencyController();
    expect(c.decide(0, 8)).toEqual({ rate: 1, seekBehind: 1 });
    expect(c.decide(100, 8).seekBehind).toBeUndefined();
    expect(c.decide(5_000, 8).rate).toBe(1.1);
    expect(c.decide(10_100, 8).seekBehind).toBe(1);
  });

  test('does not happen at five seconds', () => {
    expect(new LatencyController().decide(0, 5).seekBehind).toBeUndefined();
  });
});

describe('target', () => {
  test('goes down to its floor on a steady connection, slowly', () => {
    const c = new LatencyController();
    feed(c, 0, 9_000);
    expect(c.target).toBeGreaterThan(0.9);
    feed(c, 9_000, 20_000);
    expect(c.target).toBe(0.3);
  });

  test('follows jitter at once', () => {
    const c = new LatencyController();
    let now = feed(c, 0, 30_000);
    now = feed(c, now, 3_000, (media) => (media % 990 < 33 ? 800 : 0));
    expect(c.jitterMs).toBe(800);
    expect(c.target).toBeCloseTo(1.25, 1);
  });

  test('ignores a single late second', () => {
    const c = new LatencyController();
    const now = feed(c, 0, 30_000);
    c.arrived(now + 700, now);
    c.decide(now + 700, 1);
    expect(c.target).toBe(0.3);
  });

  test('is never above three seconds', () => {
    const c = new LatencyController();
    feed(c, 0, 30_000, (media) => (media % 990 < 33 ? 9_000 : 0));
    expect(c.target).toBe(3);
  });

  test('rises after a stall and forgets it within two minutes', () => {
    const c = new LatencyController();
    let now = feed(c, 0, 30_000);
    c.stalled();
    now = feed(c, now, 100);
    expect(c.target).toBeGreaterThan(0.6);
    feed(c, now, 120_000);
    expect(c.target).toBe(0.3);
  });

  test('does not take the join burst for jitter', () => {
    const c = new LatencyController();
    // Two seconds of backlog arrive at once, then live.
    for (let media = 0; media < 2_000; media += 33) c.arrived(2_000, media);
    feed(c, 2_000, 40_000);
    expect(c.jitterMs).toBe(0);
    expect(c.target).toBe(0.3);
  });
});

test('the live edge is the fastest arrival, extrapolated', () => {
  const c = new LatencyController();
  expect(c.liveEdge(0)).toBeUndefined();
  c.arrived(1_500, 0);
  c.arrived(1_500, 1_000);
  c.arrived(1_700, 1_033);
  expect(c.liveEdge(2_000)).toBe(1_500);
});

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
    for (const buffered of [0.6, 0.7, 0.8, 0.9]) expect(c.decide(0, buffered)).toEqual({ rate: 1 });
  });

  test('rises with the distance, never above 1.25', () => {
    const rates = [0.9, 1, 1.2, 1.9, 4.9].map((buffered) => new LatencyController().decide(0, buffered).rate);
    expect(rates).toEqual([1, 1.06, 1.15, 1.25, 1.25]);
  });

  test('chases until the target is reached, then stops', () => {
    const c = new LatencyController();
    const rates = [1.3, 1.15, 1.05, 1.02, 0.95, 0.85, 0.82, 0.9].map((buffered) => c.decide(0, buffered).rate);
    expect(rates).toEqual([1.25, 1.25, 1.15, 1.15, 1.06, 1.06, 1, 1]);
  });

  test('falls when little is left, and recovers', () => {
    const c = new LatencyController();
    expect(c.decide(0, 0.2).rate).toBe(0.95);
    expect(c.decide(100, 0.5).rate).toBe(0.95);
    expect(c.decide(200, 0.8).rate).toBe(1);
  });
});

describe('gathering', () => {
  test('plays slower until nearly all is there that is to be kept', () => {
    const c = new LatencyController();
    c.keep = 4;
    expect([1, 2.9, 3.5, 3.7, 3.1].map((buffered) => c.decide(0, buffered).rate)).toEqual([0.94, 0.94, 0.94, 1, 1]);
  });
});

describe('seek', () => {
  test('happens once when far behind, not again at once', () => {
    const c = new LatencyController();
    expect(c.decide(0, 8)).toEqual({ rate: 1, seekBehind: 0.8 });
    expect(c.decide(100, 8).seekBehind).toBeUndefined();
    expect(c.decide(5_000, 8).rate).toBe(1.25);
    expect(c.decide(10_100, 8).seekBehind).toBe(0.8);
  });

  test('does not happen at five seconds', () => {
    expect(new LatencyController().decide(0, 5).seekBehind).toBeUndefined();
  });
});

describe('target', () => {
  test('is a guess at first, which gives way once the connection has been seen', () => {
    const c = new LatencyController();
    feed(c, 0, 3_900);
    expect(c.target).toBe(0.8);
    feed(c, 3_900, 2_300);
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

  test('is what is to be kept in any case', () => {
    const c = new LatencyController();
    c.keep = 4;
    feed(c, 0, 10_000);
    expect(c.target).toBe(4);
    c.keep = 0;
    feed(c, 10_000, 60_000);
    expect(c.target).toBeCloseTo(1.3, 0);
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
    now = feed(c, now, 2_000);
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

describe('a start with a backlog', () => {
  /** Joins `backlog` seconds behind live: some at once, the rest at twice the media rate, with late packets as `late` says. */
  function join(backlog: number, late: (media: number) => number = () => 0) {
    const c = new LatencyController();
    let at = 0;
    const packets = Array.from({ length: 30_000 / 33 }, (_, i) => {
      const media = i * 33;
      // In order: a late packet holds back those behind it.
      at = Math.max(at, (media - 500) / 2, media - backlog * 1000 + late(media));
      return { media, at };
    });
    let [played, received, stalls, settled] = [0, 0, 0, 0];
    const rates: number[] = [];
    for (let now = 0; now < 20_000; now += 100) {
      for (; packets[0]!.at <= now; packets.shift()) {
        received = packets[0]!.media;
        c.arrived(packets[0]!.at, received);
      }
      const buffered = (received - played) / 1000;
      if (!played && buffered < 0.2) continue;
      if (buffered <= 0) stalls++;
      const { rate, seekBehind } = c.decide(now, buffered);
      expect(seekBehind).toBeUndefined();
      played = Math.min(received, played + 100 * rate);
      rates.push(rate);
      if (buffered > c.target + 0.2 || c.target > 0.6) settled = now + 100;
    }
    const changes = rates.filter((rate, i) => rate !== rates[i - 1]).length;
    return { settled, changes, stalls, rates, target: c.target };
  }

  test('settles within eight seconds from two behind, in a few steps', () => {
    const { settled, changes, stalls, target } = join(2);
    expect(settled).toBeLessThanOrEqual(8_000);
    expect(changes).toBeLessThanOrEqual(7);
    expect(stalls).toBe(0);
    expect(target).toBe(0.3);
  });

  test('keeps more where packets come late, and does not run dry', () => {
    const { settled, stalls, target } = join(2, (media) => (media % 990 < 33 ? 250 : 0));
    expect(stalls).toBe(0);
    expect(target).toBeGreaterThan(0.5);
    expect(settled).toBeLessThanOrEqual(8_000);
  });

  test('does not hurry from half a second behind', () => {
    const { rates } = join(0.5);
    expect(Math.max(...rates)).toBeLessThanOrEqual(1.06);
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

import { expect, test } from 'vitest';
import { Throughput } from '../player/rungs/throughput';

const FRAME_MS = 40;
const PACKET = 1_400;

/**
 * A stream of `bps` over a network whose rate changes: `[seconds, bits per second]`. Each frame is sent when it is
 * made, and comes in packets behind what waits already. Returns when the last byte was here.
 */
function send(meter: Throughput, bps: number, network: [number, number][], from = 0): number {
  let free = from;
  let made = from;
  for (const [seconds, rate] of network) {
    for (const until = made + seconds * 1000; made < until; made += FRAME_MS) {
      free = Math.max(free, made);
      for (let left = (bps * FRAME_MS) / 8_000; left > 0; left -= PACKET) {
        const size = Math.min(left, PACKET);
        free += (size * 8_000) / rate;
        meter.chunk(free, size);
      }
      meter.frame(free, made);
    }
  }
  return free;
}

test('a stream that comes as fast as it is made says only what the network carries at least', () => {
  const meter = new Throughput();
  send(meter, 1_000_000, [[5, 20_000_000]]);
  expect(meter.bps! / 1e6).toBeCloseTo(1, 0);
  expect([meter.limitedMs, meter.limitedAt]).toEqual([0, -Infinity]);
});

test('a network that is too slow is measured within half a second', () => {
  const meter = new Throughput(5_000_000);
  const end = send(meter, 2_000_000, [[3, 5_000_000], [0.25, 700_000]]);
  expect(end).toBeGreaterThan(3_300);
  expect(meter.limitedMs).toBeGreaterThan(250);
  expect(meter.bps! / 1e6).toBeGreaterThan(0.5);
  expect(meter.bps! / 1e6).toBeLessThan(1.2);
});

/**
 * The same where packets get lost: what comes behind a lost one is held back until that has come again, so all of it is read at once,
 * after `silenceMs` of nothing. Somebody looks ten times a second. Returns the greatest and the least estimate and what was limited last.
 */
function sendInBursts(meter: Throughput, bps: number, network: [number, number][], silenceMs: number) {
  const arrivals: [number, () => void][] = [];
  let free = 0;
  let made = 0;
  for (const [seconds, rate] of network) {
    for (const until = made + seconds * 1000; made < until; made += FRAME_MS) {
      const [size, at] = [(bps * FRAME_MS) / 8_000, made];
      free = Math.max(free, made) + (size * 8_000) / rate;
      const held = free - made > 200 ? Math.ceil(free / silenceMs) * silenceMs : free;
      arrivals.push([held, () => (meter.chunk(held, size), meter.frame(held, at))]);
    }
  }
  const end = arrivals[arrivals.length - 1]![0];
  for (let at = 0; at <= end; at += 100) arrivals.push([at, () => seen(at)]);
  const seenBps: number[] = [];
  let limitedMs = 0;
  function seen(at: number) {
    meter.look(at);
    limitedMs = Math.max(limitedMs, meter.limitedMs);
    // From two seconds into the slow part on.
    if (at > network[0]![0] * 1000 + 2_000) seenBps.push(meter.bps!);
  }
  for (const [, run] of arrivals.sort((a, b) => a[0] - b[0])) run();
  return { most: Math.max(...seenBps), least: Math.min(...seenBps), limitedMs };
}

test('bursts between silences are as slow as both together', () => {
  const { most, least, limitedMs } = sendInBursts(new Throughput(5_000_000), 950_000, [[3, 5_000_000], [4, 500_000]], 400);
  expect(limitedMs).toBeGreaterThan(1_500);
  expect(least / 1e6).toBeGreaterThan(0.3);
  expect(most / 1e6).toBeLessThan(0.7);
});

test('a network that collapses in a slow spell is as slow as it is now, a second later', () => {
  const meter = new Throughput(5_000_000);
  send(meter, 1_000_000, [[3, 5_000_000], [2, 850_000], [0.4, 200_000]]);
  expect(meter.bps! / 1e6).toBeLessThan(0.35);
});

test('lateness grows while nothing comes that is due', () => {
  const meter = new Throughput(5_000_000);
  send(meter, 1_000_000, [[3, 5_000_000]]);
  const end = send(meter, 1_000_000, [[0.6, 700_000]], 3_000);
  const before = meter.limitedMs;
  for (let at = end; at <= end + 1_000; at += 100) meter.look(at);
  expect(meter.dueLateMs(end + 1_000)).toBeGreaterThan(1_000);
  expect(meter.limitedMs - before).toBeGreaterThan(800);
  expect(meter.bps! / 1e6, 'and the network carries what came in all that time').toBeLessThan(0.45);
});

test('a network that carries nearly enough is too slow all the same', () => {
  const meter = new Throughput(5_000_000);
  send(meter, 470_000, [[2, 5_000_000], [6, 400_000]]);
  expect(meter.limitedMs).toBeGreaterThan(300);
  expect(meter.bps! / 1e6).toBeCloseTo(0.4, 1);
});

test('pictures far apart are not late while the next one is not due', () => {
  const meter = new Throughput(5_000_000);
  // 12.5 in a second, each a little early or late, and all a quarter of a second later than the first.
  for (let i = 0; i < 100; i++) {
    const at = i * 80 + (i ? 250 : 0) + (i % 3) * 15;
    meter.chunk(at, 1_500);
    meter.frame(at, i * 80);
    meter.chunk(at + 40, 150);
  }
  expect(meter.limitedMs).toBeLessThan(200);
});

test('what catches up raises the estimate and is not slow', () => {
  const meter = new Throughput(400_000);
  send(meter, 2_000_000, [[1, 1_000_000], [3, 4_000_000]]);
  expect(meter.limitedMs).toBe(0);
  expect(meter.bps).toBeGreaterThan(1_500_000);
});

test('a host that pauses makes nothing slow', () => {
  const meter = new Throughput(5_000_000);
  send(meter, 1_000_000, [[3, 5_000_000]]);
  for (let at = 3_000; at < 3_600; at += 100) meter.look(at);
  // The sender's clock went on, and what it says comes half a second later from now on.
  for (let i = 0; i < 100; i++) {
    meter.chunk(3_600 + i * FRAME_MS, 5_000);
    meter.frame(3_600 + i * FRAME_MS, 3_000 + i * FRAME_MS);
  }
  expect([meter.limitedMs, meter.limitedAt]).toEqual([0, -Infinity]);
  expect(meter.lateMs).toBeGreaterThan(500);
  expect(meter.bps).toBe(5_000_000);
});

test('a page that was busy and reads much at once does not make the network fast', () => {
  const meter = new Throughput(700_000);
  meter.chunk(0, 1_000);
  meter.frame(0, 0);
  for (let i = 0; i < 400; i++) meter.chunk(100 + i / 100, 60_000);
  meter.frame(104, 100);
  for (let i = 1; i < 10; i++) meter.chunk(104 + i * 40, 1_000);
  expect(meter.bps).toBeLessThanOrEqual(1_400_000);
});

test('another clock begins anew', () => {
  const meter = new Throughput();
  send(meter, 1_000_000, [[2, 5_000_000]]);
  meter.frame(2_000, 5_000_000);
  expect(meter.lateMs).toBe(0);
  meter.frame(2_040, 0);
  expect(meter.lateMs).toBe(0);
});

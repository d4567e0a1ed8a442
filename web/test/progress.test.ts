import { expect, test } from 'vitest';
import { Progress } from '../player/progress';

/** Frames every 40 ms in `[from, to)`, with the playhead where `time` puts it. */
function run(p: Progress, from: number, to: number, time: (now: number) => number): boolean {
  let stuck = false;
  for (let now = from; now < to; now += 40) {
    p.frame(now);
    p.at(now, time(now), true);
    stuck ||= p.stuck(now);
  }
  return stuck;
}

test('a stall counts with its length, once', () => {
  const p = new Progress();
  p.stallBegins(1_000);
  p.stallBegins(1_100);
  expect(p.stallEnds(1_500)).toBe(true);
  expect(p.stallEnds(1_600)).toBe(false);
  expect([p.stalls, p.stallMs]).toEqual([1, 500]);
});

test('a hiccup too short to see does not count', () => {
  const p = new Progress();
  p.stallBegins(1_000);
  expect(p.stallEnds(1_050)).toBe(false);
  expect(p.stalls).toBe(0);
});

test('a stop that is the doing of the host does not count', () => {
  const p = new Progress();
  p.stallBegins(1_000);
  p.stallExcused();
  expect(p.stallEnds(9_000)).toBe(false);
  expect([p.stalls, p.stallMs]).toEqual([0, 0]);
});

test('a playhead that moves is never stuck', () => {
  expect(run(new Progress(), 0, 60_000, (now) => now)).toBe(false);
});

test('a playhead that stands although frames flow is stuck', () => {
  const p = new Progress();
  p.begin(0);
  expect(run(p, 0, 2_500, () => 1)).toBe(false);
  expect(run(p, 2_520, 3_000, () => 1)).toBe(true);
  expect(p.stuck(3_000)).toBe(false);
});

test('frames that only just came back get their time first', () => {
  const p = new Progress();
  run(p, 0, 1_000, (now) => now);
  // Nothing for half a minute, then frames again.
  expect(run(p, 30_000, 32_400, () => 960)).toBe(false);
});

test('standing still is counted from the last move, and not while paused', () => {
  const p = new Progress();
  p.at(1_000, 5, true);
  p.at(1_400, 5, true);
  expect(p.stillMs(1_500)).toBe(500);
  p.at(2_000, 5, false);
  expect(p.stillMs(2_100)).toBe(100);
});

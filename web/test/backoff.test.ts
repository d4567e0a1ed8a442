import { expect, test } from 'vitest';
import { Backoff } from '../player/backoff';

test('delays double up to the cap', () => {
  const backoff = new Backoff(300, 5_000, () => 1);
  expect(Array.from({ length: 6 }, () => backoff.next())).toEqual([300, 600, 1200, 2400, 4800, 5000]);
});

test('jitter takes at most half away', () => {
  const least = new Backoff(300, 5_000, () => 0);
  expect([least.next(), least.next()]).toEqual([150, 300]);
});

test('many attempts stay at the cap', () => {
  const backoff = new Backoff(300, 5_000, () => 1);
  for (let i = 0; i < 2_000; i++) backoff.next();
  expect(backoff.next()).toBe(5_000);
});

test('a success begins anew', () => {
  const backoff = new Backoff(300, 5_000, () => 1);
  backoff.next();
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(300);
});

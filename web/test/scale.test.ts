import { describe, expect, test } from 'vitest';
import { depth, inside, shareOf, tenth, timeAt } from '../app/scale';

const past = { start: -120, end: 0 };
const recording = { start: 0, end: 90 };

describe('the bar over a range', () => {
  test('places a moment by its share, and what lies outside at the nearer end', () => {
    expect(shareOf(past, -120)).toBe(0);
    expect(shareOf(past, -30)).toBe(0.75);
    expect(shareOf(past, 0)).toBe(1);
    expect(shareOf(past, -500)).toBe(0);
    expect(shareOf(recording, 500)).toBe(1);
  });

  test('gives the moment under a pointer back that it placed there', () => {
    const [left, width] = [40, 640];
    for (const at of [-120, -77, -0.5, 0]) {
      expect(timeAt(past, left + shareOf(past, at) * width, left, width)).toBeCloseTo(at, 6);
    }
  });

  test('ends where it ends, however far a finger is dragged past it', () => {
    expect(timeAt(recording, -300, 40, 640)).toBe(0);
    expect(timeAt(recording, 3_000, 40, 640)).toBe(90);
  });

  test('without any width or length has one place only', () => {
    expect(timeAt(recording, 100, 40, 0)).toBe(0);
    expect(shareOf({ start: 0, end: 0 }, 5)).toBe(0);
  });
});

test('digits are tenths of what can be played', () => {
  expect(tenth(past, 0)).toBe(-120);
  expect(tenth(past, 5)).toBe(-60);
  expect(tenth(recording, 9)).toBeCloseTo(81);
});

test('moments outside the range are moved to its ends', () => {
  expect(inside(past, 3)).toBe(0);
  expect(inside(past, -200)).toBe(-120);
  expect(inside(recording, 12)).toBe(12);
});

test('no more of the past can be played than there was, and the oldest second is about to go', () => {
  expect(depth(7_200, 60)).toBe(59);
  expect(depth(60, 7_200)).toBe(59);
  expect(depth(0, 7_200)).toBe(0);
  expect(depth(60, 0.4)).toBe(0);
});

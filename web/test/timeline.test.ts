import { expect, test } from 'vitest';
import { Timeline } from '../player/timeline';

const video = (t: Timeline, dts: number) => dts - t.base('video', dts);
const audio = (t: Timeline, dts: number) => dts - t.base('audio', dts);

function playing(): Timeline {
  const t = new Timeline();
  t.start(5_000);
  for (let i = 0; i <= 100; i++) {
    video(t, 5_000 + i * 40);
    audio(t, 5_000 + i * 40);
  }
  return t;
}

test('the first picture is at zero and sound before it lies before zero', () => {
  const t = new Timeline();
  t.start(5_000);
  expect(video(t, 5_000)).toBe(0);
  expect(audio(t, 4_980)).toBe(-20);
});

test('small gaps and reordering of arrival stay as they are', () => {
  const t = playing();
  expect(video(t, 9_500)).toBe(4_500);
  expect(audio(t, 9_100)).toBe(4_100);
  expect(video(t, 12_000)).toBe(7_000);
});

test('a clock that starts again continues where playback is, for both tracks', () => {
  const t = playing();
  expect(video(t, 0)).toBe(4_040);
  expect(audio(t, 10)).toBe(4_050);
  expect(video(t, 40)).toBe(4_080);
});

test('a clock that leaps ahead is brought back', () => {
  const t = playing();
  expect(audio(t, 1_000_000)).toBe(4_040);
  expect(video(t, 1_000_020)).toBe(4_060);
});

test('after a reconnect the same clock may repeat a whole group of pictures', () => {
  const t = playing();
  t.rejoin();
  expect(video(t, 5_000)).toBe(0);
  expect(audio(t, 5_000)).toBe(0);
  expect(video(t, 5_040)).toBe(40);
});

test('after a reconnect a new clock is spliced on', () => {
  const t = playing();
  t.rejoin();
  expect(video(t, 500_000)).toBe(4_040);
  expect(audio(t, 500_005)).toBe(4_045);
});

test('a track that appears later shares the time of the other', () => {
  const t = new Timeline();
  t.start(1_000);
  video(t, 1_000);
  video(t, 60_000);
  expect(audio(t, 60_010)).toBe(video(t, 60_010));
});

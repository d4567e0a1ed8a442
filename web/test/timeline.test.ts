import { expect, test } from 'vitest';
import { Timeline } from '../player/timeline';

const place = (kind: 'video' | 'audio') => (t: Timeline, dts: number) => {
  const base = t.base(kind, dts);
  return base === undefined ? 'known' : dts - base;
};
const video = place('video');
const audio = place('audio');

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

test('after a reconnect on the same clock what was received before is left out', () => {
  const t = playing();
  t.rejoin(2_000);
  expect([video(t, 8_000), audio(t, 8_000), video(t, 9_000)]).toEqual(['known', 'known', 'known']);
  expect([video(t, 9_040), audio(t, 9_021), video(t, 9_080)]).toEqual([4_040, 4_021, 4_080]);
});

test('after a reconnect with another coding everything is taken', () => {
  const t = playing();
  t.rejoin(2_000);
  t.forget();
  expect([video(t, 8_000), audio(t, 8_000)]).toEqual([3_000, 3_000]);
});

test('where only the pictures are coded in another way, sound that was received is left out', () => {
  const t = playing();
  t.rejoin(0);
  t.forget('video');
  expect([video(t, 8_000), audio(t, 8_000), audio(t, 9_021)]).toEqual([3_000, 'known', 4_021]);
});

test('a new clock begins behind the last picture in order of display', () => {
  const t = playing();
  t.base('video', 9_040, 9_200);
  t.cut();
  expect(video(t, 0)).toBe(4_240);
});

test('after a long outage the same clock leaves a hole as long as the outage', () => {
  const t = playing();
  t.rejoin(60_000);
  expect(video(t, 67_000)).toBe(62_000);
  expect(audio(t, 67_000)).toBe(62_000);
});

test('after a reconnect a new clock is spliced on, even one that is near', () => {
  for (const [elapsed, clock] of [[1_000, 500_000], [30_000, 0]] as const) {
    const t = playing();
    t.rejoin(elapsed);
    expect(video(t, clock)).toBe(4_040);
    expect(audio(t, clock + 5)).toBe(4_045);
  }
});

test('a clock that starts again soon is told by the distance of keyframes', () => {
  const t = playing();
  t.key(5_000);
  t.key(7_000);
  t.rejoin(6_000);
  expect(video(t, 5_500)).toBe(4_040);
  const same = playing();
  same.key(5_000);
  same.key(7_000);
  same.rejoin(2_000);
  expect(video(same, 7_000)).toBe('known');
});

test('a connection that asks to begin behind live may begin there', () => {
  const t = playing();
  t.key(5_000);
  t.key(6_000);
  t.rejoin(5_000, 8_000);
  expect(video(t, 5_000)).toBe('known');
});

test('a cut puts what follows right behind what was there', () => {
  const t = playing();
  t.cut();
  expect(video(t, 8_000)).toBe(4_040);
  expect(audio(t, 8_010)).toBe(4_050);
});

test('a track that appears later shares the time of the other', () => {
  const t = new Timeline();
  t.start(1_000);
  video(t, 1_000);
  video(t, 60_000);
  expect(audio(t, 60_010)).toBe(video(t, 60_010));
});

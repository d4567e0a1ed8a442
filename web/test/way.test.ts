import { expect, test } from 'vitest';
import { livesByHls } from '../app/way';

const both = { mse: true, native: false };

test('live comes as FLV as long as that plays', () => {
  for (const state of ['starting', 'live', 'behind', 'paused', 'waiting', 'forbidden'] as const) {
    expect(livesByHls('', state, both)).toBe(false);
  }
});

test('live comes as HLS where the address asks for it', () => {
  expect(livesByHls('?protocol=hls', undefined, both)).toBe(true);
  expect(livesByHls('?startPts=-5&protocol=hls', undefined, both)).toBe(true);
  expect(livesByHls('?protocol=flv', 'live', both)).toBe(false);
});

test('live comes as HLS where FLV turned out not to play', () => {
  expect(livesByHls('', 'unsupported', both)).toBe(true);
});

test('a browser without media sources plays the playlist itself, if it can', () => {
  expect(livesByHls('', 'unsupported', { mse: false, native: true })).toBe(true);
  expect(livesByHls('?protocol=hls', 'unsupported', { mse: false, native: false })).toBe(false);
});

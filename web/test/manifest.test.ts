import { expect, test } from 'vitest';
import { rungsOf } from '../player/rungs/manifest';

const entry = (qualityType: string, maxBitrate: number, more = {}) =>
  ({ id: 1, codec: 'avc1.64001f,mp4a.40.2', url: `/live/cam~${qualityType}.flv`, maxBitrate, width: 854, height: 480, qualityType, ...more });
const manifest = (...representation: unknown[]) => ({ version: '1.0.0', adaptationSet: [{ id: 1, duration: 1000, representation }] });

test('the stream itself comes first, the others by their rate, and what is hidden not at all', () => {
  const rungs = rungsOf(manifest(entry('source', 0), entry('240p', 350), entry('480p', 1_200), entry('join', 500, { hidden: true })));
  expect(rungs.map(({ name, bps }) => [name, bps])).toEqual([['source', 0], ['480p', 1_200_000], ['240p', 350_000]]);
  expect(rungs[1]).toMatchObject({ url: '/live/cam~480p.flv', width: 854, height: 480 });
});

test('anything else is no list', () => {
  for (const value of [undefined, null, 1, 'x', {}, { adaptationSet: 1 }, { adaptationSet: [null] }, manifest(null, 3, {}, { url: 1 })]) {
    expect(rungsOf(value)).toEqual([]);
  }
});

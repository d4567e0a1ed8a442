import { expect, test, vi } from 'vitest';
import { begunAt, channelOf } from '../app/recording-card';

// The texts ask the browser for its language.
vi.mock('../app/strings', () => ({}));

test('the name of a recording says when it began', () => {
  expect(begunAt('20261123T043000Z-1a2b3c4d')).toBe('2026-11-23T04:30:00Z');
  expect(begunAt('nothing')).toBeUndefined();
});

test('the usual app goes without saying', () => {
  expect(channelOf('live/cam')).toBe('cam');
  expect(channelOf('show/cam')).toBe('show/cam');
});

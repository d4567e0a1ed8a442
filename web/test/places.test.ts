import { beforeEach, describe, expect, test, vi } from 'vitest';
import { LivePlaces } from '../app/places';
import type { RushlightPlayer } from '../player/element';
import { PAUSE_RELEASE_MS } from '../player/playback';

/** A live stream that is played as FLV, 1 s behind live, with so many seconds behind the playhead in the buffer. */
function watching(bufferedS: number) {
  const did: string[] = [];
  const engine = {
    latencyMs: 1_000,
    paused: false,
    goLive: () => did.push('goLive'),
    skip: (by: number) => did.push(`skip ${by}`),
    play: () => {
      engine.paused = false;
      did.push('play');
    },
    pause: () => {
      engine.paused = true;
      did.push('pause');
    },
    retryNow: () => did.push('retryNow'),
  };
  const video = { currentTime: 100, buffered: { length: 1, start: () => 100 - bufferedS, end: () => 101 } };
  const player = { engine, video, swap: () => did.push('rewind') } as unknown as RushlightPlayer;
  return { did, engine, places: new LivePlaces(player, '/live/cam/rewind.m3u8', () => did.push('live')) };
}

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now);
});

describe('going back in a live stream', () => {
  test('stays in the buffer as far as that reaches', () => {
    const { did, places } = watching(10);
    places.depthS = 60;
    places.go(places.at - 5);
    expect(did).toEqual(['skip -5']);
  });

  test('takes what the server kept where the buffer ends', () => {
    const { did, places } = watching(10);
    places.depthS = 60;
    places.go(-40);
    expect(did).toEqual(['rewind']);
  });

  test('goes as far as the buffer where the server kept nothing', () => {
    const { did, places } = watching(10);
    expect(places.range).toBeUndefined();
    places.go(-40);
    expect(did).toEqual(['skip -39']);
  });

  test('and forward ends at live', () => {
    const { did, engine, places } = watching(10);
    engine.latencyMs = 6_000;
    places.depthS = 60;
    places.go(places.at + 5);
    places.go(20);
    expect(did).toEqual(['goLive', 'goLive']);
  });
});

describe('a pause', () => {
  test('keeps its place while the buffer holds it', () => {
    const { did, places } = watching(10);
    places.pause();
    now += 5_000;
    places.play();
    expect(did).toEqual(['pause', 'skip 0', 'play']);
  });

  test('keeps its place on the server when the connection was given back', () => {
    const { did, places } = watching(10);
    places.depthS = 60;
    places.pause();
    now += PAUSE_RELEASE_MS + 1_000;
    places.play();
    expect(did).toEqual(['pause', 'rewind']);
  });

  test('ends at live where nothing was kept', () => {
    const { did, places } = watching(10);
    places.pause();
    now += PAUSE_RELEASE_MS + 1_000;
    places.play();
    expect(did).toEqual(['pause', 'play']);
  });
});

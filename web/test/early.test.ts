import { expect, test, vi } from 'vitest';
import { startUrl, streamUrl } from '../player/early';

const at = (path: string) => streamUrl(new URL(path, 'http://host'));

test('the address of the page names the stream', () => {
  expect(at('/watch/demo')).toBe('/live/demo.flv');
  expect(at('/watch/demo/')).toBe('/live/demo.flv');
  expect(at('/watch/%E7%9B%B4%E6%92%AD')).toBe('/live/%E7%9B%B4%E6%92%AD.flv');
});

test('a join position is passed on when it is a number', () => {
  expect(at('/watch/demo?startPts=-2000')).toBe('/live/demo.flv?startPts=-2000');
  expect(at('/watch/demo?startPts=1e9%26x')).toBe('/live/demo.flv');
});

test('where HLS is asked for, nothing is asked for as FLV', () => {
  expect(at('/watch/demo?protocol=hls')).toBeUndefined();
});

test('other pages have no stream', () => {
  expect(at('/')).toBeUndefined();
  expect(at('/watch/')).toBeUndefined();
  expect(at('/watch/a/b')).toBeUndefined();
});

test('what gives access is passed on', () => {
  expect(at('/watch/demo?key=a%26b')).toBe('/live/demo.flv?key=a%26b');
  expect(at('/watch/demo?signature=ff&expires=17&t=3')).toBe('/live/demo.flv?expires=17&signature=ff');
});

test('where the network was too slow for a stream, the next visit begins with the rung that was not', () => {
  const stored = (text: string | null) => vi.stubGlobal('localStorage', { getItem: () => text });
  stored('{"starts":{"/live/demo.flv":"/live/demo~480p.flv"}}');
  expect(startUrl('/live/demo.flv?key=a')).toBe('/live/demo~480p.flv?key=a&startPts=-3000');
  expect(startUrl('/live/demo.flv')).toBe('/live/demo~480p.flv?startPts=-3000');
  expect(startUrl('/live/demo.flv?startPts=-9000'), 'where somebody says from where').toBe('/live/demo~480p.flv?startPts=-9000');
  expect(startUrl('/live/other.flv')).toBe('/live/other.flv');
  for (const text of [null, '', '{}', '[]', '1']) {
    stored(text);
    expect(startUrl('/live/demo.flv')).toBe('/live/demo.flv');
  }
  vi.unstubAllGlobals();
});

import { expect, test, vi } from 'vitest';
import type { Controls } from '../app/controls';
import { actions } from '../app/keys';
import type { Places } from '../app/places';
import type { Range } from '../app/scale';

// The texts ask the browser for its language.
vi.mock('../app/strings', () => ({ t: (key: string) => key }));

/** A player at `at`, and what its keys do. */
function keyboard(live: boolean, at: number, range?: Range) {
  const did: string[] = [];
  const note = (name: string) => (value?: unknown) => void did.push(value === undefined ? name : `${name} ${String(value)}`);
  const places = { live, at, range, go: note('go'), goLive: note('live') } as unknown as Places;
  const controls = new Proxy({}, { get: (_, name) => note(String(name)) }) as Controls;
  const table = actions(places, controls, { stats: note('stats'), list: note('list') });
  return (...keys: string[]) => {
    for (const key of keys) table[key]!();
    return did.splice(0);
  };
}

test('letters are those of YouTube', () => {
  const press = keyboard(false, 40, { start: 0, end: 100 });
  expect(press(' ', 'k', 'f', 'm', 'c', 'i', '?')).toEqual(
    ['togglePlay', 'togglePlay', 'toggleFullscreen', 'toggleSound', 'toggleCaptions', 'stats', 'list']);
  expect(press('j', 'l', 'ArrowLeft', 'ArrowRight')).toEqual(['go 30', 'go 50', 'go 35', 'go 45']);
  expect(press('ArrowUp', 'ArrowDown', '<', '>')).toEqual(['changeVolume 1', 'changeVolume -1', 'changeRate -1', 'changeRate 1']);
});

test('Home, End and digits go to places of a recording', () => {
  expect(keyboard(false, 40, { start: 0, end: 200 })('Home', 'End', '0', '3', '9')).toEqual(['go 0', 'go 200', 'go 0', 'go 60', 'go 180']);
});

test('L and End go to live, where there is such a thing', () => {
  expect(keyboard(true, -30, { start: -60, end: 0 })('l', 'End', 'j', 'Home', '5')).toEqual(['live', 'live', 'go -40', 'go -60', 'go -30']);
});

test('where there is nothing to go to, digits do nothing', () => {
  expect(keyboard(true, -1)('0', '5', 'Home')).toEqual([]);
});

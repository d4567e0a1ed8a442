import { afterEach, expect, test, vi } from 'vitest';
import { chosenTheme, switchTheme } from '../app/theme';

afterEach(() => vi.unstubAllGlobals());

function page(stored?: string) {
  const kept = new Map(stored ? [['rushlight.theme', stored]] : []);
  const dataset: Record<string, string> = {};
  vi.stubGlobal('localStorage', { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
  vi.stubGlobal('document', { documentElement: { dataset }, querySelector: () => null });
  return dataset;
}

test('a page is dark until the person chooses otherwise, and stays as chosen', () => {
  const dataset = page();
  expect(chosenTheme()).toBe('dark');
  switchTheme();
  expect(dataset['theme']).toBe('light');
  expect(chosenTheme()).toBe('light');
  switchTheme();
  expect(chosenTheme()).toBe('dark');
});

test('without storage, or with anything else in it, a page is dark', () => {
  expect(chosenTheme()).toBe('dark');
  page('purple');
  expect(chosenTheme()).toBe('dark');
});

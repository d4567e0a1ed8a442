import { expect, test } from 'vitest';
import { postpone } from '../build/later';

test('module scripts and what they import are named, and nothing asks for them', () => {
  const page = '<script>early()</script>'
    + '<script type="module" crossorigin src="/assets/watch-1.js"></script>'
    + '<link rel="modulepreload" crossorigin href="/assets/strings-2.js">'
    + '<link rel="icon" href="/icon.svg">';
  expect(postpone(page)).toBe('<script>early()</script>'
    + '<script type="later" src="/assets/watch-1.js"></script>'
    + '<link rel="later" href="/assets/strings-2.js">'
    + '<link rel="icon" href="/icon.svg">');
});

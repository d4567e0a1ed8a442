import { expect, test } from 'vitest';
import { withAccess } from '../app/api';

test('links and requests of a page keep what gave it access', () => {
  expect(withAccess('/recordings', '')).toBe('/recordings');
  expect(withAccess('/recordings', '?t=3')).toBe('/recordings');
  expect(withAccess('/recordings', '?t=3&key=a%20b')).toBe('/recordings?key=a+b');
  expect(withAccess('/api/v1/recordings?limit=1', '?expires=17&signature=ff')).toBe('/api/v1/recordings?limit=1&expires=17&signature=ff');
});

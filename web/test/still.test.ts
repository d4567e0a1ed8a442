import { expect, test } from 'vitest';
import { inTurn } from '../player/still';

test('stills load one after the other, whatever becomes of one', async () => {
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const load = (number: number) => inTurn(() => {
    begun.push(number);
    return new Promise<number>((resolve, reject) => ends.push(() => (number === 1 ? reject(new Error('gone')) : resolve(number))));
  });
  const loading = [load(1), load(2), load(3)];
  const settled = Promise.allSettled(loading);
  for (const expected of [[1], [1, 2], [1, 2, 3]]) {
    await new Promise((resolve) => setTimeout(resolve));
    expect(begun).toEqual(expected);
    ends.shift()!();
  }
  expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
});

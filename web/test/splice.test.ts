import { describe, expect, test } from 'vitest';
import type { Bytes, Packet } from '../player/flv';
import { Frontier, Splice } from '../player/rungs/splice';

const data: Bytes = new Uint8Array(10);
const picture = (pts: number, key = pts % 1_000 === 0): Packet => ({ kind: 'video', codec: 'avc1', role: 'frame', dts: pts, pts, key, data });
const sound = (pts: number): Packet => ({ kind: 'audio', codec: 'mp4a', role: 'frame', dts: pts, pts, key: true, data });
const config = (): Packet => ({ ...picture(0, true), role: 'config' });
const times = (packets: Packet[] | undefined) => packets?.filter(({ kind, role }) => kind === 'video' && role === 'frame').map(({ pts }) => pts);

function played(until: number): Frontier {
  const frontier = new Frontier();
  for (let pts = 0; pts <= until; pts += 40) {
    frontier.pass(picture(pts));
    frontier.pass(sound(pts));
  }
  return frontier;
}

/** Plays what `old` lets pass. */
function pass(splice: Splice, frontier: Frontier, packet: Packet): boolean {
  const out = splice.old(packet, packet.pts);
  out.forEach((each) => frontier.pass(each));
  return out.length > 0;
}

describe('at a keyframe', () => {
  test('the new rung begins where the old one has arrived, and nothing is missing or twice', () => {
    const frontier = played(480);
    const splice = new Splice(frontier, false);
    [config(), ...[0, 40, 80].map((pts) => picture(pts))].forEach((packet) => splice.fresh(packet, 500));
    for (let pts = 520; pts < 1_000; pts += 40) {
      expect(pass(splice, frontier, picture(pts)), 'the old one goes on').toBe(true);
      splice.fresh(picture(pts), pts);
      expect(splice.cut()).toBeUndefined();
    }
    expect(pass(splice, frontier, picture(1_000))).toBe(false);
    expect(splice.cut(), 'its keyframe is not here yet').toBeUndefined();
    expect(pass(splice, frontier, sound(1_000)), 'sound is not kept back').toBe(true);
    splice.fresh(picture(1_000), 1_010);
    const cut = splice.cut();
    expect(times(cut)).toEqual([1_000]);
    expect(cut![0]!.role).toBe('config');
    expect(splice.show(picture(1_040)).pts).toBe(1_040);
  });

  test('a new rung that is ahead waits for the old one', () => {
    const frontier = played(480);
    const splice = new Splice(frontier, false);
    for (let pts = 0; pts <= 1_200; pts += 40) splice.fresh(picture(pts), 500);
    for (let pts = 520; pts < 1_000; pts += 40) pass(splice, frontier, picture(pts));
    expect(splice.cut()).toBeUndefined();
    pass(splice, frontier, picture(1_000));
    expect(times(splice.cut())).toEqual([1_000, 1_040, 1_080, 1_120, 1_160, 1_200]);
  });

  test('it waits for the sound of the old one, where its own begins later', () => {
    const frontier = played(480);
    const splice = new Splice(frontier, false);
    splice.fresh(picture(1_000), 500);
    splice.fresh(sound(1_000), 500);
    for (let pts = 520; pts < 1_000; pts += 40) pass(splice, frontier, picture(pts));
    pass(splice, frontier, picture(1_000));
    expect(splice.cut()).toBeUndefined();
    for (let pts = 520; pts < 1_000; pts += 40) pass(splice, frontier, sound(pts));
    expect(times(splice.cut())).toEqual([1_000]);
  });

  test('a new rung that does not come lets the old one go on', () => {
    const frontier = played(960);
    const splice = new Splice(frontier, false);
    splice.fresh(picture(0), 900);
    expect([1_000, 1_040].map((pts) => pass(splice, frontier, picture(pts)))).toEqual([false, false]);
    expect(splice.heldAt).toBe(1_000);
    const kept = splice.release();
    expect(times(kept)).toEqual([1_000, 1_040]);
    kept.forEach((packet) => frontier.pass(packet));
    expect(pass(splice, frontier, picture(1_080)), 'until the next keyframe').toBe(true);
    expect(pass(splice, frontier, picture(2_000))).toBe(false);
    splice.fresh(picture(2_000), 2_010);
    expect(times(splice.cut())).toEqual([2_000]);
  });

  test('before the first packet of the new rung nothing is kept back', () => {
    const frontier = played(960);
    expect(pass(new Splice(frontier, false), frontier, picture(1_000))).toBe(true);
  });
});

describe('when there is no time', () => {
  test('pictures that were seen pass in no time, and the others are shown when they are due', () => {
    const splice = new Splice(played(1_480), true);
    expect(splice.cut()).toBeUndefined();
    splice.fresh(picture(1_000), 0);
    const shown = [...splice.cut()!, ...[1_040, 1_240, 1_480, 1_520, 1_560, 2_000].map((pts) => picture(pts))].map((packet) => splice.show(packet));
    const pts = times(shown)!;
    expect(pts.slice(4)).toEqual([1_520, 1_560, 2_000]);
    expect(pts.slice(0, 4).every((at) => at > 1_480 && at < 1_520)).toBe(true);
    expect(pts).toEqual([...new Set(pts)].sort((a, b) => a - b));
  });

  test('it begins with the last keyframe that was due', () => {
    const splice = new Splice(played(2_480), true);
    for (const pts of [1_000, 1_040, 2_000, 2_040]) splice.fresh(picture(pts), 0);
    expect(times(splice.cut())).toEqual([2_000, 2_040]);
  });

  test('a rung that begins later is shown from there', () => {
    const splice = new Splice(played(480), true);
    splice.fresh(picture(1_000), 0);
    expect(splice.cut()!.map((packet) => splice.show(packet).pts)).toEqual([1_000]);
  });
});

test('a clock that begins anew is followed', () => {
  const frontier = played(20_000);
  frontier.pass(picture(0));
  expect([frontier.last, frontier.end, frontier.key]).toEqual([0, 40, 0]);
  expect(frontier.gopMs).toBe(1_000);
});

import { expect, test } from 'vitest';
import { audioConfig, videoConfig } from '../player/codec';
import type { Bytes } from '../player/flv';
import { fragment, initSegment } from '../player/mp4';
import { TrackWriter } from '../player/writer';
import { AAC_48K_MONO, AVC_PLAIN, of } from './flvdata';

const VIDEO = videoConfig('avc1', AVC_PLAIN, {})!;
const AUDIO = audioConfig('mp4a', AAC_48K_MONO)!;
const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'minf', 'dinf', 'stbl', 'mvex', 'moof', 'traf']);

interface Box {
  path: string;
  body: DataView;
  start: number;
}

/** Every box with the path to it; throws when sizes do not add up. */
function boxes(data: Bytes, path = '', from = 0, to = data.length): Box[] {
  const out: Box[] = [];
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = from; at < to; ) {
    const size = view.getUint32(at);
    const name = String.fromCharCode(...data.subarray(at + 4, at + 8));
    if (size < 8 || at + size > to) throw new Error(`${path}${name} has size ${size}`);
    out.push({ path: path + name, body: new DataView(data.buffer, data.byteOffset + at + 8, size - 8), start: at });
    if (CONTAINERS.has(name)) out.push(...boxes(data, `${path}${name}/`, at + 8, at + size));
    at += size;
  }
  return out;
}

const find = (all: Box[], path: string) => all.find((box) => box.path === path)!.body;

function samplesOf(segment: Bytes) {
  const all = boxes(segment);
  const run = find(all, 'moof/traf/trun');
  const decode = find(all, 'moof/traf/tfdt');
  const samples = Array.from({ length: run.getUint32(4) }, (_, i) => ({
    duration: run.getUint32(12 + i * 16),
    size: run.getUint32(16 + i * 16),
    key: run.getUint32(20 + i * 16) === 0x2000000,
    offset: run.getInt32(24 + i * 16),
  }));
  return { start: Number(decode.getBigUint64(4)), samples, dataOffset: run.getInt32(8), all };
}

test('the initialization segment is a tree of boxes with size and codec of the track', () => {
  const all = boxes(initSegment(VIDEO));
  expect(all.map((box) => box.path)).toContain('moov/trak/mdia/minf/stbl/stsd');
  expect(find(all, 'moov/trak/tkhd').getUint32(76) >>> 16).toBe(854);
  expect(find(all, 'moov/trak/mdia/mdhd').getUint32(12)).toBe(90_000);
  const entry = find(all, 'moov/trak/mdia/minf/stbl/stsd');
  expect([entry.getUint16(8 + 32), entry.getUint16(8 + 34)]).toEqual([854, 480]);
  expect(() => boxes(initSegment(AUDIO))).not.toThrow();
});

test('a fragment points at its data', () => {
  const data = fragment(7, [
    { dts: 2 ** 33, offset: -300, duration: 3000, key: true, data: of('keyframe') },
    { dts: 2 ** 33 + 3000, offset: 600, duration: 3000, key: false, data: of('inter') },
  ]);
  const { start, samples, dataOffset } = samplesOf(data);
  expect(start).toBe(2 ** 33);
  expect(samples).toEqual([
    { duration: 3000, size: 8, key: true, offset: -300 },
    { duration: 3000, size: 5, key: false, offset: 600 },
  ]);
  expect(data.subarray(dataOffset)).toEqual(of('keyframeinter'));
});

test('video frames last until the next one, the last as long as the one before', () => {
  const writer = new TrackWriter(VIDEO);
  for (const ms of [0, 33, 67]) writer.push(ms, ms + 80, ms === 0, of(1));
  expect(samplesOf(writer.drain()!).samples.map((s) => [s.duration, s.offset])).toEqual([[2970, 7200], [3060, 7200], [3060, 7200]]);
  expect(writer.drain()).toBeUndefined();
});

test('a lone keyframe lasts long enough for the next picture of a slow stream to follow it', () => {
  const writer = new TrackWriter(VIDEO);
  writer.push(0, 0, true, of(1));
  expect(samplesOf(writer.drain()!).samples).toEqual([{ duration: 11250, size: 1, key: true, offset: 0 }]);
});

test('video times that repeat or step back are kept in order, and the picture times stay', () => {
  const writer = new TrackWriter(VIDEO);
  for (const ms of [100, 100, 90, 133]) writer.push(ms, ms, false, of(1));
  const { start, samples } = samplesOf(writer.drain()!);
  let dts = start;
  const pts = samples.map((s) => {
    const at = dts + s.offset;
    dts += s.duration;
    return at / 90;
  });
  expect(pts).toEqual([100, 100, 90, 133]);
  expect(samples.every((s) => s.duration > 0)).toBe(true);
});

test('sound that FLV rounded to milliseconds has neither gaps nor overlaps', () => {
  const writer = new TrackWriter(AUDIO);
  for (let i = 0; i < 1000; i++) writer.push(Math.round((i * 1024) / 48), 0, true, of(1));
  const { start, samples } = samplesOf(writer.drain()!);
  expect(start).toBe(0);
  expect(new Set(samples.map((s) => s.duration))).toEqual(new Set([1024]));
});

test('lost sound leaves a hole of its own length', () => {
  const writer = new TrackWriter(AUDIO);
  writer.push(0, 0, true, of(1));
  writer.push(500, 500, true, of(1));
  expect(samplesOf(writer.drain()!).samples[0]!.duration).toBe(24_000);
});

test('sound that comes faster than its clock loses a frame now and then', () => {
  const writer = new TrackWriter(AUDIO);
  for (let i = 0; i < 1000; i++) writer.push(i * 21, 0, true, of(1));
  const { samples } = samplesOf(writer.drain()!);
  expect(samples.length).toBeLessThan(1000);
  expect((samples.length * 1024) / 48).toBeLessThan(1000 * 21 + 100);
});

import { describe, expect, test } from 'vitest';
import { bytes } from '../player/boxes';
import { FlvDemuxer, FlvError, Unwrap, type Bytes } from '../player/flv';
import { AAC_48K_MONO, AVC_PLAIN, HEADER, demux, of, tag } from './flvdata';

const CONFIG = tag(9, 0, of(0x17, 0, 0, 0, 0, AVC_PLAIN));
const KEY = tag(9, 40, of(0x17, 1, 0, 0, 80, 'keyframe'));
const INTER = tag(9, 80, of(0x27, 1, 0xff, 0xff, 0xd8, 'inter'));
const SOUND = tag(8, 43, of(0xaf, 1, 'sound'));

describe('legacy tags', () => {
  test('configuration, frames and sound come out with their times', () => {
    const { packets, header } = demux(bytes(HEADER, CONFIG, tag(8, 0, of(0xaf, 0, AAC_48K_MONO)), KEY, SOUND, INTER));
    expect(header).toEqual([true, true]);
    expect(packets.map((p) => [p.kind, p.codec, p.role, p.dts, p.pts, p.key])).toEqual([
      ['video', 'avc1', 'config', 0, 0, true],
      ['audio', 'mp4a', 'config', 0, 0, true],
      ['video', 'avc1', 'frame', 40, 120, true],
      ['audio', 'mp4a', 'frame', 43, 43, true],
      ['video', 'avc1', 'frame', 80, 40, false],
    ]);
    expect(packets[2]!.data).toEqual(of('keyframe'));
  });

  test.each([1, 2, 7, 11, 15, 16, 31, 64])('pieces of %i bytes give the same packets as one', (size) => {
    const data = bytes(HEADER, CONFIG, KEY, SOUND, INTER, tag(9, 120, of(0x27, 1, 0, 0, 0, new Uint8Array(500))));
    expect(demux(data, size)).toEqual(demux(data));
  });

  test('a tag comes out with the chunk that completes it', () => {
    const seen: number[] = [];
    const demuxer = new FlvDemuxer({ packet: (p) => seen.push(p.dts) });
    const data = bytes(HEADER, KEY, INTER);
    const end = HEADER.length + KEY.length;
    demuxer.push(data.slice(0, end - 1) as Bytes);
    expect(seen).toEqual([]);
    demuxer.push(data.slice(end - 1, end) as Bytes);
    expect(seen).toEqual([40]);
  });

  test('end of sequence, command frames and unknown codecs give nothing', () => {
    const { packets } = demux(bytes(HEADER, tag(9, 0, of(0x17, 2, 0, 0, 0)), tag(9, 0, of(0x57, 0, 0, 0, 0, 1)),
      tag(9, 0, of(0x22, 1, 2, 3)), tag(8, 0, of(0x12, 1, 2)), tag(9, 0, of()), tag(8, 0, of(0xaf))));
    expect(packets).toEqual([]);
  });
});

describe('enhanced tags', () => {
  test('coded frames of H.264 carry a composition offset, CodedFramesX and AV1 do not', () => {
    const { packets } = demux(bytes(HEADER,
      tag(9, 0, of(0x90, 'hvc1', 'record')),
      tag(9, 10, of(0x91, 'hvc1', 0, 0, 40, 'a')),
      tag(9, 20, of(0xa3, 'hvc1', 'b')),
      tag(9, 30, of(0x91, 'av01', 'c')),
      tag(8, 30, of(0x90, 'Opus', 'head')),
      tag(8, 31, of(0x91, 'Opus', 'd'))));
    expect(packets.map((p) => [p.codec, p.role, p.dts, p.pts, p.key, p.data.length])).toEqual([
      ['hvc1', 'config', 0, 0, true, 6],
      ['hvc1', 'frame', 10, 50, true, 1],
      ['hvc1', 'frame', 20, 20, false, 1],
      ['av01', 'frame', 30, 30, true, 1],
      ['Opus', 'config', 30, 30, true, 4],
      ['Opus', 'frame', 31, 31, true, 1],
    ]);
  });

  test('ModEx adds nanoseconds', () => {
    const { packets } = demux(bytes(HEADER, tag(9, 10, of(0x97, 2, 0x07, 0xa1, 0x20, 0x03, 'av01', 'x'))));
    expect(packets[0]).toMatchObject({ codec: 'av01', role: 'frame', dts: 10, pts: 10.5, key: true });
  });

  test('of several tracks the first is taken', () => {
    const one = of(0x96, 0x01, 'av01', 0, 'only');
    const other = of(0x96, 0x01, 'av01', 1, 'skip');
    const many = of(0x96, 0x11, 'av01', 1, 0, 0, 4, 'skip', 0, 0, 0, 4, 'take');
    const codecs = of(0x96, 0x21, 'vp09', 0, 0, 0, 3, 'vp9', 'av01', 1, 0, 0, 4, 'skip');
    const { packets } = demux(bytes(HEADER, ...[one, other, many, codecs].map((body, i) => tag(9, i, body))));
    expect(packets.map((p) => [p.dts, p.codec, new TextDecoder().decode(p.data)])).toEqual([
      [0, 'av01', 'only'], [2, 'av01', 'take'], [3, 'vp09', 'vp9'],
    ]);
  });

  test('truncated tags give nothing and do not throw', () => {
    const whole = of(0x96, 0x11, 'av01', 0, 0, 0, 4, 'take');
    for (let size = 0; size < whole.length; size++) {
      expect(() => demux(bytes(HEADER, tag(9, 0, whole.slice(0, size)), tag(8, 0, whole.slice(0, size))))).not.toThrow();
    }
  });
});

describe('clock', () => {
  test('wraps of the 32-bit timestamp are removed', () => {
    const clock = new Unwrap();
    expect([0xffffff00, 0xffffffff, 0x10, 0xfffffff0, 0x20].map((t) => clock.next(t)))
      .toEqual([0xffffff00, 0xffffffff, 2 ** 32 + 0x10, 0xfffffff0, 2 ** 32 + 0x20]);
  });

  test('the extension byte is the high one', () => {
    expect(demux(bytes(HEADER, tag(9, 0x12345678, of(0x27, 1, 0, 0, 0, 1)))).packets[0]!.dts).toBe(0x12345678);
  });
});

describe('script tags', () => {
  const meta = of(2, 0, 10, 'onMetaData', 8, 0, 0, 0, 2,
    0, 5, 'width', 0, 0x40, 0x8a, 0xb0, 0, 0, 0, 0, 0, 0, 4, 'name', 2, 0, 2, 'me', 0, 2, 'on', 1, 1, 0, 1, 'n', 5, 0, 0, 9);

  test('scalars of onMetaData are read, with and without @setDataFrame', () => {
    const set = of(2, 0, 13, '@setDataFrame', meta);
    const { metadata } = demux(bytes(HEADER, tag(18, 0, meta), tag(18, 0, set)));
    expect(metadata).toEqual([{ width: 854, name: 'me', on: true }, { width: 854, name: 'me', on: true }]);
  });

  test('broken ones are passed over', () => {
    for (let size = 0; size < meta.length; size++) {
      const { metadata, packets } = demux(bytes(HEADER, tag(18, 0, meta.slice(0, size)), KEY));
      expect(metadata).toEqual([]);
      expect(packets).toHaveLength(1);
    }
  });
});

test('bytes that are not FLV are refused', () => {
  expect(() => demux(of('<html>not found</html>'))).toThrow(FlvError);
  expect(() => demux(bytes(HEADER, tag(9, 0, of(0x17, 1, 0, 0, 0, 1)), of('garbage that is not a tag')))).toThrow(FlvError);
});

test('random bytes never do worse than a refusal', () => {
  let seed = 1;
  const next = () => (seed = (seed * 48271) % 0x7fffffff);
  for (let round = 0; round < 400; round++) {
    const body = Uint8Array.from({ length: next() % 60 }, () => next() & 255);
    const kind = ([8, 9, 18] as const)[next() % 3]!;
    expect(() => demux(bytes(HEADER, tag(kind, next() >>> 0, body), KEY), 1 + (next() % 40))).not.toThrow();
  }
});

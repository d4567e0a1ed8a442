import { expect, test } from 'vitest';
import { audioConfig, opusSamples, videoConfig } from '../player/codec';
import { AAC_48K_MONO, AV1_RECORD, AVC_PLAIN, AVC_REORDERED, HEVC_RECORD, fromHex, of } from './flvdata';

test('an H.264 record tells size, profile and that there is no reordering', () => {
  expect(videoConfig('avc1', AVC_PLAIN, {})).toMatchObject({ mime: 'avc1.64001f', width: 854, height: 480, reorders: false });
});

test('an H.264 record with B-frames tells that there is reordering', () => {
  expect(videoConfig('avc1', AVC_REORDERED, {})).toMatchObject({ mime: 'avc1.640028', width: 1920, height: 1080, reorders: true });
});

test('an HEVC record tells size and profile', () => {
  expect(videoConfig('hvc1', HEVC_RECORD, {})).toMatchObject({ mime: 'hvc1.1.6.L63.90', width: 640, height: 360, reorders: false });
});

test('an AV1 record tells size and profile', () => {
  expect(videoConfig('av01', AV1_RECORD, {})).toMatchObject({ mime: 'av01.0.01M.08', width: 640, height: 360 });
});

test('a VP9 record is taken with and without its box head, and its size comes from the metadata', () => {
  const body = fromHex('0015820202020000');
  for (const record of [body, of(1, 0, 0, 0, body)]) {
    const config = videoConfig('vp09', record, { width: 640, height: 360 });
    expect(config).toMatchObject({ mime: 'vp09.00.21.08', width: 640, height: 360 });
    expect(config!.box).toHaveLength(8 + 4 + body.length);
  }
});

test('an AudioSpecificConfig tells rate and channels', () => {
  expect(audioConfig('mp4a', AAC_48K_MONO)).toMatchObject({ mime: 'mp4a.40.2', sampleRate: 48000, channels: 1, frameSamples: 1024 });
});

test('an OpusHead becomes dOps with its numbers turned to big-endian', () => {
  const config = audioConfig('Opus', fromHex('4f707573486561640102380180bb0000000000'))!;
  expect(config).toMatchObject({ mime: 'opus', sampleRate: 48000, channels: 2 });
  expect([...config.box.subarray(8)]).toEqual([0, 2, 0x01, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]);
});

test('a FLAC record tells rate, channels and frame length', () => {
  const record = fromHex('664c614380000022120012000003580004ff0bb800f00002ee002a6ba4825dc1428345546ac64bc657fa');
  expect(audioConfig('fLaC', record)).toMatchObject({ mime: 'flac', sampleRate: 48000, channels: 1, frameSamples: 4608 });
});

test('an AC-3 frame describes itself', () => {
  expect(audioConfig('ac-3', fromHex('0b77c0de1e40e1'))).toMatchObject({ mime: 'ac-3', sampleRate: 48000, channels: 6 });
});

test('Opus packets tell how long they last', () => {
  expect(opusSamples(of(0xfc))).toBe(960);
  expect(opusSamples(of(0xfd))).toBe(1920);
  expect(opusSamples(of(0xe0))).toBe(120);
  expect(opusSamples(of(0x08))).toBe(960);
});

test('truncated records are refused or read as far as they go, without throwing', () => {
  for (const [codec, record] of [['avc1', AVC_PLAIN], ['hvc1', HEVC_RECORD], ['av01', AV1_RECORD]] as const) {
    for (let size = 0; size < record.length; size++) expect(() => videoConfig(codec, record.slice(0, size), {})).not.toThrow();
  }
  for (const codec of ['mp4a', 'Opus', 'fLaC', 'ac-3', '.mp3'] as const) {
    for (let size = 0; size < 8; size++) expect(() => audioConfig(codec, new Uint8Array(size).fill(0x0b))).not.toThrow();
  }
});

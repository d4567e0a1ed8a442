import { Bits, unescapeNal } from './bits';
import type { Bytes, Codec, Metadata } from './flv';
import { box, bytes, u16, u32 } from './boxes';

// Decoder configuration records -> what MSE (a codecs string and a sample entry)
// and WebCodecs (a string and a description) want to hear.

export interface VideoConfig {
  kind: 'video';
  codec: Codec;
  /** RFC 6381 string. */
  mime: string;
  width: number;
  height: number;
  /** Sample aspect ratio. */
  sar: [number, number];
  /** Whether the picture order may differ from the coding order, if the record tells. */
  reorders: boolean | undefined;
  /** The record as it came; WebCodecs takes it as `description`. */
  record: Bytes;
  /** `avcC` and its siblings, complete with the box head. */
  box: Bytes;
  timescale: number;
}

export interface AudioConfig {
  kind: 'audio';
  codec: Codec;
  mime: string;
  sampleRate: number;
  channels: number;
  /** PCM samples in one coded frame; 0 where it varies. */
  frameSamples: number;
  record: Bytes;
  box: Bytes;
  timescale: number;
}

export type TrackConfig = VideoConfig | AudioConfig;

const hex2 = (value: number) => value.toString(16).padStart(2, '0');
const dec2 = (value: number) => String(value).padStart(2, '0');

interface Picture {
  width: number;
  height: number;
  sar: [number, number];
  reorders?: boolean | undefined;
}

/** Returns undefined when the record is broken or the codec is not known. */
export function videoConfig(codec: Codec, record: Bytes, meta: Metadata): VideoConfig | undefined {
  let mime: string;
  let picture: Picture | undefined;
  let name: string;
  let payload = record;
  switch (codec) {
    case 'avc1':
      if (record.length < 9 || record[0] !== 1) return undefined;
      mime = `avc1.${hex2(record[1]!)}${hex2(record[2]!)}${hex2(record[3]!)}`;
      picture = avcPicture(record);
      name = 'avcC';
      break;
    case 'hvc1':
      if (record.length < 23) return undefined;
      mime = hevcMime(record);
      picture = hevcPicture(record);
      name = 'hvcC';
      break;
    case 'av01': {
      if (record.length < 4 || !(record[0]! & 0x80)) return undefined;
      const [a, b] = [record[1]!, record[2]!];
      const depth = b & 0x40 ? (b & 0x20 ? 12 : 10) : 8;
      mime = `av01.${a >> 5}.${dec2(a & 31)}${b & 0x80 ? 'H' : 'M'}.${dec2(depth)}`;
      picture = av1Picture(record);
      name = 'av1C';
      break;
    }
    case 'vp09': {
      // Some senders include the full-box head (version 1, no flags), some do not.
      const body = record[0] === 1 && !record[1] && !record[2] ? record.subarray(4) : record;
      if (body.length < 8) return undefined;
      mime = `vp09.${dec2(body[0]!)}.${dec2(body[1]!)}.${dec2(body[2]! >> 4)}`;
      payload = bytes(Uint8Array.of(1, 0, 0, 0), body);
      name = 'vpcC';
      break;
    }
    default:
      return undefined;
  }
  const { width, height } = meta;
  picture ??= { width: number(width, 1280), height: number(height, 720), sar: [1, 1] };
  return {
    kind: 'video', codec, mime, record, box: box(name, payload), timescale: 90_000,
    width: picture.width, height: picture.height, sar: picture.sar, reorders: picture.reorders,
  };
}

function number(value: Metadata[string] | undefined, fallback: number): number {
  return typeof value === 'number' && value > 0 && value < 65_536 ? Math.round(value) : fallback;
}

const SAR: [number, number][] = [
  [1, 1], [1, 1], [12, 11], [10, 11], [16, 11], [40, 33], [24, 11], [20, 11], [32, 11],
  [80, 33], [18, 11], [15, 11], [64, 33], [160, 99], [4, 3], [3, 2], [2, 1],
];

function aspect(bits: Bits): [number, number] {
  if (!bits.flag()) return [1, 1];
  const id = bits.u(8);
  const [h, v] = id === 255 ? [bits.u(16), bits.u(16)] : (SAR[id] ?? [1, 1]);
  return h && v ? [h, v] : [1, 1];
}

/** First SPS of an AVCDecoderConfigurationRecord (ISO 14496-15, 5.3.3.1). */
function avcPicture(record: Bytes): Picture | undefined {
  if (!(record[5]! & 31)) return undefined;
  const size = (record[6]! << 8) | record[7]!;
  if (size < 4 || 8 + size > record.length) return undefined;
  const bits = new Bits(unescapeNal(record.subarray(9, 8 + size)));
  const profile = bits.u(8);
  bits.skip(16);
  bits.ue();
  let chroma = 1;
  if ([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].includes(profile)) {
    chroma = bits.ue();
    if (chroma === 3) bits.skip(1);
    bits.ue();
    bits.ue();
    bits.skip(1);
    if (bits.flag()) {
      for (let i = 0; i < (chroma === 3 ? 12 : 8); i++) if (bits.flag()) scalingList(bits, i < 6 ? 16 : 64);
    }
  }
  bits.ue();
  const orderType = bits.ue();
  if (orderType === 0) bits.ue();
  else if (orderType === 1) {
    bits.skip(1);
    bits.se();
    bits.se();
    for (let n = Math.min(bits.ue(), 255); n > 0; n--) bits.se();
  }
  bits.ue();
  bits.skip(1);
  const widthMbs = bits.ue() + 1;
  const heightUnits = bits.ue() + 1;
  const progressive = bits.u(1);
  if (!progressive) bits.skip(1);
  bits.skip(1);
  let [left, right, top, bottom] = [0, 0, 0, 0];
  if (bits.flag()) [left, right, top, bottom] = [bits.ue(), bits.ue(), bits.ue(), bits.ue()];
  const cropX = chroma === 1 || chroma === 2 ? 2 : 1;
  const cropY = (chroma === 1 ? 2 : 1) * (2 - progressive);
  // Order type 2 is output in coding order by definition (8.2.1.3).
  let reorders: boolean | undefined = orderType === 2 ? false : undefined;
  let sar: [number, number] = [1, 1];
  if (bits.flag()) {
    sar = aspect(bits);
    const depth = reorderDepth(bits);
    if (depth !== undefined) reorders = depth > 0;
  }
  return {
    width: widthMbs * 16 - cropX * (left + right),
    height: heightUnits * 16 * (2 - progressive) - cropY * (top + bottom),
    sar,
    reorders,
  };
}

function scalingList(bits: Bits, size: number): void {
  let last = 8;
  let next = 8;
  for (let j = 0; j < size; j++) {
    if (next) next = (last + bits.se() + 256) % 256;
    if (next) last = next;
  }
}

/** max_num_reorder_frames from the rest of an AVC VUI (E.1.1), after the aspect ratio. */
function reorderDepth(bits: Bits): number | undefined {
  if (bits.flag()) bits.skip(1);
  if (bits.flag()) {
    bits.skip(4);
    if (bits.flag()) bits.skip(24);
  }
  if (bits.flag()) {
    bits.ue();
    bits.ue();
  }
  if (bits.flag()) bits.skip(65);
  const nal = bits.flag();
  if (nal) hrd(bits);
  const vcl = bits.flag();
  if (vcl) hrd(bits);
  if (nal || vcl) bits.skip(1);
  bits.skip(1);
  if (!bits.flag()) return undefined;
  bits.skip(1);
  for (let i = 0; i < 4; i++) bits.ue();
  return bits.ue();
}

function hrd(bits: Bits): void {
  const count = Math.min(bits.ue(), 31) + 1;
  bits.skip(8);
  for (let i = 0; i < count; i++) {
    bits.ue();
    bits.ue();
    bits.skip(1);
  }
  bits.skip(20);
}

/** ISO 14496-15, annex E.3. */
function hevcMime(record: Bytes): string {
  const profile = record[1]!;
  let compatibility = 0;
  for (let i = 0; i < 32; i++) compatibility |= ((record[2 + (i >> 3)]! >> (7 - (i & 7))) & 1) << i;
  const constraints = [...record.subarray(6, 12)];
  while (constraints.length > 1 && !constraints[constraints.length - 1]) constraints.pop();
  return [
    'hvc1',
    `${['', 'A', 'B', 'C'][profile >> 6]}${profile & 31}`,
    (compatibility >>> 0).toString(16),
    `${profile & 32 ? 'H' : 'L'}${record[12]!}`,
    ...constraints.map((c) => c.toString(16)),
  ].join('.');
}

function hevcPicture(record: Bytes): Picture | undefined {
  let at = 23;
  for (let arrays = record[22]!; arrays > 0 && at + 5 <= record.length; arrays--) {
    const type = record[at]! & 63;
    let count = (record[at + 1]! << 8) | record[at + 2]!;
    at += 3;
    for (; count > 0 && at + 2 <= record.length; count--) {
      const size = (record[at]! << 8) | record[at + 1]!;
      if (type === 33) return hevcSps(new Bits(unescapeNal(record.subarray(at + 4, at + 2 + size))));
      at += 2 + size;
    }
  }
  return undefined;
}

/** H.265 7.3.2.2, as far as the size. */
function hevcSps(bits: Bits): Picture {
  bits.skip(4);
  const layers = bits.u(3);
  bits.skip(1 + 88 + 8);
  const present: [boolean, boolean][] = [];
  for (let i = 0; i < layers; i++) present.push([bits.flag(), bits.flag()]);
  if (layers) bits.skip(2 * (8 - layers));
  for (const [profile, level] of present) bits.skip((profile ? 88 : 0) + (level ? 8 : 0));
  bits.ue();
  const chroma = bits.ue();
  if (chroma === 3) bits.skip(1);
  const width = bits.ue();
  const height = bits.ue();
  let [left, right, top, bottom] = [0, 0, 0, 0];
  if (bits.flag()) [left, right, top, bottom] = [bits.ue(), bits.ue(), bits.ue(), bits.ue()];
  const cropX = chroma === 1 || chroma === 2 ? 2 : 1;
  const cropY = chroma === 1 ? 2 : 1;
  bits.ue();
  bits.ue();
  bits.ue();
  const all = bits.flag();
  let reorder = 0;
  for (let i = all ? 0 : layers; i <= layers; i++) {
    bits.ue();
    reorder = bits.ue();
    bits.ue();
  }
  return {
    width: width - cropX * (left + right),
    height: height - cropY * (top + bottom),
    sar: [1, 1],
    reorders: reorder > 0,
  };
}

/** Sequence header OBU inside an av1C record (AV1 5.5.1), as far as the size. */
function av1Picture(record: Bytes): Picture | undefined {
  const obu = record.subarray(4);
  if (obu.length < 3 || ((obu[0]! >> 3) & 15) !== 1) return undefined;
  let at = obu[0]! & 4 ? 2 : 1;
  if (obu[0]! & 2) while (obu[at++]! & 0x80);
  const bits = new Bits(obu.subarray(at));
  bits.skip(4);
  if (bits.flag()) bits.skip(5);
  else {
    let delayLength = 0;
    let decoderModel = false;
    if (bits.flag()) {
      bits.skip(64);
      if (bits.flag()) bits.ue();
      decoderModel = bits.flag();
      if (decoderModel) {
        delayLength = bits.u(5) + 1;
        bits.skip(42);
      }
    }
    const displayDelay = bits.flag();
    for (let points = bits.u(5) + 1; points > 0; points--) {
      bits.skip(12);
      if (bits.u(5) > 7) bits.skip(1);
      if (decoderModel && bits.flag()) bits.skip(2 * delayLength + 1);
      if (displayDelay && bits.flag()) bits.skip(4);
    }
  }
  const widthBits = bits.u(4) + 1;
  const heightBits = bits.u(4) + 1;
  return { width: bits.u(widthBits) + 1, height: bits.u(heightBits) + 1, sar: [1, 1], reorders: false };
}

const AAC_RATES = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/** MPEG-4 descriptor with a one-byte size; the records of live audio are short. */
const descriptor = (tag: number, ...parts: Bytes[]) => {
  const body = bytes(...parts);
  return bytes(Uint8Array.of(tag, body.length), body);
};

export function audioConfig(codec: Codec, record: Bytes): AudioConfig | undefined {
  let mime: string;
  let sampleRate: number;
  let channels: number;
  let frameSamples = 0;
  let child: Bytes;
  switch (codec) {
    case 'mp4a': {
      const bits = new Bits(record);
      let type = bits.u(5);
      if (type === 31) type = 32 + bits.u(6);
      const rate = bits.u(4);
      sampleRate = rate === 15 ? bits.u(24) : (AAC_RATES[rate] ?? 0);
      channels = [0, 1, 2, 3, 4, 5, 6, 8][bits.u(4)] || 2;
      if (!sampleRate || record.length > 64) return undefined;
      mime = `mp4a.40.${type}`;
      frameSamples = 1024;
      const es = descriptor(3, Uint8Array.of(0, 0, 0),
        descriptor(4, Uint8Array.of(0x40, 0x15, 0, 0, 0), u32(0), u32(0), descriptor(5, record)),
        descriptor(6, Uint8Array.of(2)));
      child = box('esds', u32(0), es);
      break;
    }
    case 'Opus': {
      // An OpusHead packet (RFC 7845, 5.1) is little-endian, dOps is big-endian.
      if (record.length < 19) return undefined;
      const view = new DataView(record.buffer, record.byteOffset);
      mime = 'opus';
      sampleRate = 48_000;
      channels = record[9]!;
      child = box('dOps', Uint8Array.of(0, channels), u16(view.getUint16(10, true)),
        u32(view.getUint32(12, true)), u16(view.getUint16(16, true)), record.subarray(18));
      break;
    }
    case 'fLaC': {
      // `fLaC`, then metadata blocks of which STREAMINFO is the first.
      if (record.length < 42) return undefined;
      const bits = new Bits(record.subarray(18));
      mime = 'flac';
      sampleRate = bits.u(20);
      channels = bits.u(3) + 1;
      frameSamples = (record[10]! << 8) | record[11]!;
      child = box('dfLa', u32(0), Uint8Array.of(0x80, 0, 0, 34), record.subarray(8, 42));
      break;
    }
    case 'ac-3': {
      // There is no record: the first sync frame describes itself (ETSI TS 102 366, F.4).
      if (record.length < 7 || record[0] !== 0x0b || record[1] !== 0x77) return undefined;
      const fscod = record[4]! >> 6;
      const acmod = record[6]! >> 5;
      const bits = new Bits(record.subarray(6));
      bits.skip(3 + (acmod & 1 && acmod !== 1 ? 2 : 0) + (acmod & 4 ? 2 : 0) + (acmod === 2 ? 2 : 0));
      const lfe = bits.u(1);
      mime = 'ac-3';
      sampleRate = [48_000, 44_100, 32_000][fscod] ?? 0;
      channels = [2, 1, 2, 3, 3, 4, 4, 5][acmod]! + lfe;
      frameSamples = 1536;
      const packed = (fscod << 22) | ((record[5]! >> 3) << 17) | ((record[5]! & 7) << 14) |
        (acmod << 11) | (lfe << 10) | (((record[4]! & 63) >> 1) << 5);
      child = box('dac3', u32(packed).subarray(1));
      break;
    }
    case '.mp3': {
      const head = mp3Head(record);
      if (!head) return undefined;
      mime = 'mp3';
      ({ sampleRate, channels, frameSamples } = head);
      child = box('esds', u32(0), descriptor(3, Uint8Array.of(0, 0, 0),
        descriptor(4, Uint8Array.of(0x6b, 0x15, 0, 0, 0), u32(0), u32(0)),
        descriptor(6, Uint8Array.of(2))));
      break;
    }
    default:
      return undefined;
  }
  if (!sampleRate || !channels) return undefined;
  return { kind: 'audio', codec, mime, sampleRate, channels, frameSamples, record, box: child, timescale: sampleRate };
}

function mp3Head(b: Bytes) {
  if (b.length < 4 || b[0] !== 0xff || (b[1]! & 0xe0) !== 0xe0) return undefined;
  const version = (b[1]! >> 3) & 3;
  const rate = [44_100, 48_000, 32_000][(b[2]! >> 2) & 3];
  if (version === 1 || !rate) return undefined;
  return {
    sampleRate: rate / (version === 3 ? 1 : version === 2 ? 2 : 4),
    channels: b[3]! >> 6 === 3 ? 1 : 2,
    frameSamples: version === 3 ? 1152 : 576,
  };
}

const OPUS_SAMPLES = [480, 960, 1920, 2880, 480, 960, 480, 960, 480, 960, 480, 960, 480, 960, 480, 960];

/** PCM samples of an Opus packet at 48 kHz (RFC 6716, 3.1). */
export function opusSamples(packet: Bytes): number {
  const toc = packet[0]!;
  const config = toc >> 3;
  const each = config < 12 ? OPUS_SAMPLES[config & 3]! : config < 16 ? (config & 1 ? 960 : 480) : 120 << (config & 3);
  const count = [1, 2, 2, (packet[1] ?? 1) & 63][toc & 3]!;
  return each * count;
}


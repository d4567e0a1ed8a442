import { bytes, u32 } from '../player/boxes';
import { FlvDemuxer, type Bytes, type Metadata, type Packet } from '../player/flv';

// FLV made by hand, for the tests of what reads it.

export const HEADER = Uint8Array.of(0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0);

export function tag(kind: 8 | 9 | 18, ms: number, body: Uint8Array): Bytes {
  const size = u32(body.length).subarray(1);
  const stamp = u32(ms);
  return bytes(Uint8Array.of(kind), size, stamp.subarray(1), stamp.subarray(0, 1), new Uint8Array(3), body, u32(body.length + 11));
}

export const of = (...parts: (number | string | Uint8Array)[]): Bytes =>
  bytes(...parts.map((part) =>
    typeof part === 'number' ? Uint8Array.of(part) : typeof part === 'string' ? new TextEncoder().encode(part) : part));

export function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** x264, 854x480, `-tune zerolatency`: no B-frames. */
export const AVC_PLAIN = fromHex('0164001fffe100196764001facb406c1ef378088000003000800000301e478c19501000468ef3cb0fdf8f800');
/** x264, 1920x1080, three B-frames. */
export const AVC_REORDERED = fromHex('01640028ffe1001b67640028acd940780227e5c044000003000400000300f03c60c65801000468efbcb0fdf8f800');
export const AAC_48K_MONO = fromHex('118856e500');
/** libaom, 640x360. */
export const AV1_RECORD = fromHex('81010c000a0b0000000cc4ff6736be4010');
/** x265, 640x360, without B-frames; the SEI array is left out. */
export const HEVC_RECORD = fromHex(
  '0101600000009000000000003ff000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003003f928090' +
  'a10001002a42010101600000030090000003000003003fa0050201696592a4932bc05a020000030002000003003c10' +
  'a2000100074401c172b4624000');

export interface Seen {
  packets: Packet[];
  metadata: Metadata[];
  header?: [boolean, boolean];
}

/** Feeds `data` to a demuxer in pieces of `size` bytes. */
export function demux(data: Uint8Array, size = data.length): Seen {
  const seen: Seen = { packets: [], metadata: [] };
  const demuxer = new FlvDemuxer({
    header: (audio, video) => (seen.header = [audio, video]),
    metadata: (values) => seen.metadata.push(values),
    packet: (packet) => seen.packets.push({ ...packet, data: packet.data.slice() }),
  });
  for (let at = 0; at < data.length; at += size) demuxer.push(data.slice(at, at + size));
  return seen;
}

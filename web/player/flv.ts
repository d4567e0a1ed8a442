// Streaming FLV demuxer: legacy tags (FLV 10.1 annex E) and Enhanced RTMP v2
// tags (FourCC codecs, ModEx, multitrack). Bytes go in as they arrive, packets
// come out the moment their tag is complete.

/** A view on memory that is not shared, which is what MSE and WebCodecs take. */
export type Bytes = Uint8Array<ArrayBuffer>;

export type Kind = 'video' | 'audio';

/** Codecs by their Enhanced RTMP FourCC; legacy tags are mapped onto these. */
export type Codec = 'avc1' | 'hvc1' | 'av01' | 'vp09' | 'mp4a' | 'Opus' | 'fLaC' | 'ac-3' | '.mp3';

export interface Packet {
  kind: Kind;
  codec: Codec;
  /** `config` holds a decoder configuration record, `frame` one coded frame. */
  role: 'config' | 'frame';
  /** Milliseconds on the sender's clock, with 32-bit wraps removed. */
  dts: number;
  pts: number;
  key: boolean;
  data: Bytes;
}

export type Metadata = Record<string, number | string | boolean>;

export interface FlvHandler {
  header?(hasAudio: boolean, hasVideo: boolean): void;
  metadata?(values: Metadata): void;
  packet(packet: Packet): void;
}

/** The bytes are not FLV: the connection cannot be used any further. */
export class FlvError extends Error {}

const TAG_AUDIO = 8;
const TAG_VIDEO = 9;
const TAG_SCRIPT = 18;
const TAG_HEAD = 11;
const TAG_TAIL = 4;

const VIDEO_CODECS = new Set(['avc1', 'hvc1', 'av01', 'vp09']);
const AUDIO_CODECS = new Set(['mp4a', 'Opus', 'fLaC', 'ac-3', '.mp3']);

const u16 = (b: Uint8Array, o: number) => (b[o]! << 8) | b[o + 1]!;
const u24 = (b: Uint8Array, o: number) => (u16(b, o) << 8) | b[o + 2]!;
const s24 = (b: Uint8Array, o: number) => (u24(b, o) << 8) >> 8;
const fourcc = (b: Uint8Array, o: number) =>
  String.fromCharCode(b[o]!, b[o + 1]!, b[o + 2]!, b[o + 3]!);

/** Removes the wrap of the 32-bit millisecond clock (once every 49.7 days). */
export class Unwrap {
  private last: number | undefined;

  next(timestamp: number): number {
    if (this.last === undefined) this.last = timestamp;
    else this.last += (timestamp - (this.last % 2 ** 32)) | 0;
    return this.last;
  }
}

export class FlvDemuxer {
  /** Bytes kept from earlier chunks; its length is what the tag they begin needs. */
  private pending: Bytes = new Uint8Array(0);
  private filled = 0;
  private started = false;
  private readonly clock = new Unwrap();

  constructor(private readonly handler: FlvHandler) {}

  push(chunk: Bytes): void {
    let rest = chunk;
    if (this.filled) {
      const take = Math.min(rest.length, this.pending.length - this.filled);
      this.pending.set(rest.subarray(0, take), this.filled);
      this.filled += take;
      rest = rest.subarray(take);
      if (this.filled < this.pending.length) return;
      const whole = this.pending;
      this.filled = 0;
      this.parse(whole);
      // The head alone was complete: its tag's size is known only now.
      if (this.filled) return this.push(rest);
    }
    if (rest.length) this.parse(rest);
  }

  private parse(data: Bytes): void {
    let at = 0;
    if (!this.started) {
      if (data.length >= 3 && fourcc(data, 0).slice(0, 3) !== 'FLV') throw new FlvError('no FLV signature');
      if (data.length < 9) return this.keep(data, 9);
      const flags = data[4]!;
      const size = (u16(data, 5) << 16) | u16(data, 7);
      if (size < 9 || size > 64) throw new FlvError('bad FLV header size');
      if (data.length < size + TAG_TAIL) return this.keep(data, size + TAG_TAIL);
      this.started = true;
      at = size + TAG_TAIL;
      this.handler.header?.((flags & 4) !== 0, (flags & 1) !== 0);
    }
    while (at < data.length) {
      if (data.length - at < TAG_HEAD) return this.keep(data.subarray(at), TAG_HEAD);
      const kind = data[at]! & 0x1f;
      // Told by its head, before room is made for a body that is none.
      if (kind !== TAG_AUDIO && kind !== TAG_VIDEO && kind !== TAG_SCRIPT) throw new FlvError(`unknown tag type ${kind}`);
      const size = u24(data, at + 1);
      // The last four bytes only repeat the size. A tag is usable before they
      // arrive, but waiting for them keeps one cursor, and they are sent in
      // the same write.
      const end = at + TAG_HEAD + size + TAG_TAIL;
      if (end > data.length) return this.keep(data.subarray(at), end - at);
      const stamp = (u24(data, at + 4) | (data[at + 7]! << 24)) >>> 0;
      const body = data.subarray(at + TAG_HEAD, at + TAG_HEAD + size);
      at = end;
      if (kind === TAG_VIDEO) this.video(this.clock.next(stamp), body);
      else if (kind === TAG_AUDIO) this.audio(this.clock.next(stamp), body);
      else this.script(body);
    }
  }

  private keep(data: Bytes, needed: number): void {
    this.pending = new Uint8Array(needed);
    this.pending.set(data);
    this.filled = data.length;
  }

  private video(dts: number, b: Bytes): void {
    if (b.length < 2) return;
    const first = b[0]!;
    if (first & 0x80) return this.enhanced('video', dts, b);
    const key = first >> 4 === 1;
    // 12 is the unofficial HEVC id that many encoders sent before FourCC codecs.
    const codec = (first & 15) === 7 ? 'avc1' : (first & 15) === 12 ? 'hvc1' : undefined;
    if (!codec || b.length < 5 || first >> 4 === 5) return;
    if (b[1] === 0) this.emit('video', codec, 'config', dts, 0, true, b.subarray(5));
    else if (b[1] === 1) this.emit('video', codec, 'frame', dts, s24(b, 2), key, b.subarray(5));
  }

  private audio(dts: number, b: Bytes): void {
    if (b.length < 2) return;
    const format = b[0]! >> 4;
    if (format === 9) return this.enhanced('audio', dts, b);
    if (format === 10) this.emit('audio', 'mp4a', b[1] === 0 ? 'config' : 'frame', dts, 0, true, b.subarray(2));
    else if (format === 2 || format === 14) this.emit('audio', '.mp3', 'frame', dts, 0, true, b.subarray(1));
  }

  private enhanced(kind: Kind, dts: number, b: Bytes): void {
    const video = kind === 'video';
    const frameType = (b[0]! >> 4) & 7;
    let packetType = b[0]! & 15;
    let at = 1;
    let nano = 0;
    while (packetType === 7) {
      // ModEx: size, data, then a byte with its type and the real packet type.
      if (at + 2 > b.length) return;
      let size = b[at++]! + 1;
      if (size === 256) {
        size = u16(b, at) + 1;
        at += 2;
      }
      if (at + size + 1 > b.length) return;
      if (b[at + size]! >> 4 === 0 && size >= 3) nano = u24(b, at);
      packetType = b[at + size]! & 15;
      at += size + 1;
    }
    // Video frame type 5 is a command for old players: there is no picture in it.
    if (video && frameType === 5 && packetType !== 4) return;
    let single = true;
    let perTrackCodec = false;
    if (packetType === (video ? 6 : 5)) {
      if (at >= b.length) return;
      const many = b[at]! >> 4;
      packetType = b[at]! & 15;
      at += 1;
      single = many === 0;
      perTrackCodec = many === 2;
      let codec = '';
      if (!perTrackCodec) {
        codec = fourcc(b, at);
        at += 4;
      }
      while (at < b.length) {
        if (perTrackCodec) {
          codec = fourcc(b, at);
          at += 4;
        }
        const track = b[at++]!;
        let end = b.length;
        if (!single) {
          if (at + 3 > b.length) return;
          end = at + 3 + u24(b, at);
          at += 3;
        }
        if (end > b.length) return;
        // The page plays the default track; others are for other players.
        if (track === 0) this.coded(kind, codec, packetType, frameType, dts, nano, b.subarray(at, end));
        at = end;
      }
      return;
    }
    if (at + 4 > b.length) return;
    this.coded(kind, fourcc(b, at), packetType, frameType, dts, nano, b.subarray(at + 4));
  }

  private coded(
    kind: Kind, name: string, packetType: number, frameType: number, dts: number, nano: number, b: Bytes,
  ): void {
    const video = kind === 'video';
    if (!(video ? VIDEO_CODECS : AUDIO_CODECS).has(name)) return;
    const codec = name as Codec;
    const key = !video || frameType === 1;
    if (packetType === 0) return this.emit(kind, codec, 'config', dts, 0, true, b);
    if (packetType === 3 && video) return this.emit(kind, codec, 'frame', dts, nano / 1e6, key, b);
    if (packetType !== 1) return;
    // Only H.264 and HEVC carry a composition offset in CodedFrames.
    const offset = codec === 'avc1' || codec === 'hvc1';
    if (offset && b.length < 3) return;
    this.emit(kind, codec, 'frame', dts, (offset ? s24(b, 0) : 0) + nano / 1e6, key, offset ? b.subarray(3) : b);
  }

  private emit(
    kind: Kind, codec: Codec, role: Packet['role'], dts: number, offset: number, key: boolean, data: Bytes,
  ): void {
    if (data.length) this.handler.packet({ kind, codec, role, dts, pts: dts + offset, key, data });
  }

  private script(body: Bytes): void {
    if (!this.handler.metadata) return;
    const values = readMetadata(body);
    if (values) this.handler.metadata(values);
  }
}

/** Top-level scalars of an `onMetaData` script tag (AMF0). */
export function readMetadata(b: Bytes): Metadata | undefined {
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength);
  const text = new TextDecoder();
  let at = 0;
  const string = (bytes: 2 | 4) => {
    const size = bytes === 2 ? view.getUint16(at) : view.getUint32(at);
    const start = at + bytes;
    if (start + size > b.length) throw new RangeError();
    at = start + size;
    return text.decode(b.subarray(start, at));
  };
  const value = (depth: number): number | string | boolean | Metadata | undefined => {
    if (depth > 4) throw new RangeError();
    const type = view.getUint8(at++);
    if (type === 8) at += 4; // An ECMA array is an object with a size hint in front.
    switch (type) {
      case 0: return view.getFloat64((at += 8) - 8);
      case 1: return view.getUint8(at++) !== 0;
      case 2: return string(2);
      case 12: return string(4);
      case 3: case 8: {
        const out: Metadata = {};
        for (;;) {
          const name = string(2);
          if (!name && view.getUint8(at) === 9) return at++, out;
          const item = value(depth + 1);
          if (item !== undefined && typeof item !== 'object') out[name] = item;
        }
      }
      case 10: for (let n = view.getUint32((at += 4) - 4); n > 0; n--) value(depth + 1); return undefined;
      case 11: at += 10; return undefined;
      case 5: case 6: return undefined;
      default: throw new RangeError();
    }
  };
  try {
    let name = value(0);
    if (name === '@setDataFrame') name = value(0);
    const values = name === 'onMetaData' ? value(0) : undefined;
    return typeof values === 'object' ? values : undefined;
  } catch {
    return undefined; // A broken script tag costs its values, not the stream.
  }
}

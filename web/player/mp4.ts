import { ascii, box, bytes, full, u16, u32 } from './boxes';
import type { TrackConfig } from './codec';
import type { Bytes } from './flv';

// Fragmented MP4 as Media Source Extensions take it (ISO BMFF byte stream
// format): one initialization segment per track, then moof + mdat pairs.

/** One coded frame; times in units of the track's timescale. */
export interface Sample {
  dts: number;
  /** pts - dts; may be negative. */
  offset: number;
  duration: number;
  key: boolean;
  data: Bytes;
}

const MATRIX = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
const ENTRY_NAMES: Record<string, string> = { Opus: 'Opus', fLaC: 'fLaC', 'ac-3': 'ac-3', '.mp3': 'mp4a' };

function sampleEntry(config: TrackConfig): Bytes {
  const head = bytes(u32(0), u16(0, 1));
  if (config.kind === 'video') {
    return box(config.codec, head, new Uint8Array(16), u16(config.width, config.height),
      u32(0x480000, 0x480000, 0), u16(1), new Uint8Array(32), u16(24, 0xffff),
      config.box, box('pasp', u32(...config.sar)));
  }
  // The rate is 16.16 and cannot hold more than 65,535 Hz; decoders read the child box.
  const rate = config.sampleRate > 0xffff ? 0 : config.sampleRate;
  return box(ENTRY_NAMES[config.codec] ?? 'mp4a', head, u32(0, 0), u16(config.channels, 16, 0, 0, rate, 0), config.box);
}

/** `ftyp` and `moov` for one live track of unknown duration. */
export function initSegment(config: TrackConfig): Bytes {
  const video = config.kind === 'video';
  const [width, height] = video
    ? [Math.round((config.width * config.sar[0]) / config.sar[1]) << 16, config.height << 16]
    : [0, 0];
  const empty = (name: string) => full(name, 0, 0, u32(0));
  return bytes(
    box('ftyp', ascii('iso6'), u32(1), ascii('iso6mp41')),
    box('moov',
      full('mvhd', 0, 0, u32(0, 0, 1000, 0, 0x10000), u16(0x100, 0), u32(0, 0), MATRIX, new Uint8Array(24), u32(2)),
      box('trak',
        full('tkhd', 0, 3, u32(0, 0, 1, 0, 0, 0, 0), u16(0, 0, video ? 0 : 0x100, 0), MATRIX, u32(width, height)),
        box('mdia',
          full('mdhd', 0, 0, u32(0, 0, config.timescale, 0), u16(0x55c4, 0)),
          full('hdlr', 0, 0, u32(0), ascii(video ? 'vide' : 'soun'), new Uint8Array(13)),
          box('minf',
            video ? full('vmhd', 0, 1, new Uint8Array(8)) : full('smhd', 0, 0, u32(0)),
            box('dinf', full('dref', 0, 0, u32(1), full('url ', 0, 1))),
            box('stbl', full('stsd', 0, 0, u32(1), sampleEntry(config)),
              empty('stts'), empty('stsc'), full('stsz', 0, 0, u32(0, 0)), empty('stco'))))),
      box('mvex', full('trex', 0, 0, u32(1, 1, 0, 0, 0)))));
}

/** One `moof` + `mdat` with these samples, in decoding order. */
export function fragment(sequence: number, samples: readonly Sample[]): Bytes {
  const count = samples.length;
  const table = new DataView(new ArrayBuffer(count * 16));
  let payload = 0;
  samples.forEach((sample, i) => {
    table.setUint32(i * 16, sample.duration);
    table.setUint32(i * 16 + 4, sample.data.length);
    // sample_depends_on and sample_is_non_sync_sample (ISO 14496-12, 8.8.3.1).
    table.setUint32(i * 16 + 8, sample.key ? 0x2000000 : 0x1010000);
    table.setInt32(i * 16 + 12, sample.offset);
    payload += sample.data.length;
  });
  const start = samples[0]!.dts;
  // moof 8 + mfhd 16 + traf 8 + tfhd 16 + tfdt 20 + trun 20, then the table and the head of mdat.
  const offset = 88 + count * 16 + 8;
  const moof = box('moof',
    full('mfhd', 0, 0, u32(sequence)),
    box('traf',
      full('tfhd', 0, 0x20000, u32(1)),
      full('tfdt', 1, 0, u32(Math.floor(start / 2 ** 32), start % 2 ** 32)),
      full('trun', 1, 0xf01, u32(count, offset), new Uint8Array(table.buffer))));
  return bytes(moof, u32(payload + 8), ascii('mdat'), ...samples.map((sample) => sample.data));
}

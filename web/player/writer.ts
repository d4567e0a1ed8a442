import { opusSamples, type TrackConfig } from './codec';
import type { Bytes } from './flv';
import { fragment, initSegment, type Sample } from './mp4';

/**
 * How long the first picture is said to last, in seconds, where it goes ahead alone. Browsers take one that follows after more than twice
 * as long for a new beginning, and drop everything up to the next keyframe.
 */
const FIRST_PICTURE_S = 1 / 8;
/** Differences up to this stay inside what browsers bridge without a gap. */
const AUDIO_SLACK_S = 0.04;

/**
 * Turns coded frames of one track into fragments. Frames are never held back to
 * learn how long they last: the last one of a batch gets the length of the one
 * before, and the next batch carries its own start.
 */
export class TrackWriter {
  private readonly samples: Sample[] = [];
  private sequence = 0;
  private lastDts = -1;
  private lastDuration: number;
  /** Where the next audio frame belongs if nothing was lost. */
  private expected: number | undefined;

  constructor(readonly config: TrackConfig) {
    this.lastDuration = config.kind === 'video' ? config.timescale * FIRST_PICTURE_S : config.frameSamples || 960;
  }

  get init(): Bytes {
    return initSegment(this.config);
  }

  get empty(): boolean {
    return this.samples.length === 0;
  }

  /** Times are milliseconds on the media timeline. */
  push(dtsMs: number, ptsMs: number, key: boolean, data: Bytes): void {
    const scale = this.config.timescale / 1000;
    if (this.config.kind === 'audio') this.audio(dtsMs * scale, data);
    else this.video(Math.round(dtsMs * scale), Math.round(ptsMs * scale), key, data);
  }

  /** Everything pushed so far as one `moof` + `mdat`. */
  drain(): Bytes | undefined {
    if (!this.samples.length) return undefined;
    const out = fragment(++this.sequence, this.samples);
    this.samples.length = 0;
    return out;
  }

  private video(dts: number, pts: number, key: boolean, data: Bytes): void {
    const at = Math.max(0, dts, this.lastDts + 1);
    const previous = this.samples[this.samples.length - 1];
    const step = at - this.lastDts;
    // A step of more than a second is a hole, not a slow frame.
    if (this.lastDts >= 0 && step > 1 && step < this.config.timescale) this.lastDuration = step;
    if (previous && step < this.config.timescale) previous.duration = step;
    this.lastDts = at;
    this.samples.push({ dts: at, offset: pts - at, duration: this.lastDuration, key, data });
  }

  private audio(at: number, data: Bytes): void {
    const { config } = this;
    if (config.kind !== 'audio') return;
    const duration = config.codec === 'Opus' ? opusSamples(data) : config.frameSamples || 960;
    const slack = AUDIO_SLACK_S * config.timescale;
    // FLV rounds to milliseconds. Counting samples instead keeps the sound free
    // of the tiny gaps and overlaps which that rounding would make.
    if (this.expected === undefined || at > this.expected + slack) this.expected = Math.max(0, Math.round(at));
    else if (at < this.expected - slack) return; // Too many frames for the clock: drop this one.
    // A jump may not be hidden inside one fragment, whose samples are contiguous.
    const previous = this.samples[this.samples.length - 1];
    if (previous) previous.duration = this.expected - previous.dts;
    this.samples.push({ dts: this.expected, offset: 0, duration, key: true, data });
    this.expected += duration;
  }
}

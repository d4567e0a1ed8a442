import type { TrackConfig } from './codec';
import type { Bytes, Kind } from './flv';
import { mediaSourceClass } from './source';
import { TrackWriter } from './writer';

// Feeds a <video> through Media Source Extensions. Each SourceBuffer has a queue
// of ready segments and the writer that collects frames while an append runs.

/** Seconds kept behind the playhead, for rewinding a little. */
const KEEP_BEHIND_S = 10;
/** Trimming is cheap but interrupts appends, so it waits until this much has gathered. */
const TRIM_ABOVE_S = 20;

interface Track {
  buffer: SourceBuffer;
  mime: string;
  writer: TrackWriter;
  queue: ({ mime: string } | Bytes)[];
}

const container = (config: TrackConfig) => `${config.kind}/mp4; codecs="${config.mime}"`;

export function playable(config: TrackConfig): boolean {
  return mediaSourceClass()?.isTypeSupported(container(config)) ?? false;
}

export class MseSink {
  private readonly tracks = new Map<Kind, Track>();
  private open: boolean;
  private closed = false;
  private held = false;
  /** Frames that came before the source was open, and how many of them go first. */
  private waiting: [Kind, number, number, boolean, Bytes][] = [];
  private heldFrom = 0;
  private planned: TrackConfig[] = [];

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly source: MediaSource,
    private readonly failed: (reason: string) => void,
  ) {
    this.open = source.readyState === 'open';
    if (!this.open) source.addEventListener('sourceopen', () => this.opened(), { once: true });
  }

  /** Whether the tracks are fixed: browsers take no more once playback is set up. */
  get started(): boolean {
    return this.planned.length > 0;
  }

  has(kind: Kind): boolean {
    return this.planned.some((config) => config.kind === kind);
  }

  /** Fixes the set of tracks and queues their initialization segments. */
  start(configs: TrackConfig[]): void {
    this.planned = configs;
    if (this.open) this.create();
  }

  /** A new decoder configuration for a track that exists. */
  reconfigure(config: TrackConfig): void {
    this.planned = this.planned.map((old) => (old.kind === config.kind ? config : old));
    const track = this.tracks.get(config.kind);
    if (!track) return;
    this.seal(track);
    if (track.mime !== config.mime) track.queue.push({ mime: container(config) });
    track.mime = config.mime;
    track.writer = new TrackWriter(config);
    track.queue.push(track.writer.init);
  }

  /** Times are milliseconds on the media timeline. Call `flush` after the last frame of a batch. */
  push(kind: Kind, dts: number, pts: number, key: boolean, data: Bytes): void {
    if (!this.open) this.waiting.push([kind, dts, pts, key, data]);
    else this.tracks.get(kind)?.writer.push(dts, pts, key, data);
  }

  /** Sends what was pushed so far, and then nothing more until `release`. */
  flushAndHold(): void {
    this.sealAll();
    this.flush();
    this.held = true;
    this.heldFrom = this.waiting.length;
  }

  release(): void {
    if (!this.held) return;
    this.held = false;
    this.flush();
  }

  flush(): void {
    for (const track of this.tracks.values()) this.pump(track);
  }

  /** Removes what lies well behind the playhead. */
  trim(): void {
    const now = this.video.currentTime;
    for (const { buffer } of this.tracks.values()) {
      if (buffer.updating || !buffer.buffered.length) continue;
      if (now - buffer.buffered.start(0) > TRIM_ABOVE_S) buffer.remove(0, now - KEEP_BEHIND_S);
    }
  }

  close(): void {
    this.closed = true;
    this.tracks.clear();
    this.waiting.length = 0;
  }

  private opened(): void {
    if (this.closed) return;
    this.open = true;
    if (this.started) this.create();
    if (this.held) {
      for (const item of this.waiting.splice(0, this.heldFrom)) this.push(...item);
      this.sealAll();
    }
    for (const item of this.waiting.splice(0)) this.push(...item);
    this.flush();
  }

  private create(): void {
    try {
      for (const config of this.planned) {
        const buffer = this.source.addSourceBuffer(container(config));
        const writer = new TrackWriter(config);
        const track: Track = { buffer, mime: config.mime, writer, queue: [writer.init] };
        buffer.addEventListener('updateend', () => this.pump(track));
        buffer.addEventListener('error', () => this.fail('append'));
        this.tracks.set(config.kind, track);
      }
    } catch (error) {
      return this.fail(String(error));
    }
    this.flush();
  }

  private sealAll(): void {
    for (const track of this.tracks.values()) this.seal(track);
  }

  private seal(track: Track): void {
    const segment = track.writer.drain();
    if (segment) track.queue.push(segment);
  }

  private pump(track: Track): void {
    if (this.closed || track.buffer.updating || this.source.readyState !== 'open') return;
    try {
      if (!track.queue.length && !this.held) this.seal(track);
      let next = track.queue[0];
      while (next && !(next instanceof Uint8Array)) {
        track.buffer.changeType(next.mime);
        track.queue.shift();
        next = track.queue[0];
      }
      if (!next) return;
      track.buffer.appendBuffer(next);
      track.queue.shift();
    } catch (error) {
      if ((error as DOMException).name !== 'QuotaExceededError') return this.fail(String(error));
      // The segment stays in the queue; `updateend` of the removal tries again.
      const end = this.video.currentTime - 1;
      if (end > 0) track.buffer.remove(0, end);
      else this.fail('buffer full');
    }
  }

  private fail(reason: string): void {
    if (this.closed) return;
    this.close();
    this.failed(reason);
  }
}

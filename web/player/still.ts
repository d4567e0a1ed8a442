import { videoConfig, type VideoConfig } from './codec';
import { FlvDemuxer, type Metadata, type Packet } from './flv';
import { MseSink } from './mse';
import { Poster } from './poster';
import type { Carried } from './rungs/start';
import { attach } from './source';

/** Frames needed until a browser shows the first one of a stream with B-frames through MSE. */
const FRAMES = 4;
const TIMEOUT_MS = 6_000;

interface Opening {
  config: VideoConfig;
  frames: Packet[];
  carried: Carried;
}

/**
 * Paints the newest keyframe of a live stream on `canvas`. Costs one keyframe of
 * traffic: the request is aborted as soon as that is here. Returns how it came; nothing where there is no picture.
 */
export async function paintStill(url: string, canvas: HTMLCanvasElement): Promise<Carried | undefined> {
  const opening = await inTurn(() => open(url));
  return opening && (await paint(opening, canvas).catch(() => false)) ? opening.carried : undefined;
}

let last: Promise<unknown> = Promise.resolve();

/** One after the other: of those that load side by side, each takes its share of the network for the whole. */
export function inTurn<T>(load: () => Promise<T>): Promise<T> {
  const loading = last.then(load);
  last = loading.catch(() => undefined);
  return loading;
}

async function open(url: string): Promise<Opening | undefined> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    return await readOpening(url, abort.signal);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

async function readOpening(url: string, signal: AbortSignal): Promise<Opening | undefined> {
  const asked = performance.now();
  const response = await fetch(url, { signal, cache: 'no-store' });
  if (!response.ok || !response.body) return undefined;
  let metadata: Metadata = {};
  let config: VideoConfig | undefined;
  const frames: Packet[] = [];
  const demuxer = new FlvDemuxer({
    metadata: (values) => (metadata = values),
    packet: (packet) => {
      if (packet.kind !== 'video') return;
      if (packet.role === 'config') config = videoConfig(packet.codec, packet.data.slice(), metadata);
      else if (frames.length || packet.key) frames.push(packet);
    },
  });
  const needed = () => (config && frames.length && (Poster.available || !config.reorders) ? 1 : FRAMES);
  const reader = response.body.getReader();
  let first: number | undefined;
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    const now = performance.now();
    if (first === undefined) first = now;
    else bytes += value.length;
    demuxer.push(value);
    if (config && frames.length >= needed()) {
      const keyBytes = frames[0]!.data.length;
      return { config, frames, carried: { keyBytes, bytes, ms: now - first, firstMs: first - asked } };
    }
  }
}

function paint({ config, frames }: Opening, canvas: HTMLCanvasElement): Promise<boolean> {
  return new Promise((resolve) => {
    const poster = new Poster(canvas, () => resolve(true));
    setTimeout(() => resolve(false), TIMEOUT_MS);
    if (Poster.available) return poster.show(config, frames[0]!.data);
    const video = document.createElement('video');
    video.muted = true;
    const source = attach(video);
    if (!source) return resolve(false);
    const sink = new MseSink(video, source, () => resolve(false));
    video.addEventListener('loadeddata', () => {
      poster.hold(video);
      sink.close();
      video.removeAttribute('src');
      resolve(true);
    }, { once: true });
    sink.start([config]);
    const [first] = frames as [Packet];
    const shift = first.pts - first.dts;
    for (const frame of frames.slice(0, FRAMES)) {
      sink.push('video', frame.dts - first.pts + shift, frame.pts - first.pts, frame.key, frame.data);
    }
    sink.flush();
  });
}

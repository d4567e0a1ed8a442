import { attach } from './source';

// Runs at the very top of the watch page, before anything else is parsed: the
// stream is requested and the media source opens while the page still arrives.

export interface Early {
  /** The stream of the page, and what was asked for: it, or the rung that an earlier visit ended with. */
  src: string;
  url: string;
  /** `performance.now()` at which the request was sent. */
  sent: number;
  response: Promise<Response>;
  abort: AbortController;
  video: HTMLVideoElement;
  source: MediaSource | undefined;
}

declare global {
  interface Window {
    __rushlightEarly?: Early | undefined;
  }
}

/** Where a rung is begun: so many ms behind live. */
const BEHIND = '-3000';

/** What lets somebody play who otherwise may not: links have it, and every request passes it on. */
export const ACCESS = ['key', 'expires', 'signature'];

/**
 * Path of the stream which the page at `location` shows, with `startPts` and
 * what gives access passed on. None where HLS is asked for.
 */
export function streamUrl(place: { pathname: string; search: string }): string | undefined {
  const channel = /^\/watch\/([^/]+)\/?$/.exec(place.pathname)?.[1];
  const query = new URLSearchParams(place.search);
  if (!channel || query.get('protocol') === 'hls') return undefined;
  const passed = new URLSearchParams();
  for (const name of ['startPts', ...ACCESS]) {
    const value = query.get(name);
    if (value !== null && (name !== 'startPts' || /^-?\d+$/.test(value))) passed.set(name, value);
  }
  return `/live/${channel}.flv${passed.size ? `?${passed}` : ''}`;
}

/** What is asked for to play `src`: where an earlier visit found the network too slow for it, what came then. See rungs/memory.ts. */
export function startUrl(src: string): string {
  try {
    const [path, query] = src.split('?');
    const { starts } = JSON.parse(localStorage.getItem('rushlight.rungs')!) as { starts: Record<string, string> };
    const start = starts[path!];
    if (!start) return src;
    // Who cannot have the stream itself is told apart from others by its network: what is behind live fills the buffer.
    const asked = new URLSearchParams(query);
    if (!asked.has('startPts')) asked.set('startPts', BEHIND);
    return `${start}?${asked}`;
  } catch {
    return src; // Nothing is known of it.
  }
}

export function startEarly(): void {
  const src = streamUrl(location);
  if (!src) return;
  const url = startUrl(src);
  const abort = new AbortController();
  const sent = performance.now();
  const response = fetch(url, { signal: abort.signal, cache: 'no-store', priority: 'high' });
  // The player takes the promise over; until then a failure is not unhandled.
  response.catch(() => undefined);
  const video = document.createElement('video');
  video.muted = true;
  video.playsInline = true;
  window.__rushlightEarly = { src, url, sent, response, abort, video, source: attach(video) };
}

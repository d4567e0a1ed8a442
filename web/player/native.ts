import type { HlsRequest, HlsSource } from './hls';

// The browser plays the playlist itself: iPhones without media sources.

/** Media errors in a row after which it is not going to play. */
const FAILURES_MAX = 3;

export function nativeSource(video: HTMLVideoElement, request: HlsRequest): HlsSource {
  const abort = new AbortController();
  let { from } = request;
  let failures = 0;
  const on = (name: string, run: () => void) => video.addEventListener(name, run, { signal: abort.signal });
  const end = () => (video.seekable.length ? video.seekable.end(video.seekable.length - 1) : undefined);
  const load = () => {
    video.src = request.url;
    // Without it, browsers wait for a gesture before they fetch anything.
    video.load();
  };

  /** A media element does not say why: the playlist is asked for again, for its status. */
  async function explain(): Promise<void> {
    const reason = video.error?.message || 'HLS';
    const status = await fetch(request.url, { signal: abort.signal, cache: 'no-store' }).then((r) => r.status, () => 0);
    if (abort.signal.aborted) return;
    if (!status) request.failed({ why: 'network' });
    else if (status >= 400) request.failed({ why: 'status', status });
    else if (++failures >= FAILURES_MAX) request.failed({ why: 'unsupported', reason });
    else request.failed({ why: 'network' });
  }

  on('loadedmetadata', () => {
    request.listed();
    const edge = end();
    if (from !== undefined && edge !== undefined) {
      video.currentTime = request.kind === 'recording' ? from : Math.max(video.seekable.start(0), edge - from);
    }
  });
  on('loadeddata', () => {
    failures = 0;
    request.fetched();
  });
  on('error', () => void explain());
  load();

  return {
    get edge() {
      return Number.isFinite(video.duration) ? video.duration : end();
    },
    get start() {
      return video.seekable.length ? video.seekable.start(0) : 0;
    },
    // What AVPlayer keeps is its own matter; it is three segments of 2 s with classic HLS.
    target: request.kind === 'recording' ? 0 : 6,
    get videoConfig() {
      return video.videoWidth ? { mime: '', width: video.videoWidth, height: video.videoHeight } : undefined;
    },
    // It does not say what tracks there are; sound is the rule.
    audioConfig: { mime: '' },
    bitrateBps: 0,
    begin: (seconds) => (from = seconds),
    reload: load,
    destroy() {
      abort.abort();
      video.removeAttribute('src');
      video.load();
    },
  };
}

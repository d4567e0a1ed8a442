import { ACCESS } from '../player/early';

// The part of the JSON API that the pages read.

export interface Channel {
  name: string;
  app: string;
  channel: string;
  live: boolean;
  startedAt: string;
  uptimeMs: number;
  viewers: number;
  video: { codec: string; mime: string | null; width: number | null; height: number | null; fps: number | null } | null;
  audio: { codec: string; mime: string | null } | null;
  bitrateBps: number;
  /** Smaller versions, largest first. */
  rungs?: { name: string; stream: string; width: number; height: number; bitrateBps: number }[];
  title: string | null;
  /** Seconds of the past that can be played; absent or 0 where there is none. */
  rewindS?: number;
}

/** The server answered, and not with what it was asked for. */
export class Refused extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

async function get<T>(path: string): Promise<T | undefined> {
  const response = await fetch(path, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(8_000) });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Refused(response.status);
  return (await response.json()) as T;
}

export const channels = async (): Promise<Channel[]> =>
  (await get<{ channels: Channel[] }>(withAccess('/api/v1/channels')))?.channels ?? [];

/** Undefined when nobody publishes it. */
export const channel = (name: string): Promise<Channel | undefined> =>
  get<Channel>(withAccess(`/api/v1/channels/live/${encodeURIComponent(name)}`));

export interface Recording {
  id: string;
  /** `app/channel`. */
  stream: string;
  state: 'recording' | 'paused' | 'waiting' | 'finishing' | 'complete';
  startedAt: string;
  durationMs: number;
  bytes: number;
  title?: string | null;
}

export interface RecordingPage {
  recordings: Recording[];
  /** What to ask with for older ones; null where there are none. */
  next: string | null;
}

/** Newest first: of one channel (`app/channel`), or of all; `q` has what their names or titles contain. */
export function recordings(options: { stream?: string; before?: string; q?: string; limit: number }): Promise<RecordingPage | undefined> {
  const query = new URLSearchParams(Object.entries(options).map(([name, value]) => [name, String(value)]));
  return get<RecordingPage>(withAccess(`/api/v1/recordings?${query}`));
}

/** Undefined when there is none, or it needs a key. */
export const recording = (id: string): Promise<Recording | undefined> =>
  get<Recording>(withAccess(`/api/v1/recordings/${encodeURIComponent(id)}`));

/** The same address with what gives this page access, where it has such a thing. */
export function withAccess(path: string, search = location.search): string {
  const given = new URLSearchParams(search);
  const passed = new URLSearchParams(ACCESS.flatMap((name) => (given.has(name) ? [[name, given.get(name)!]] : [])));
  return passed.size ? `${path}${path.includes('?') ? '&' : '?'}${passed}` : path;
}

/** Runs `task` at once and then every `everyMs`, but not while nobody looks. */
export function poll(everyMs: number, task: () => Promise<void>): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const run = async () => {
    clearTimeout(timer);
    await task().catch(() => undefined);
    if (!document.hidden) timer = setTimeout(run, everyMs);
  };
  document.addEventListener('visibilitychange', () => document.hidden || void run());
  void run();
}

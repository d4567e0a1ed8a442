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
  title: string | null;
}

async function get<T>(path: string): Promise<T | undefined> {
  const response = await fetch(path, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(8_000) });
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(String(response.status));
  return (await response.json()) as T;
}

export const channels = async (): Promise<Channel[]> =>
  (await get<{ channels: Channel[] }>('/api/v1/channels'))?.channels ?? [];

/** Undefined when nobody publishes it. */
export const channel = (name: string): Promise<Channel | undefined> =>
  get<Channel>(`/api/v1/channels/live/${encodeURIComponent(name)}`);

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

import type { Bytes } from './flv';

// One connection to a stream: HTTP response streaming, or WebSocket on the same
// path for networks whose proxies hold streamed responses back.

/** How media comes; those of this file, and HLS in hls.ts. */
export type Protocol = FlvProtocol | 'hls';
export type FlvProtocol = 'http-flv' | 'ws-flv';

export type End =
  /**
   * The connection ended in good order. A response runs to the end of its
   * connection, so this may be the end of the stream or a server that went away.
   */
  | { why: 'ended' }
  /** The server answered, but not with a stream. */
  | { why: 'status'; status: number; retryAfterMs?: number }
  /** No answer, or the connection broke. */
  | { why: 'network' };

export interface Connection {
  close(): void;
}

export interface ConnectionHandler {
  open(): void;
  chunk(data: Bytes): void;
  end(end: End): void;
}

/** A request that the page sent before the player existed. */
export interface PendingResponse {
  response: Promise<Response>;
  abort: AbortController;
}

export const fetchStreams = (): boolean =>
  typeof ReadableStream === 'function' && typeof Response === 'function' && 'body' in Response.prototype;

export function connect(
  protocol: FlvProtocol, url: string, handler: ConnectionHandler, pending?: PendingResponse,
): Connection {
  return protocol === 'http-flv' ? overHttp(url, handler, pending) : overWebSocket(url, handler);
}

/** Calls `end` at most once, and nothing at all after `close`. */
function guard(handler: ConnectionHandler): ConnectionHandler & { done: boolean } {
  return {
    done: false,
    open() {
      if (!this.done) handler.open();
    },
    chunk(data) {
      if (!this.done) handler.chunk(data);
    },
    end(end) {
      if (this.done) return;
      this.done = true;
      handler.end(end);
    },
  };
}

function overHttp(url: string, handler: ConnectionHandler, pending?: PendingResponse): Connection {
  const safe = guard(handler);
  const abort = pending?.abort ?? new AbortController();
  const run = async () => {
    const response = await (pending?.response ?? fetch(url, { signal: abort.signal, cache: 'no-store' }));
    if (!response.ok || !response.body) {
      abort.abort();
      const wait = Number(response.headers.get('retry-after'));
      return safe.end({ why: 'status', status: response.status, ...(wait > 0 ? { retryAfterMs: wait * 1000 } : {}) });
    }
    safe.open();
    const reader = response.body.getReader();
    while (!safe.done) {
      const { done, value } = await reader.read();
      if (done) return safe.end({ why: 'ended' });
      safe.chunk(value as Bytes);
    }
  };
  run().catch(() => safe.end({ why: 'network' }));
  return {
    close() {
      safe.done = true;
      abort.abort();
    },
  };
}

function overWebSocket(url: string, handler: ConnectionHandler): Connection {
  const safe = guard(handler);
  const socket = new WebSocket(new URL(url, location.href).href.replace(/^http/, 'ws'));
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => safe.open();
  socket.onmessage = (event) => {
    if (event.data instanceof ArrayBuffer) safe.chunk(new Uint8Array(event.data));
  };
  socket.onclose = (event) => {
    // The server closes with 4000 + the status that a plain response would have.
    const status = event.code - 4000;
    if (status >= 400 && status < 600) safe.end({ why: 'status', status });
    else safe.end({ why: event.code === 1000 ? 'ended' : 'network' });
  };
  return {
    close() {
      safe.done = true;
      socket.close();
    },
  };
}

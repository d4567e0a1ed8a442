// Stand-in for the Rust server while working on the pages: serves dist/ and
// plays FLV files as live channels with the same join rules (header, metadata,
// configurations, newest keyframe, backlog, then live), plus the JSON API.
//
//   node dev/mock-server.mjs --port 28080 demo=/path/clip.flv [more=/path/b.flv]
//
// GET /mock/stop/NAME ends a channel, /mock/start/NAME begins it again,
// /mock/freeze/NAME?ms=N sends nothing for a while, /mock/cut/NAME breaks
// connections, /mock/swap/NAME?with=OTHER goes on with the file of another
// channel. NAME=FILE,frames=N holds everything after the first N tags of
// a join back for 1.5 s. Channel names that begin with `private` answer 403.

import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const portAt = args.indexOf('--port');
const port = portAt >= 0 ? Number(args.splice(portAt, 2)[1]) : 28080;
const dist = fileURLToPath(new URL('../dist', import.meta.url));

function readFlv(path) {
  const data = readFileSync(path);
  const tags = [];
  for (let at = 13; at + 15 <= data.length; ) {
    const size = data.readUIntBE(at + 1, 3);
    const end = at + 15 + size;
    if (end > data.length) break;
    const kind = data[at];
    const ms = data.readUIntBE(at + 4, 3) + data[at + 7] * 2 ** 24;
    const body = data.subarray(at + 11, at + 11 + size);
    const enhanced = kind === 9 ? (body[0] & 0x80) !== 0 : body[0] >> 4 === 9;
    const config = kind === 18 || (enhanced ? (body[0] & 15) === 0 : (kind === 9 ? [7, 12].includes(body[0] & 15) : body[0] >> 4 === 10) && body[1] === 0);
    const key = kind === 9 && !config && ((body[0] >> 4) & 7) === 1;
    // The end of sequence that ffmpeg writes last would end a looping stream.
    if (!(kind === 9 && !enhanced && body[1] === 2)) tags.push({ kind, ms, config, key, raw: data.subarray(at, end) });
    at = end;
  }
  const configs = tags.filter((tag) => tag.config);
  const media = tags.filter((tag) => !tag.config);
  const video = media.filter((tag) => tag.kind === 9);
  const frame = video.length > 1 ? (video.at(-1).ms - video[0].ms) / (video.length - 1) : 23;
  return { header: data.subarray(0, 13), configs, media, length: media.at(-1).ms - media[0].ms + frame };
}

function stamped(tag, ms) {
  const out = Buffer.from(tag.raw);
  const value = Math.round(ms) >>> 0;
  out.writeUIntBE(value & 0xffffff, 4, 3);
  out[7] = value >>> 24;
  return out;
}

class Channel {
  constructor(name, path) {
    const [file, option] = path.split(',frames=');
    Object.assign(this, { name, first: Number(option ?? 0), flv: readFlv(file), readers: new Set(), live: true, frozenUntil: 0 });
    this.begin();
  }

  begin() {
    this.startedAt = Date.now();
    this.index = 0;
    this.gop = [];
    this.live = true;
    // Begin in the middle of the second group, so that a join has a backlog.
    this.ahead = 3_300;
    this.timer ??= setInterval(() => this.tick(), 10);
    this.tick();
  }

  /** As when a publisher reconnects with other settings: new configurations, the clock goes on. */
  swap(flv) {
    const { media, length } = this.flv;
    const ms = media[this.index % media.length].ms - media[0].ms + Math.floor(this.index / media.length) * length;
    this.flv = flv;
    this.index = 0;
    this.ahead -= ms;
    this.shift = (this.shift ?? 0) + ms;
    this.gop = [];
    for (const tag of flv.configs) for (const reader of this.readers) reader.write(stamped(tag, this.shift));
  }

  end() {
    this.live = false;
    for (const reader of this.readers) reader.end();
    this.readers.clear();
  }

  tick() {
    const now = Date.now();
    if (!this.live || now < this.frozenUntil) return;
    const { media, length } = this.flv;
    for (;;) {
      const loop = Math.floor(this.index / media.length);
      const tag = media[this.index % media.length];
      const ms = tag.ms - media[0].ms + loop * length;
      if (ms > now - this.startedAt + this.ahead) return;
      this.index++;
      const bytes = stamped(tag, ms + (this.shift ?? 0));
      if (tag.key) this.gop = [];
      this.gop.push(bytes);
      for (const reader of this.readers) reader.write(bytes);
    }
  }

  join(reader) {
    const first = this.gop[0]?.readUIntBE(4, 3) ?? 0;
    const head = Buffer.concat([this.flv.header, ...this.flv.configs.map((tag) => stamped(tag, first))]);
    if (!this.first) {
      reader.write(Buffer.concat([head, ...this.gop]));
      this.readers.add(reader);
      return;
    }
    // The rest comes later, still from this group: what is cut off here, live would have sent.
    reader.write(Buffer.concat([head, ...this.gop.slice(0, this.first)]));
    const held = this.gop.slice(this.first);
    const { write } = reader;
    reader.write = (bytes) => held.push(bytes);
    this.readers.add(reader);
    setTimeout(() => {
      reader.write = write;
      reader.write(Buffer.concat(held));
    }, 1500);
  }

  json() {
    const video = this.flv.configs.some((tag) => tag.kind === 9);
    return {
      name: `live/${this.name}`, app: 'live', channel: this.name, live: this.live,
      startedAt: new Date(this.startedAt).toISOString(), uptimeMs: Date.now() - this.startedAt,
      viewers: this.readers.size,
      video: video ? { codec: 'h264', mime: 'avc1.64001f', width: 854, height: 480, fps: 30, bFrames: false } : null,
      audio: { codec: 'aac', mime: 'mp4a.40.2', sampleRate: 48000, channels: 1 },
      bitrateBps: 900000, gopMs: 2000, title: null,
    };
  }
}

const channels = new Map(args.map((arg) => {
  const [name, path] = arg.split(/=(.*)/);
  return [name, new Channel(name, path)];
}));

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };

function problem(response, status, title) {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ type: 'about:blank', title, status, detail: title }));
}

/** The policy of the real server: inline elements by their hashes. */
function securityPolicy(page) {
  const hashes = (name) => [...page.matchAll(new RegExp(`<${name}[^>]*>([^]*?)</${name}>`, 'g'))]
    .map(([, text]) => ` 'sha256-${createHash('sha256').update(text).digest('base64')}'`).join('');
  return `default-src 'none'; script-src 'self'${hashes('script')}; style-src 'self'${hashes('style')}; img-src 'self' data: blob:; ` +
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const path = decodeURIComponent(url.pathname);
  const json = (value) => {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(value));
  };
  let match;
  if ((match = /^\/mock\/(stop|start|freeze|cut|swap)\/(.+)$/.exec(path))) {
    const channel = channels.get(match[2]);
    if (match[1] === 'stop') channel.end();
    if (match[1] === 'start') channel.begin();
    if (match[1] === 'freeze') channel.frozenUntil = Date.now() + Number(url.searchParams.get('ms') ?? 2000);
    if (match[1] === 'swap') channel.swap(channels.get(url.searchParams.get('with')).flv);
    if (match[1] === 'cut') for (const reader of channel.readers) reader.cut();
    return json({});
  }
  if (path === '/api/v1/beacon') {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      if (process.env.BEACONS) console.log(text);
      response.writeHead(204).end();
    });
    return undefined;
  }
  if (path === '/api/v1/channels') return json({ channels: [...channels.values()].filter((c) => c.live).map((c) => c.json()) });
  if ((match = /^\/api\/v1\/channels\/live\/(.+)$/.exec(path))) {
    const channel = channels.get(match[1]);
    return channel?.live ? json({ ...channel.json(), tracks: [], publisher: {}, log: {} }) : problem(response, 404, 'Not Found');
  }
  if ((match = /^\/live\/(.+)\.flv$/.exec(path))) {
    if (match[1].startsWith('private')) return problem(response, 403, 'Forbidden');
    const channel = channels.get(match[1]);
    if (!channel?.live) return problem(response, 404, 'Not Found');
    if (url.searchParams.has('nofetch') || process.env.NO_HTTP_FLV) return request.socket.destroy();
    response.writeHead(200, { 'content-type': 'video/x-flv', 'cache-control': 'no-store' });
    request.socket.setNoDelay(true);
    const reader = { write: (b) => response.write(b), end: () => response.end(), cut: () => request.socket.destroy() };
    response.on('close', () => channel.readers.delete(reader));
    return channel.join(reader);
  }
  let file = path === '/' ? '/index.html' : /^\/watch\/[^/]+\/?$/.test(path) ? '/watch.html' : normalize(path);
  file = join(dist, file);
  if (!file.startsWith(dist) || !existsSync(file) || statSync(file).isDirectory()) return problem(response, 404, 'Not Found');
  const type = TYPES[extname(file)] ?? 'application/octet-stream';
  if (/text|json|svg/.test(type)) {
    if (file.endsWith('.html')) response.setHeader('content-security-policy', securityPolicy(readFileSync(file, 'utf8')));
    response.writeHead(200, { 'content-type': type, 'content-encoding': 'gzip', 'cache-control': file.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache' });
    return response.end(gzipSync(readFileSync(file), { level: 9 }));
  }
  response.writeHead(200, { 'content-type': type });
  return createReadStream(file).pipe(response);
});

function frame(opcode, payload) {
  const size = payload.length;
  const head = size < 126 ? Buffer.from([0x80 | opcode, size])
    : size < 65536 ? Buffer.from([0x80 | opcode, 126, size >> 8, size & 255])
      : Buffer.concat([Buffer.from([0x80 | opcode, 127, 0, 0, 0, 0]), Buffer.from([size >>> 24, size >>> 16, size >>> 8, size].map((v) => v & 255))]);
  return Buffer.concat([head, payload]);
}

server.on('upgrade', (request, socket) => {
  const name = /^\/live\/([^?]+)\.flv/.exec(request.url)?.[1];
  const channel = channels.get(decodeURIComponent(name ?? ''));
  socket.on('error', () => socket.destroy());
  if (!channel?.live) return socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`);
  socket.setNoDelay(true);
  const reader = {
    write: (b) => socket.write(frame(2, b)),
    end: () => socket.end(frame(8, Buffer.from([3, 232]))),
    cut: () => socket.destroy(),
  };
  socket.on('close', () => channel.readers.delete(reader));
  socket.on('data', () => undefined);
  return channel.join(reader);
});

server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));

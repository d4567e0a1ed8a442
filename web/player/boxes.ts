import type { Bytes } from './flv';

/** Concatenates parts into one array. */
export function bytes(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const u16 = (...values: number[]): Bytes => Uint8Array.from(values.flatMap((v) => [v >> 8, v]));

export const u32 = (...values: number[]): Bytes =>
  Uint8Array.from(values.flatMap((v) => [v >>> 24, v >>> 16, v >>> 8, v]));

export const ascii = (text: string): Bytes => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** An ISO base media box (ISO 14496-12, 4.2). */
export function box(name: string, ...parts: Uint8Array[]): Bytes {
  const size = parts.reduce((sum, part) => sum + part.length, 8);
  return bytes(u32(size), ascii(name), ...parts);
}

/** A full box: the four bytes of version and flags come first. */
export const full = (name: string, version: number, flags: number, ...parts: Uint8Array[]): Bytes =>
  box(name, u32((version << 24) | flags), ...parts);

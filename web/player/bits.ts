import type { Bytes } from './flv';

/** Big-endian bit reader with Exp-Golomb; reads zeros past the end. */
export class Bits {
  private at = 0;

  constructor(private readonly data: Uint8Array) {}

  u(count: number): number {
    let value = 0;
    for (; count > 0; count--, this.at++) {
      const byte = this.data[this.at >> 3] ?? 0;
      value = value * 2 + ((byte >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }

  flag(): boolean {
    return this.u(1) === 1;
  }

  skip(count: number): void {
    this.at += count;
  }

  ue(): number {
    let zeros = 0;
    while (!this.u(1)) if (++zeros > 31) return 0;
    return 2 ** zeros - 1 + this.u(zeros);
  }

  se(): number {
    const k = this.ue();
    return k & 1 ? (k + 1) / 2 : -k / 2;
  }
}

/** NAL unit payload without emulation prevention bytes (H.264 7.4.1, H.265 7.4.2). */
export function unescapeNal(nal: Uint8Array): Bytes {
  const out = new Uint8Array(nal.length);
  let size = 0;
  let zeros = 0;
  for (const byte of nal) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte ? 0 : zeros + 1;
    out[size++] = byte;
  }
  return out.slice(0, size);
}

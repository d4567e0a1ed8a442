import type { Rung } from './rules';

// The list of all sizes of a channel, as players of LAS read it.

/** More than these nobody has made; what a manifest says is somebody else's word. */
const RUNGS_MAX = 32;

/** The rungs of a manifest, the stream itself first and then from the highest rate to the lowest; those it hides are left out. */
export function rungsOf(manifest: unknown): Rung[] {
  const sets = field(manifest, 'adaptationSet');
  const list = field(Array.isArray(sets) ? sets[0] : undefined, 'representation');
  if (!Array.isArray(list)) return [];
  const rungs = list.slice(0, RUNGS_MAX).flatMap((entry): Rung[] => {
    const [name, url] = [field(entry, 'qualityType'), field(entry, 'url')];
    if (typeof name !== 'string' || typeof url !== 'string' || field(entry, 'hidden') === true) return [];
    const number = (of: string) => Math.max(0, Number(field(entry, of)) || 0);
    // The rate is in kbit/s.
    return [{ name, url, bps: number('maxBitrate') * 1000, width: number('width'), height: number('height') }];
  });
  const [source, ...rest] = rungs;
  return source ? [source, ...rest.sort((a, b) => b.bps - a.bps)] : [];
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Record<string, unknown>)[name] : undefined;
}

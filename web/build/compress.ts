import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Plugin } from 'vite';

/** What the watch page may weigh in all, gzip: the page with the player in it, and what it loads. */
const WATCH_BYTES_MAX = 40 * 1024;
/**
 * The page alone. Its head, which sends the request for the stream, lies in the
 * first segment; a first flight of TCP (10 segments, 14 KiB) holds nearly all of
 * the rest, and what is left arrives while the stream's answer is on its way.
 */
const PAGE_BYTES_MAX = 16 * 1024;

/** Any one script that is loaded only when it is needed: hls.js with what drives it. */
const LATER_BYTES_MAX = 200 * 1024;

/** Writes `x.gz` beside every text file, and fails the build when the watch page is over its budget. */
export function compressPlugin(): Plugin {
  return {
    name: 'rushlight-compress',
    apply: 'build',
    writeBundle(options, bundle) {
      const root = options.dir!;
      const sizes = new Map<string, number>();
      for (const name of ['', 'assets'].flatMap((folder) => readdirSync(join(root, folder)).map((file) => join(folder, file)))) {
        if (!/\.(html|js|css|svg|json)$/.test(name)) continue;
        const packed = gzipSync(readFileSync(join(root, name)), { level: 9 });
        writeFileSync(join(root, `${name}.gz`), packed);
        sizes.set(name, packed.length);
      }
      // What a script asks for with `import()` is not loaded on the way to a live picture.
      const later = new Set(Object.values(bundle).flatMap((part) => (part.type === 'chunk' && part.isDynamicEntry ? [part.fileName] : [])));
      for (const name of later) {
        if (sizes.get(name)! > LATER_BYTES_MAX) this.error(`${name} is ${sizes.get(name)} bytes gzip, over ${LATER_BYTES_MAX}`);
      }
      // Everything the page names, and what those files name in turn.
      const loaded = new Set(['watch.html']);
      for (const name of loaded) {
        const text = readFileSync(join(root, name), 'utf8');
        for (const other of sizes.keys()) {
          if (!other.endsWith('.html') && !later.has(other) && text.includes(basename(other))) loaded.add(other);
        }
      }
      const html = sizes.get('watch.html')!;
      const total = [...loaded].reduce((sum, name) => sum + sizes.get(name)!, 0);
      this.info(`watch page: ${html} bytes gzip, ${total} with what it loads`);
      if (html > PAGE_BYTES_MAX) this.error(`watch.html is ${html} bytes gzip, over ${PAGE_BYTES_MAX}`);
      if (total > WATCH_BYTES_MAX) this.error(`the watch page is ${total} bytes gzip, over ${WATCH_BYTES_MAX}`);
    },
  };
}

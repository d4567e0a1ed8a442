import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { build, transformWithEsbuild, type Plugin } from 'vite';

/**
 * Puts scripts and styles into the page itself: `<script inline src="x.ts">`
 * and `<link inline href="x.css">`. What the first picture needs then comes
 * with the first response, with no further request in its way. The server
 * hashes inline elements for its content security policy.
 */
export function inlinePlugin(): Plugin {
  let serving = false;
  return {
    name: 'rushlight-inline',
    configResolved(config) {
      serving = config.command === 'serve';
    },
    transformIndexHtml: {
      order: 'pre',
      async handler(html, { filename }) {
        if (serving) {
          return html.replace(/<script inline /g, '<script type="module" ').replace(/<link inline /g, '<link rel="stylesheet" ');
        }
        const at = (path: string) => resolve(dirname(filename), path.replace(/^\//, ''));
        html = await replace(html, /<script inline src="([^"]+)"><\/script>/g, async (path) =>
          `<script>${await script(at(path))}</script>`);
        html = await replace(html, /<link inline href="([^"]+)">/g, async (path) => `<style>${await style(at(path))}</style>`);
        return html.replace(/>\s*\n\s*</g, '><').trim();
      },
    },
  };
}

async function replace(text: string, pattern: RegExp, make: (path: string) => Promise<string>): Promise<string> {
  const parts = await Promise.all([...text.matchAll(pattern)].map((match) => make(match[1]!)));
  return text.replace(pattern, () => parts.shift()!);
}

/** Bundles one entry into a classic script, which runs where it stands instead of after parsing. */
async function script(entry: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'warn',
    build: {
      write: false,
      target: TARGET,
      modulePreload: false,
      rollupOptions: { input: entry, output: { format: 'iife' } },
    },
  });
  if (!('output' in result) && !Array.isArray(result)) throw new Error('no bundle');
  const bundle = Array.isArray(result) ? result[0]! : result;
  return escapeScript(bundle.output[0].code);
}

async function style(path: string): Promise<string> {
  const { code } = await transformWithEsbuild(readFileSync(path, 'utf8'), path, { loader: 'css', minify: true, target: TARGET });
  return code.trim();
}

const escapeScript = (code: string) => code.trim().replace(/<\/(script)/gi, '<\\/$1');

export const TARGET = ['es2022', 'safari16.4'];

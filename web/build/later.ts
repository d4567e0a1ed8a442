import type { Plugin } from 'vite';

/**
 * Takes the module scripts of the watch page out of its way: browsers would ask for them before any script of the page runs,
 * and the first of them would get the connection that the page came on, which the stream then lacks. app/watch-entry.ts
 * puts them back when there is a picture.
 */
export function laterPlugin(): Plugin {
  return {
    name: 'rushlight-later',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler: (html, { filename }) => (filename.endsWith('watch.html') ? postpone(html) : html),
    },
  };
}

export function postpone(html: string): string {
  return html
    .replace(/<script type="module"( crossorigin)? src=/g, '<script type="later" src=')
    .replace(/<link rel="modulepreload"( crossorigin)? href=/g, '<link rel="later" href=');
}

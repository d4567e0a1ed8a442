import type { RushlightPlayer } from '../player/element';
import '../player/element';

// The player, inside the page. Scripts that the first picture does not need wait for it: loading them would take the
// connection and the bandwidth, and running them the thread. See build/later.ts.

/** Who has no picture by now needs to be told why. */
const PATIENCE_MS = 700;

const player = document.querySelector<RushlightPlayer>('#player')!;
let begun = false;

function begin(): void {
  if (begun) return;
  begun = true;
  for (const link of document.querySelectorAll<HTMLLinkElement>('link[rel=later]')) link.rel = 'modulepreload';
  for (const { src } of document.querySelectorAll<HTMLScriptElement>('script[type=later]')) {
    const script = document.createElement('script');
    script.type = 'module';
    script.src = src;
    document.head.append(script);
  }
}

player.addEventListener('firstpicture', begin, { once: true });
// HLS is among what comes later.
setTimeout(begin, player.engine ? PATIENCE_MS : 0);

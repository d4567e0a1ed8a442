import type { RushlightPlayer } from '../player/element';
import { buildPage } from './page';

// Everything of the watch page that the first picture does not need. It waits
// for that picture, because both would be made on the same thread.

/** Who has no picture by now needs to be told why. */
const PATIENCE_MS = 700;

const player = document.querySelector<RushlightPlayer>('#player')!;
let begun = false;

function begin(): void {
  if (begun) return;
  begun = true;
  buildPage(player);
}

if (player.engine?.stages.t5 !== undefined) begin();
else {
  player.addEventListener('firstpicture', begin, { once: true });
  setTimeout(begin, PATIENCE_MS);
}

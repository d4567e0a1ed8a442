import type { RushlightPlayer } from '../player/element';
import { buildPage } from './page';

// Everything of the watch page that the first picture does not need; watch-entry.ts loads it.

buildPage(document.querySelector<RushlightPlayer>('#player')!);

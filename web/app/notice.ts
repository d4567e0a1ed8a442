import type { RushlightPlayer } from '../player/element';
import type { State } from '../player/playback';
import { withAccess } from './api';
import { el, setText } from './dom';
import { t, type Key } from './strings';

/** Before this, a slow start looks like a start, not like a message. */
const STARTING_QUIET_MS = 1_200;

const TEXTS: Partial<Record<State, [Key, Key]>> = {
  starting: ['stateStarting', 'stateStartingText'],
  buffering: ['stateBuffering', 'stateBufferingText'],
  reconnecting: ['stateReconnecting', 'stateReconnectingText'],
  waiting: ['stateWaiting', 'stateWaitingText'],
  ended: ['stateEnded', 'stateEndedText'],
  forbidden: ['stateForbidden', 'stateForbiddenText'],
  unsupported: ['stateUnsupported', 'stateUnsupportedText'],
};

/** What stands over the picture when there is something to say instead of it. */
export function buildNotice(player: RushlightPlayer, retry: () => void) {
  const flame = document.querySelector('.brand svg')!.cloneNode(true);
  const heading = el('h2');
  const text = el('p');
  const again = el('button', { class: 'button strong', type: 'button', on: { click: retry } }, t('retry'));
  const browse = el('a', { class: 'button strong', href: withAccess('/') }, t('browseLive'));
  const element = el('div', { class: 'notice', role: 'status', hidden: true }, flame, heading, text, again, browse);
  let since = performance.now();
  let last: State | undefined;

  return {
    element,
    /** Says what no state says, until a state has something to say. */
    say(title: string, words: string, way?: { href: string; text: string }): void {
      element.hidden = false;
      again.hidden = true;
      browse.hidden = !way;
      if (way) {
        browse.href = way.href;
        setText(browse, way.text);
      }
      setText(heading, title);
      setText(text, words);
    },
    update(state: State): void {
      const now = performance.now();
      if (state !== last) since = now;
      last = state;
      const keys = TEXTS[state];
      element.hidden = !keys || (state === 'starting' && now - since < STARTING_QUIET_MS);
      if (!keys || element.hidden) return;
      setText(heading, t(keys[0]));
      setText(text, t(keys[1], { codec: player.engine?.reason ?? '' }));
      again.hidden = state !== 'forbidden' && state !== 'unsupported';
      browse.hidden = state !== 'ended';
    },
  };
}

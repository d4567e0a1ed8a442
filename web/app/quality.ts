import type { RushlightPlayer } from '../player/element';
import type { Rung } from '../player/rungs/rules';
import { el, setText } from './dom';
import { t } from './strings';

/** As in `Ladder`, which is loaded later. */
const AUTO = 'auto';

/** What people call a size: by its short side, whichever way the picture stands. */
export const sizeOf = ({ name, width, height }: Rung): string => (width && height ? `${Math.min(width, height)}p` : name);

/** Chooses between the rungs of a stream; not to be seen where there is but one. */
export function buildQuality(player: RushlightPlayer) {
  const element = el('select', { class: 'rate', label: t('quality'), hidden: true, on: { change: () => player.ladder?.choose(element.value) } });
  const auto = el('option', { value: AUTO }, t('qualityAuto'));
  let listed = '';

  function update(): void {
    const { ladder } = player;
    const current = ladder?.current;
    element.hidden = !current;
    if (!ladder || !current) return;
    const names = ladder.rungs.map(({ name }) => name).join();
    if (names !== listed) {
      listed = names;
      element.replaceChildren(auto, ...ladder.rungs.map((rung) => el('option', { value: rung.name }, sizeOf(rung))));
    }
    // A choice that this stream does not have is made by the player.
    const chosen = ladder.rungs.some(({ name }) => name === ladder.choice) ? ladder.choice : AUTO;
    if (element.value !== chosen) element.value = chosen;
    setText(auto, chosen === AUTO ? t('qualityAutoNow', { size: sizeOf(current) }) : t('qualityAuto'));
  }

  return { element, update };
}

import type { RushlightPlayer } from '../player/element';
import type { Controls } from './controls';

/** Keyboard of the watch page; keys that a focused control uses itself are left to it. */
export function bindKeys(player: RushlightPlayer, controls: Controls, toggleStats: () => void): void {
  const actions: Record<string, () => void> = {
    ' ': controls.togglePlay,
    k: controls.togglePlay,
    f: controls.toggleFullscreen,
    t: controls.toggleTheatre,
    m: controls.toggleSound,
    l: () => player.engine?.goLive(),
    i: toggleStats,
    ArrowLeft: () => controls.skip(-1),
    ArrowRight: () => controls.skip(1),
    ArrowUp: () => controls.changeVolume(1),
    ArrowDown: () => controls.changeVolume(-1),
  };
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.matches('input, textarea, select')) return;
    if (event.key === ' ' && target.matches('button, a')) return;
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
    controls.wake();
  });
}

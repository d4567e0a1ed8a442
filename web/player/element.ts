import { Engine } from './engine';
import { streamUrl, type Early } from './early';
import type { Elements, Events, Playback, State } from './playback';
import { Poster } from './poster';
import type { Ladder } from './rungs/ladder';

declare global {
  interface HTMLElementTagNameMap {
    'rushlight-player': RushlightPlayer;
  }
}

const FILL = 'position:absolute;inset:0;width:100%;height:100%;object-fit:contain';

const SOUND = 'rushlight.sound';

/** Moment the person asked for the page: the start of its navigation. */
const NAVIGATION_T0 = 0;

/**
 * `<rushlight-player src="/live/CHANNEL.flv">`. Without `src` it plays what the
 * address of the page names; where that is nothing, it waits for `swap`.
 * Dispatches `statechange`, `firstpicture`, and `unload` before a playback ends.
 */
export class RushlightPlayer extends HTMLElement {
  video: HTMLVideoElement = document.createElement('video');
  engine: Playback | undefined;
  /** Changes between rungs, once it is loaded. */
  declare ladder: Ladder | undefined;
  private readonly canvas = document.createElement('canvas');
  private readonly back = (event: PageTransitionEvent) => {
    // Out of the back-forward cache: the connection died there. HLS has none that lasts.
    if (event.persisted && this.engine?.protocol !== 'hls') this.load();
  };

  connectedCallback(): void {
    addEventListener('pageshow', this.back);
    this.load(window.__rushlightEarly);
    window.__rushlightEarly = undefined;
  }

  disconnectedCallback(): void {
    removeEventListener('pageshow', this.back);
    this.unload();
  }

  get state(): State {
    return this.engine?.state ?? 'starting';
  }

  /** What this viewer chose, on this or an earlier page. */
  private get sound(): { on: boolean; volume: number } {
    try {
      return { on: false, volume: 1, ...(JSON.parse(localStorage.getItem(SOUND) ?? '{}') as object) };
    } catch {
      return { on: false, volume: 1 }; // Storage may be off limits, or hold anything.
    }
  }

  setSound(on: boolean, volume = this.video.volume): void {
    this.video.muted = !on;
    this.video.volume = Math.min(1, Math.max(0, volume));
    try {
      localStorage.setItem(SOUND, JSON.stringify({ on, volume: this.video.volume }));
    } catch {
      // Then the choice lasts as long as the page.
    }
  }

  /** Starts from scratch, with the request the page has already sent if there is one. */
  load(early?: Early): void {
    this.unload();
    const src = this.src;
    const mine = early?.src === src ? early : undefined;
    early?.src !== src && early?.abort.abort();
    this.video = mine?.video ?? document.createElement('video');
    this.video.playsInline = true;
    // Where sound is not allowed without a gesture, playback begins without it.
    this.video.muted = !this.sound.on;
    this.video.volume = this.sound.volume;
    this.video.style.cssText = this.canvas.style.cssText = FILL;
    this.canvas.hidden = true;
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    root.replaceChildren(this.video, this.canvas);
    if (src) this.live(mine);
  }

  /** Goes on with the live stream, on the same <video>. */
  live(early?: Early): void {
    const src = this.src;
    const [entry] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
    if (src) {
      this.swap((elements, events) => new Engine(src, elements, {
        t0: early ? NAVIGATION_T0 : performance.now(),
        t1: early && entry ? entry.connectEnd : 0,
        early,
        ...events,
      }));
    }
  }

  /** Goes on with something else on the same <video>; the picture stays until there is a new one. */
  swap(make: (elements: Elements, events: Events) => Playback): void {
    const { video, canvas } = this;
    new Poster(canvas, () => undefined).hold(video);
    this.unload();
    this.engine = make({ video, canvas }, {
      changed: () => this.dispatchEvent(new Event('statechange')),
      firstPicture: () => this.dispatchEvent(new Event('firstpicture')),
    });
    this.dispatchEvent(new Event('statechange'));
  }

  private get src(): string | undefined {
    return this.getAttribute('src') ?? streamUrl(location);
  }

  private unload(): void {
    if (this.engine) this.dispatchEvent(new Event('unload'));
    this.engine?.destroy();
    this.engine = undefined;
  }
}

if (!customElements.get('rushlight-player')) customElements.define('rushlight-player', RushlightPlayer);

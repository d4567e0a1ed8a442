type Child = Node | string | null | undefined | false;

interface Props {
  class?: string;
  /** Accessible name; also shown as the tooltip of icon buttons. */
  label?: string;
  on?: Record<string, (event: Event) => void>;
  [attribute: string]: unknown;
}

/** Creates an element; `true` sets an empty attribute, `false` and undefined set none. */
export function el<K extends keyof HTMLElementTagNameMap>(
  name: K, props: Props = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (key === 'on') {
      for (const [event, run] of Object.entries(value as NonNullable<Props['on']>)) node.addEventListener(event, run);
    } else if (key === 'label') {
      node.setAttribute('aria-label', String(value));
      if (name === 'button') node.title = String(value);
    } else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets text only when it differs, so that live regions and layout stay quiet. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = 'http://www.w3.org/2000/svg';

/** Outlines on a 24-unit grid; a leading `=` fills instead of strokes. */
const ICONS = {
  play: '=M8 5.2v13.6a.6.6 0 0 0 .9.5l10.7-6.8a.6.6 0 0 0 0-1L8.9 4.7a.6.6 0 0 0-.9.5z',
  pause: '=M7 5h3.2v14H7zM13.8 5H17v14h-3.2z',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11',
  muted: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5',
  pip: 'M3.5 5.5h17v13h-17zM12 12h6v4h-6z',
  theatre: 'M2.5 6.5h19v11h-19z',
  full: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  exit: 'M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5',
  stats: 'M4 20V11M9.3 20V5M14.6 20v-7M20 20V8',
  share: 'M12 15V3.5M8 7l4-3.7L16 7M5.5 12v8h13v-8',
  copy: 'M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4',
  done: 'M4.5 12.5l5 5 10-11',
  download: 'M12 3.5V15M8 11.3l4 3.7 4-3.7M5.5 15.5v5h13v-5',
  film: 'M3.5 5h17v14h-17zM8 5v14M16 5v14M3.5 9.7H8M3.5 14.3H8M16 9.7h4.5M16 14.3h4.5',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20.5 20.5',
  close: 'M5.5 5.5l13 13M18.5 5.5l-13 13',
  theme: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 3.5v17M15 5v14M18 7v10',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12zM12 9.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z',
} as const;

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  svg.setAttribute('class', 'icon');
  const path = document.createElementNS(SVG, 'path');
  const shape = ICONS[name];
  path.setAttribute('d', shape.replace(/^=/, ''));
  if (shape.startsWith('=')) path.setAttribute('class', 'solid');
  svg.append(path);
  return svg;
}

export async function copyText(text: string): Promise<boolean> {
  try {
    // The asynchronous clipboard exists in secure contexts only.
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else {
      const area = el('textarea', { class: 'offscreen' });
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      return done;
    }
    return true;
  } catch {
    return false;
  }
}

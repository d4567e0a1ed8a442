// Dark, unless the person chose light: a picture is the brightest thing of a page that shows it.

export type Theme = 'dark' | 'light';

const STORED = 'rushlight.theme';
/** The colour around the page on phones, as `--bg` in theme.css. */
const AROUND: Record<Theme, string> = { dark: '#0e0c09', light: '#faf8f4' };

/** What the person chose, on this or another page. */
export function chosenTheme(): Theme {
  try {
    return localStorage.getItem(STORED) === 'light' ? 'light' : 'dark';
  } catch {
    return 'dark'; // Storage may be off limits.
  }
}

export function showTheme(theme: Theme): void {
  document.documentElement.dataset['theme'] = theme;
  document.querySelector('meta[name=theme-color]')?.setAttribute('content', AROUND[theme]);
}

export function switchTheme(): void {
  const theme = document.documentElement.dataset['theme'] === 'light' ? 'dark' : 'light';
  showTheme(theme);
  try {
    localStorage.setItem(STORED, theme);
  } catch {
    // Then the choice lasts as long as the page.
  }
}

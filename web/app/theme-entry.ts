import { chosenTheme } from './theme';

// In the head of every page, so that none is seen in the other theme first.
document.documentElement.dataset['theme'] = chosenTheme();

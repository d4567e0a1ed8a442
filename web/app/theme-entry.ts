import { chosenTheme, showTheme } from './theme';

// In the head of every page, so that none is seen in the other theme first.
showTheme(chosenTheme());

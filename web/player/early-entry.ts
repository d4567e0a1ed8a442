import { startEarly } from './early';

startEarly();

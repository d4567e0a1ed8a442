// Watches one live stream in Chromium for a while and prints what the page saw, a JSON line for every few seconds.
//
// Standard input: {playwright, chromium, page, url, ours, seconds, bits, square}.

import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const TAKE_EVERY_MS = 5_000;

const job = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(import.meta.url)(job.playwright);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const browser = await chromium.launch({
  executablePath: job.chromium,
  // The server's certificate is its own.
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--ignore-certificate-errors'],
});
const page = await browser.newPage();
await page.goto(job.page);
if (job.ours) await page.evaluate(() => window.chooseAsOurPages());
await page.evaluate(({ url, bits, square }) => window.watch(url, bits, square), job);
const end = Date.now() + job.seconds * 1000;
while (Date.now() < end) {
  await sleep(Math.min(TAKE_EVERY_MS, end - Date.now()));
  console.log(JSON.stringify(await page.evaluate(() => window.take())));
}
await browser.close();

// Joins live streams in Chromium again and again and prints one JSON line per join.
//
// Standard input: {playwright, chromium, host, runs, spacing_ms, seed, targets: [{name, page, by, key?, url?}]}. A target by
// `script` is played by the player of `page`; one by `rushlight` is our own server at `page`, watched on its own watch page.

import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const TIMEOUT_MS = 15_000;
/** From reaching a card to pressing it: quick for a person. */
const HOVER_MS = 150;

const job = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(import.meta.url)(job.playwright);

let state = job.seed >>> 0;
/** Numerical Recipes' generator: enough to spread arrivals over the group of pictures. */
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const browser = await chromium.launch({
  executablePath: job.chromium,
  args: [
    '--no-sandbox', '--autoplay-policy=no-user-gesture-required', `--host-resolver-rules=MAP stream.test ${job.host}`,
  ],
});

/** Runs `join` on a page whose browser has neither cache nor connections, and prints what it measured. */
async function measure(target, kind, join) {
  // Our page allows its own origin only; `play` asks for the stream by another name.
  const context = await browser.newContext({ bypassCSP: true });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(TIMEOUT_MS);
    const result = await Promise.race([
      join(page),
      sleep(TIMEOUT_MS).then(() => Promise.reject(new Error('no picture in time'))),
    ]);
    console.log(JSON.stringify({ target: target.name, kind, ...result }));
  } catch (error) {
    console.log(JSON.stringify({ target: target.name, kind, error: String(error.message).split('\n')[0] }));
  } finally {
    await context.close();
  }
}

/** First frame of our watch page, in milliseconds after `since` (a wall-clock time) or the navigation's start. */
async function watched(page, since) {
  await page.waitForFunction(() => window.__rushlight?.stages?.t5 !== undefined);
  // The stages of a page that requests its stream by itself count from the start of the navigation.
  const { origin, stages } = await page.evaluate(() => ({
    origin: performance.timeOrigin,
    stages: window.__rushlight.stages,
  }));
  return { ms: stages.t5 + (since ? origin - since : 0), stages };
}

/** Straight to the watch page: connection, page and stream all at once. */
async function navigate(target, page) {
  await page.goto(`${target.page}/watch/${target.key}`, { waitUntil: 'commit' });
  return watched(page);
}

/** From the home page, as a person with a mouse does it: the pointer comes to the card, then presses. */
async function click(target, page) {
  await page.goto(`${target.page}/`);
  const card = page.locator(`a.card[href="/watch/${target.key}"]`);
  await card.hover();
  await sleep(HOVER_MS);
  await page.evaluate(() => addEventListener('click', (event) => {
    sessionStorage.setItem('clicked', String(performance.timeOrigin + event.timeStamp));
  }, { capture: true }));
  await card.click({ noWaitAfter: true });
  await page.waitForURL(`**/watch/${target.key}`, { waitUntil: 'commit' });
  return watched(page, await page.evaluate(() => Number(sessionStorage.getItem('clicked'))));
}

/** Our player on a page that is loaded already: the watch page of a channel that is not live. */
async function play(target, page) {
  await page.goto(`${target.page}/watch/absent`);
  // Another host name for the same address: the browser cannot use the page's connection for the stream.
  const src = new URL(`/live/${target.key}.flv`, target.page);
  src.hostname = 'stream.test';
  await page.evaluate((src) => {
    const player = document.querySelector('rushlight-player');
    player.setAttribute('src', src);
    player.load();
  }, src.href);
  await page.waitForFunction(() => window.__rushlight?.stages?.t5 !== undefined);
  const stages = await page.evaluate(() => window.__rushlight.stages);
  return { ms: stages.t5, stages };
}

/** The player of a page that is loaded already. */
async function playByScript(target, page) {
  await page.goto(target.page);
  await page.evaluate((url) => window.prepare?.(url), target.url);
  return { ms: await page.evaluate((url) => window.join(url), target.url) };
}

const JOINS = { script: { player: playByScript }, rushlight: { player: play, click, page: navigate } };

for (let run = 0; run < job.runs; run += 1) {
  for (const target of job.targets) {
    for (const [kind, join] of Object.entries(JOINS[target.by])) {
      await sleep(random() * job.spacing_ms);
      await measure(target, kind, (page) => join(target, page));
    }
  }
}
await browser.close();

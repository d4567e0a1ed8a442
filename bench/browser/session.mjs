// One viewer from the first press to the end: plays a live stream in Chromium for a while and prints one line of JSON.
//
// Standard input: {playwright, chromium, player, site, page?, key, url?, seconds, bits, square, height}. `player` is `rushlight`, from
// `site`, or the name of a page at `page` that has a function `join`.

import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';

const job = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(import.meta.url)(job.playwright);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
/** How long a page is looked at before something is played. */
const LOOK_MS = 2_500;
const TIMEOUT_MS = 60_000;

const browser = await chromium.launch({
  executablePath: job.chromium,
  // The server's certificate is its own.
  args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--ignore-certificate-errors', '--mute-audio', '--disable-gpu'],
});
// Small, for the sake of the processor: pictures are decoded whole anyway.
const context = await browser.newContext({ viewport: { width: 640, height: 400 }, ignoreHTTPSErrors: true });
const page = await context.newPage();
page.setDefaultTimeout(TIMEOUT_MS);

/** Runs in the page: looks at the <video> until told to stop. */
function monitor({ bits, square, height }) {
  const EVERY_MS = 50;
  const STILL_MIN_MS = 100;
  const GRACE_MS = 500;
  const player = document.querySelector('rushlight-player');
  const video = () => player?.video ?? document.querySelector('video');
  const strip = new OffscreenCanvas(bits, 1).getContext('2d', { willReadFrequently: true });
  const seen = { stalls: [], samples: [], heights: {}, longest_tick_ms: 0, played_ms: 0, switches: 0 };
  let [before, position, still, moved, from, left] = [performance.now(), -1, 0, false, 0, 0];
  let sampled = 0;
  strip.imageSmoothingEnabled = false;
  function ended(now) {
    // Before it ever moved a moment's wait for more belongs to the start.
    if (still && now - still >= (moved ? STILL_MIN_MS : GRACE_MS)) seen.stalls.push({ at: still - from, ms: now - still, position, ahead_ms: left });
    still = 0;
  }
  /** What is buffered behind the playhead, up to the first hole. */
  function aheadMs({ buffered, currentTime }) {
    for (let i = 0; i < buffered.length; i += 1) {
      if (buffered.start(i) <= currentTime + 0.05 && currentTime <= buffered.end(i)) return (buffered.end(i) - currentTime) * 1000;
    }
    return 0;
  }
  function number(source) {
    const side = (square * source.videoHeight) / height;
    // The pixel in the middle of each square.
    strip.drawImage(source, 0, 0, bits * side, side, 0, 0, bits, 1);
    const { data } = strip.getImageData(0, 0, bits, 1);
    let found = 0;
    for (let bit = 0; bit < bits; bit += 1) found += data[4 * bit] > 127 ? 2 ** bit : 0;
    return found;
  }
  const timer = setInterval(() => {
    const now = performance.now();
    const element = video();
    if (!from && !(element?.readyState >= 2)) return (before = now);
    const step = now - before;
    seen.longest_tick_ms = Math.max(seen.longest_tick_ms, step);
    const { currentTime, videoHeight, playbackRate } = element;
    const ahead = aheadMs(element);
    if (!from) {
      from = now;
      before = now;
      position = currentTime;
    }
    if (Math.abs(currentTime - position) > 0.001) {
      ended(now);
      moved = true;
      seen.played_ms += step;
    } else {
      if (!still) left = Infinity;
      still ||= before;
      left = Math.min(left, ahead);
    }
    position = currentTime;
    before = now;
    seen.heights[videoHeight] = (seen.heights[videoHeight] ?? 0) + step;
    if (now - sampled < 2_000) return;
    sampled = now;
    const quality = element.getVideoPlaybackQuality();
    const told = window.__rushlight;
    seen.samples.push({
      at: Date.now(), s: (now - from) / 1000, picture: videoHeight ? number(element) : null, ahead_ms: ahead, rate: playbackRate,
      height: videoHeight, dropped: quality.droppedVideoFrames, frames: quality.totalVideoFrames,
      ...(told ? { target_ms: told.targetMs, estimate: told.estimateBps, switches: told.switches, state: told.state } : {}),
    });
  }, EVERY_MS);
  window.finish = () => {
    clearInterval(timer);
    ended(performance.now());
    return { ...seen, watched_ms: performance.now() - from };
  };
}

/** Our player on a page that is loaded already, the watch page of a channel that is not live; before that somebody looked at the home page. */
async function rushlight() {
  await page.goto(`${job.site}/`);
  await page.locator(`a.card[href="/watch/${job.key}"]`).waitFor();
  await sleep(LOOK_MS);
  await page.goto(`${job.site}/watch/absent`);
  await page.waitForFunction(() => document.querySelector('rushlight-player')?.ladder);
  await sleep(LOOK_MS);
  await page.evaluate(monitor, job);
  await page.evaluate((src) => {
    const player = document.querySelector('rushlight-player');
    player.setAttribute('src', src);
    player.load();
  }, `/live/${job.key}.flv`);
  await page.waitForFunction(() => window.__rushlight?.stages?.t5 !== undefined);
  return page.evaluate(() => ({ start_ms: window.__rushlight.stages.t5, stages: window.__rushlight.stages, began: document.querySelector('rushlight-player').engine.url }));
}

async function other() {
  await page.goto(job.page);
  // Who comes to a player has a connection to its server already, as from our home page.
  await page.evaluate((url) => fetch(new URL('/icon.svg', url), { mode: 'no-cors' }).then((answer) => answer.blob?.()).catch(() => {}), job.url);
  await sleep(LOOK_MS);
  await page.evaluate(monitor, job);
  const start_ms = await page.evaluate((url) => window.join(url), job.url);
  return { start_ms };
}

let result;
try {
  const start = await Promise.race([
    job.player === 'rushlight' ? rushlight() : other(),
    sleep(TIMEOUT_MS).then(() => Promise.reject(new Error('no picture in time'))),
  ]);
  await sleep(job.seconds * 1000);
  result = { ...start, ...(await page.evaluate(() => window.finish())) };
} catch (error) {
  result = { error: String(error.message).split('\n')[0] };
}
console.log(JSON.stringify(result));
await browser.close();
// What a timer still waits for has no more meaning.
process.exit();

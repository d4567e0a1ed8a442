// Changes between the rungs of a live stream, and prints one line of JSON.
// node rungs.mjs CHROMIUM URL TIMES RUNG=SIDE...: chooses one rung after the other in the controls, so many times in all; SIDE is the
// short side of its picture
import { open, plays } from "./picture.mjs";

const [executablePath, url, times, ...rungs] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, new URL(url).origin);
const PATIENCE = { timeout: 30_000, polling: 50 };

await page.addInitScript(() => {
  window.buffers = [];
  const { addSourceBuffer } = MediaSource.prototype;
  MediaSource.prototype.addSourceBuffer = function (type) {
    const buffer = addSourceBuffer.call(this, type);
    window.buffers.push(buffer);
    return buffer;
  };
});

const result = { ...seen };
try {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => window.__rushlight?.rung, undefined, PATIENCE);
  await plays(page, 1);
  await page.evaluate(() => {
    const video = window.video();
    window.looked = { ranges: 0, skewMs: 0, jumpMs: 0, backwards: 0 };
    const before = { at: performance.now(), time: video.currentTime };
    setInterval(() => {
      const now = { at: performance.now(), time: video.currentTime };
      window.looked.ranges = Math.max(window.looked.ranges, ...window.buffers.map(({ buffered }) => buffered.length));
      const ends = window.buffers.map(({ buffered }) => buffered.end(buffered.length - 1) * 1000);
      window.looked.skewMs = Math.max(window.looked.skewMs, Math.abs(ends[0] - ends[1]));
      // Neither stands still nor jumps: as far as the clock went, give or take the speed.
      window.looked.jumpMs = Math.max(window.looked.jumpMs, (now.time - before.time) * 1000 - (now.at - before.at) * 1.3);
      Object.assign(before, now);
    }, 50);
    let last = -1;
    const frame = (_, { mediaTime }) => {
      if (mediaTime < last) window.looked.backwards += 1;
      last = mediaTime;
      video.requestVideoFrameCallback(frame);
    };
    video.requestVideoFrameCallback(frame);
  });
  const before = await page.evaluate(() => window.__rushlight);
  for (let time = 0; time < Number(times); time += 1) {
    const [rung, side] = rungs[time % rungs.length].split("=");
    await page.locator("select[aria-label=Quality]").selectOption(rung);
    await page.waitForFunction((name) => window.__rushlight.rung === name, rung, PATIENCE);
    // What was buffered of the one before is played out.
    await page.waitForFunction((side) => window.video().videoHeight === side, Number(side), PATIENCE);
  }
  const after = await page.evaluate(() => window.__rushlight);
  Object.assign(result, await plays(page, 1), await page.evaluate(() => window.looked), {
    switches: after.switches - before.switches,
    stalls: after.stalls - before.stalls,
    buffers: await page.evaluate(() => window.buffers.length),
  });
} catch (error) {
  seen.errors.push(String(error));
  result.player = await page.evaluate(() => window.__rushlight).catch(() => undefined);
}
await browser.close();
console.log(JSON.stringify(result));

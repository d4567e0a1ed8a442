// Plays HLS with hls.js, changes between the variants while it plays, and prints one line of JSON: what was seen of each.
// node levels.mjs CHROMIUM BASE PATH HEIGHT..., where each HEIGHT is that of a variant, in the order in which they are played
import { fileURLToPath } from "node:url";
import { open } from "./picture.mjs";

const PATIENCE = { timeout: 30_000 };
const [executablePath, base, path, ...heights] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, base);
await page.route(`${base}/bare/**`, (route) => {
  const name = new URL(route.request().url()).pathname.slice("/bare/".length);
  if (name) return route.fulfill({ path: fileURLToPath(new URL(`node_modules/${name}`, import.meta.url)) });
  return route.fulfill({
    contentType: "text/html",
    body: `<!doctype html><link rel="icon" href="data:,"><video muted autoplay playsinline></video>
      <script src="/bare/hls.js/dist/hls.min.js"></script>`,
  });
});
await page.addInitScript(() => {
  window.buffers = [];
  const { addSourceBuffer } = MediaSource.prototype;
  MediaSource.prototype.addSourceBuffer = function (type) {
    const buffer = addSourceBuffer.call(this, type);
    window.buffers.push(buffer);
    return buffer;
  };
});
await page.goto(`${base}/bare/`);
const level = (height) => hls.levels.findIndex((level) => level.height === height);
await page.evaluate(
  ({ path, first, level }) => {
    const media = document.querySelector("video");
    Object.assign(window, { backwards: 0, driftMs: 0 });
    let last = -1;
    const look = (_, { mediaTime }) => {
      if (mediaTime < last) window.backwards += 1;
      last = mediaTime;
      // What is added to the times of sound and of pictures.
      const offsets = window.buffers.map(({ timestampOffset }) => timestampOffset * 1000);
      window.driftMs = Math.max(window.driftMs, Math.max(...offsets) - Math.min(...offsets));
      media.requestVideoFrameCallback(look);
    };
    media.requestVideoFrameCallback(look);
    const hls = new Hls({ enableWorker: false, lowLatencyMode: true, debug: false });
    Object.assign(window, { media, hls, level: new Function(`return ${level}`)(), waits: 0, errors: [] });
    hls.on(Hls.Events.ERROR, (_, data) => errors.push(data.details));
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      hls.startLevel = hls.nextLevel = window.level(first);
    });
    hls.loadSource(path);
    hls.attachMedia(media);
  },
  { path, first: Number(heights[0]), level: String(level) },
);
const results = [];
for (const height of heights.map(Number)) {
  // As a player does on its own: what is buffered stays, and the next segment is of the other variant.
  await page.evaluate((height) => (hls.loadLevel = level(height)), height);
  try {
    await page.waitForFunction((height) => media.videoHeight === height && media.currentTime > 0, height, PATIENCE);
    const at = await page.evaluate(() => media.currentTime);
    await page.waitForFunction((at) => media.currentTime > at + 1.5, at, PATIENCE);
  } catch (error) {
    seen.errors.push(String(error));
  }
  results.push(
    await page.evaluate((height) => {
      // Playback that begins waits, and that is all.
      if (!window.began) {
        window.began = true;
        media.addEventListener("waiting", () => (waits += 1));
        errors.length = 0;
      }
      const holes = [];
      for (let i = 1; i < media.buffered.length; i++) holes.push(media.buffered.start(i) - media.buffered.end(i - 1));
      const { totalVideoFrames, droppedVideoFrames } = media.getVideoPlaybackQuality();
      return { height, shown: media.videoHeight, holes, waits, errors: [...errors], totalVideoFrames, droppedVideoFrames };
    }, height),
  );
}
const { backwards, driftMs } = await page.evaluate(() => ({ backwards: window.backwards, driftMs: window.driftMs }));
await browser.close();
console.log(JSON.stringify({ results, backwards, driftMs, errors: seen.errors }));

// Plays a manifest of DASH with shaka-player, changes between its pictures by hand, and prints one line of JSON.
// node dash.mjs CHROMIUM BASE PATH HEIGHT...: changes to each of these heights, one after the other
import { fileURLToPath } from "node:url";
import { open, plays } from "./picture.mjs";

const PATIENCE = { timeout: 60_000, polling: 100 };
const [executablePath, base, path, ...heights] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, base);
// Beside the media, so that nothing here is about other origins.
await page.route(`${base}/bare/**`, (route) => {
  const name = new URL(route.request().url()).pathname.slice("/bare/".length);
  if (name) return route.fulfill({ path: fileURLToPath(new URL(`node_modules/${name}`, import.meta.url)) });
  return route.fulfill({
    contentType: "text/html",
    body: `<!doctype html><link rel="icon" href="data:,"><video muted autoplay playsinline></video>
      <script src="/bare/shaka-player/dist/shaka-player.compiled.js"></script><script>
      window.player = new shaka.Player();
      window.failures = [];
      player.configure({ abr: { enabled: false } });
      player.addEventListener("error", (event) => failures.push(String(event.detail)));
      player.attach(document.querySelector("video")).then(() => player.load("${path}"))
        .catch((error) => failures.push(String(error)));</script>`,
  });
});

const result = { ...seen, played: [] };
try {
  await page.goto(`${base}/bare/`, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => window.player?.getVariantTracks().length > 0, undefined, PATIENCE);
  result.tracks = await page.evaluate(() =>
    player.getVariantTracks().map(({ height, videoCodec, audioCodec }) => ({ height, videoCodec, audioCodec })));
  await plays(page, 1);
  for (const height of heights.map(Number)) {
    await page.evaluate((height) => {
      player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height));
    }, height);
    // What was buffered of the one before is played out.
    await page.waitForFunction((height) => window.video().videoHeight === height, height, PATIENCE);
    result.played.push(await plays(page, 1));
  }
} catch (error) {
  seen.errors.push(String(error));
}
result.failures = await page.evaluate(() => window.failures).catch(() => undefined);
await browser.close();
console.log(JSON.stringify(result));

// Plays addresses with players that are not ours, each on a page with nothing else, and prints one line of JSON: a list of
// what was seen. node players.mjs CHROMIUM BASE PLAYER=PATH..., where PLAYER is `hls.js` or `shaka`
import { fileURLToPath } from "node:url";
import { open, plays } from "./picture.mjs";

const SECONDS = 2;
const SCRIPTS = {
  "hls.js": {
    file: "hls.js/dist/hls.min.js",
    // The worker would come from another address than the script.
    start: `const hls = new Hls({ enableWorker: false, lowLatencyMode: true });
      hls.on(Hls.Events.ERROR, (_, data) => data.fatal && console.error(data.details));
      hls.loadSource(url);
      hls.attachMedia(video);`,
  },
  shaka: {
    file: "shaka-player/dist/shaka-player.compiled.js",
    start: `const player = new shaka.Player();
      player.configure({ streaming: { lowLatencyMode: true } });
      player.addEventListener("error", (event) => console.error(String(event.detail)));
      player.attach(video).then(() => player.load(url)).catch((error) => console.error(String(error)));`,
  },
};

const [executablePath, base, ...wanted] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, base);
// Beside the media, so that nothing here is about other origins.
await page.route(`${base}/bare/**`, (route) => {
  const name = new URL(route.request().url()).pathname.slice("/bare/".length);
  const script = SCRIPTS[name];
  if (!script) return route.fulfill({ path: fileURLToPath(new URL(`node_modules/${name}`, import.meta.url)) });
  return route.fulfill({
    contentType: "text/html",
    body: `<!doctype html><link rel="icon" href="data:,"><video muted autoplay playsinline></video><script src="/bare/${script.file}"></script><script>
      const url = new URLSearchParams(location.search).get("url");
      const video = document.querySelector("video");
      ${script.start}</script>`,
  });
});

const results = [];
for (const item of wanted) {
  const [player, path] = item.split("=");
  const result = { item };
  try {
    await page.goto(`${base}/bare/${player}?url=${encodeURIComponent(path)}`, { waitUntil: "domcontentloaded" });
    Object.assign(result, await plays(page, SECONDS));
  } catch (error) {
    seen.errors.push(String(error));
  }
  results.push({ ...result, errors: seen.errors.splice(0), foreignRequests: seen.foreignRequests.splice(0) });
}
await browser.close();
console.log(JSON.stringify(results));

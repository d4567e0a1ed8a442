// Opens a page in headless Chromium, looks at what it shows, and prints one line of JSON.
// node watch.mjs CHROMIUM URL [--until-seconds N] [--text TEXT]
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "until-seconds": { type: "string", default: "3" }, text: { type: "string" } },
});
const [executablePath, url] = positionals;
const untilSeconds = Number(values["until-seconds"]);

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // The certificate of a test server is its own.
    ...(url.startsWith("https:") ? ["--ignore-certificate-errors"] : []),
    "--autoplay-policy=no-user-gesture-required",
  ],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const errors = [];
const foreignRequests = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
page.on("request", (request) => {
  const { origin, protocol } = new URL(request.url());
  if (protocol.startsWith("http") && origin !== new URL(url).origin) foreignRequests.push(request.url());
});

const result = { errors, foreignRequests };
try {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  if (values.text) {
    await page.getByText(values.text).first().waitFor({ timeout: 30_000 });
    result.textFound = true;
  } else {
    Object.assign(result, await watch());
  }
} catch (error) {
  errors.push(String(error));
}
await browser.close();
console.log(JSON.stringify(result));

// Waits until the picture has moved for so many seconds in all, then compares pictures and asks for the sound.
async function watch() {
  await page.evaluate(() => {
    // The player keeps its picture in a shadow tree, and may replace it when it connects again.
    window.video = () => document.querySelector("rushlight-player")?.shadowRoot?.querySelector("video");
    window.played = 0;
    let last;
    setInterval(() => {
      const now = window.video()?.currentTime;
      // A jump of the clock is no playing.
      if (now > last && now < last + 1) window.played += now - last;
      last = now;
    }, 100);
  });
  await page.waitForFunction((seconds) => window.played >= seconds, untilSeconds, { timeout: 90_000, polling: 100 });
  return await page.evaluate(async () => {
    const video = window.video();
    const canvas = document.createElement("canvas");
    canvas.width = 160;
    canvas.height = 90;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const look = () => {
      context.drawImage(video, 0, 0, canvas.width, canvas.height);
      return context.getImageData(0, 0, canvas.width, canvas.height).data;
    };
    const nextFrame = () => new Promise((done) => video.requestVideoFrameCallback(done));
    const before = look();
    for (let frame = 0; frame < 10; frame += 1) await nextFrame();
    const after = look();
    let changed = 0;
    for (let at = 0; at < before.length; at += 4) {
      if (Math.abs(before[at] - after[at]) + Math.abs(before[at + 1] - after[at + 1]) > 24) changed += 1;
    }
    return {
      width: video.videoWidth,
      height: video.videoHeight,
      playedSeconds: window.played,
      changedPixels: changed / (before.length / 4),
      audioBytes: video.webkitAudioDecodedByteCount,
      player: window.__rushlight,
    };
  });
}

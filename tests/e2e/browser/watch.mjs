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

// The picture is in a <video> (Media Source) or a <canvas> (WebCodecs); both can be drawn and compared.
async function watch() {
  await page.waitForFunction(
    (seconds) => {
      const video = document.querySelector("video");
      if (!video) return false;
      window.firstTime ??= video.currentTime || undefined;
      return window.firstTime !== undefined && video.currentTime - window.firstTime >= seconds;
    },
    untilSeconds,
    { timeout: 90_000, polling: 100 },
  );
  return await page.evaluate(async () => {
    const video = document.querySelector("video");
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
      playedSeconds: video.currentTime - window.firstTime,
      changedPixels: changed / (before.length / 4),
      audioBytes: video.webkitAudioDecodedByteCount,
      droppedFrames: video.getVideoPlaybackQuality().droppedVideoFrames,
    };
  });
}

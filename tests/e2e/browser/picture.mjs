// What the scripts of this folder share: a headless Chromium, and whether a <video> of a page plays.
import { chromium } from "playwright-core";

/** Starts Chromium and opens an empty page; what goes wrong on it, and what it asks other hosts for, is collected. */
export async function open(executablePath, origin) {
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
      ...(origin.startsWith("https:") ? ["--ignore-certificate-errors"] : []),
      "--autoplay-policy=no-user-gesture-required",
    ],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const seen = { errors: [], foreignRequests: [] };
  page.on("pageerror", (error) => seen.errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.origin !== origin) seen.foreignRequests.push(request.url());
  });
  await page.addInitScript(() => {
    // Our player keeps its picture in a shadow tree, and may replace it when it connects again.
    window.video = () => document.querySelector("rushlight-player")?.shadowRoot?.querySelector("video") ?? document.querySelector("video");
    window.played = 0;
    let last;
    setInterval(() => {
      const now = window.video()?.currentTime;
      // A jump of the clock is no playing.
      if (now > last && now < last + 1) window.played += now - last;
      last = now;
    }, 100);
  });
  return { browser, page, seen };
}

/** Waits until the picture has moved for so many seconds more, then compares pictures and asks for the sound. */
export async function plays(page, seconds) {
  const before = await page.evaluate(() => window.played);
  await page.waitForFunction((played) => window.played >= played, before + seconds, { timeout: 90_000, polling: 100 });
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
    const nextFrame = () => new Promise((done, failed) => {
      video.requestVideoFrameCallback(done);
      setTimeout(() => failed(new Error("no further frame is shown")), 10_000);
    });
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

// Watches a live stream on a machine that stands for a while, and prints one line of JSON: what was seen afterwards.
// node behind.mjs CHROMIUM URL SECONDS, where SECONDS is how far behind that leaves it.
import { open, plays } from "./picture.mjs";

const [executablePath, url, seconds] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, new URL(url).origin);
const PATIENCE = { timeout: 60_000, polling: 100 };
let result;

try {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  const played = (least) => {
    const ranges = document.querySelector("rushlight-player")?.video.played;
    return ranges?.length && ranges.end(ranges.length - 1) - ranges.start(0) > least;
  };
  await page.waitForFunction(played, Number(seconds) + 1, PATIENCE);
  await page.evaluate((by) => (document.querySelector("rushlight-player").video.currentTime -= by), Number(seconds));
  await page.waitForFunction(() => window.__rushlight.state === "live", undefined, PATIENCE);
  result = await plays(page, 1);
} catch (error) {
  result = { player: await page.evaluate(() => window.__rushlight).catch(() => undefined), errors: [String(error)] };
}
await browser.close();
console.log(JSON.stringify({ ...result, errors: [...(result.errors ?? []), ...seen.errors], foreignRequests: seen.foreignRequests }));

// Goes back in a live stream and to live again, by keyboard alone, and prints one line of JSON: a list of what was seen.
// node rewind.mjs CHROMIUM URL SECONDS, where SECONDS is how much of the past there must be before
import { open, plays } from "./picture.mjs";

const [executablePath, url, seconds] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, new URL(url).origin);
const PATIENCE = { timeout: 60_000, polling: 100 };
const results = [];

async function step(name, play) {
  const result = { name, ...(await plays(page, play)) };
  result.words = await page.locator(".seek").getAttribute("aria-valuetext");
  // A <video> that is still there counts on; one is enough to hold against the others.
  results.push({ ...result, errors: seen.errors.splice(0), foreignRequests: seen.foreignRequests.splice(0) });
}

try {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForFunction((least) => Number(document.querySelector(".seek")?.getAttribute("aria-valuemin")) <= -least, Number(seconds), PATIENCE);
  await step("live", 0.5);
  await page.keyboard.press("Home");
  await page.waitForFunction(() => window.__rushlight.state === "behind", undefined, PATIENCE);
  await step("rewound", 2);
  await page.keyboard.press("k");
  await page.waitForFunction(() => window.__rushlight.state === "paused", undefined, PATIENCE);
  const paused = await page.evaluate(() => window.__rushlight.latencyMs);
  await page.waitForFunction((before) => window.__rushlight.latencyMs > before + 1_000, paused, PATIENCE);
  await page.keyboard.press("k");
  await step("after a pause", 1);
  await page.keyboard.press("l");
  await page.waitForFunction(() => window.__rushlight.state === "live", undefined, PATIENCE);
  await step("live again", 1);
} catch (error) {
  const player = await page.evaluate(() => window.__rushlight).catch(() => undefined);
  results.push({ errors: [String(error), ...seen.errors], player });
}
await browser.close();
console.log(JSON.stringify(results));

// Finds the newest recording on the page that lists them, by keyboard, plays it, and prints one line of JSON.
// node recordings.mjs CHROMIUM BASE
import { violations } from "./accessible.mjs";
import { open, plays } from "./picture.mjs";

const [executablePath, base] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, base);
const result = { ...seen, violations: [] };
const check = async (name) => result.violations.push(...(await violations(page)).map((found) => `${name}: ${found}`));

try {
  await page.goto(`${base}/recordings`, { waitUntil: "domcontentloaded" });
  const card = page.locator("main a.card").first();
  await card.waitFor({ timeout: 30_000 });
  result.cards = await page.locator("main a.card").count();
  result.title = await card.locator("h2").textContent();
  // The poster is a video of one frame.
  await page.waitForFunction(() => document.querySelector(".card video")?.videoWidth > 0, undefined, { timeout: 30_000 });
  await check("list");
  await page.keyboard.press("/");
  await page.keyboard.type("nothing is called so");
  await page.getByRole("button", { name: "Clear search" }).click();
  await card.waitFor();
  await page.waitForFunction(() => !document.querySelector(".message"));
  await card.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/recordings\/[^/]+\/?$/);
  Object.assign(result, await plays(page, 1));
  // Halfway, by its key.
  await page.keyboard.press("5");
  const half = await page.evaluate(() => Number(document.querySelector(".seek").getAttribute("aria-valuemax")) / 2);
  await page.waitForFunction((time) => Math.abs(window.video().currentTime - time) < 1.5, half, { timeout: 10_000 });
  await plays(page, 0.5);
  // Looking for mistakes takes a while, in which it would play to its end.
  await page.keyboard.press("k");
  await check("player");
  await page.keyboard.press("?");
  await check("keys");
} catch (error) {
  seen.errors.push(String(error));
  result.player = await page.evaluate(() => window.__rushlight).catch(() => undefined);
}
await browser.close();
console.log(JSON.stringify(result));

// Rests the pointer on the first card of the home page, with and without the wish for less motion, and prints one line of JSON.
// node preview.mjs CHROMIUM BASE
import { open } from "./picture.mjs";

const [executablePath, base] = process.argv.slice(2);
const { browser, page, seen } = await open(executablePath, base);
const result = { ...seen };

try {
  await page.goto(base, { waitUntil: "domcontentloaded" });
  const card = page.locator("main a.card").first();
  await card.waitFor({ timeout: 30_000 });
  await page.waitForFunction(() => document.querySelector("main a.card h2")?.textContent);
  await card.hover();
  await page.waitForFunction(() => document.querySelector(".card .moving")?.naturalWidth > 0, undefined, { timeout: 30_000 });
  result.width = await page.evaluate(() => document.querySelector(".card .moving").naturalWidth);
  await page.mouse.move(0, 0);
  await page.waitForFunction(() => !document.querySelector(".card .moving"));
  await page.emulateMedia({ reducedMotion: "reduce" });
  let asked = 0;
  page.on("request", (request) => (asked += request.url().includes("preview.webp") ? 1 : 0));
  await card.hover();
  // Longer than a pointer has to rest.
  await page.evaluate(() => new Promise((done) => setTimeout(done, 600)));
  result.askedWithLessMotion = asked;
} catch (error) {
  seen.errors.push(String(error));
}
console.log(JSON.stringify({ ...result, errors: seen.errors }));
await browser.close();

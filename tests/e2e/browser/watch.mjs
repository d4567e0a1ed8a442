// Opens a page in headless Chromium, looks at what it shows, and prints one line of JSON.
// node watch.mjs CHROMIUM URL [--until-seconds N] [--text TEXT] [--without-media-sources]
import { parseArgs } from "node:util";
import { open, plays } from "./picture.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { "until-seconds": { type: "string", default: "3" }, text: { type: "string" }, "without-media-sources": { type: "boolean" } },
});
const [executablePath, url] = positionals;
const { browser, page, seen } = await open(executablePath, new URL(url).origin);

if (values["without-media-sources"]) {
  // As on older iPhones. Chromium plays HLS by itself, too.
  await page.addInitScript(() => {
    delete window.MediaSource;
    delete window.ManagedMediaSource;
  });
}

const result = { ...seen };
try {
  await page.goto(url, { waitUntil: "domcontentloaded" });
  if (values.text) {
    await page.getByText(values.text).first().waitFor({ timeout: 30_000 });
    result.textFound = true;
  } else {
    Object.assign(result, await plays(page, Number(values["until-seconds"])));
  }
} catch (error) {
  seen.errors.push(String(error));
  result.player = await page.evaluate(() => window.__rushlight).catch(() => undefined);
}
await browser.close();
console.log(JSON.stringify(result));

// What axe-core finds wrong on a page as it is now.
import { readFileSync } from "node:fs";

const source = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** The violations, one line each: the rule, and where it is broken. */
export async function violations(page) {
  // Evaluated from outside, the policy of the page does not apply to it.
  await page.evaluate(source);
  return await page.evaluate(async () => {
    const found = await window.axe.run();
    return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
  });
}

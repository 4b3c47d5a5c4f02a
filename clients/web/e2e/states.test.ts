// What a person sees when something is wrong, on a phone and on a desk. The screenshots are for the eye; the assertions
// are that nothing is wider than the window or covered by something else.

import { mkdir } from "node:fs/promises";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./browser.ts";
import { CHAOS } from "./outages/extent.ts";
import { Pages } from "./pages.ts";
import { until } from "./until.ts";

const PHONE = { width: 360, height: 740 };
const DESK = { width: 1440, height: 900 };
/** The narrow window is where things do not fit. */
const SIZES = CHAOS ? [PHONE, DESK] : [PHONE];
const SCREENSHOTS = `${import.meta.dirname}/screenshots`;

let pages: Pages;
let chromium: Browser;

beforeAll(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  pages = await Pages.serve();
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await pages?.stop();
});

const STATES = [
  ["away", /Reconnecting/],
  ["stalled", /Video stopped[\s\S]*No audio arrives/],
  ["offline", /You're offline\. Trying again \(1\d s\)/],
  ["unreachable", /The server can't be reached\. Trying again \(1\d s\)/],
  ["signaling", /The connection to the server is interrupted\./],
  ["encryption-stopped", /Encryption stopped/],
  ["code", /read the first three groups aloud, the other reads the last three[\s\S]*27775\s[\s\S]*60033/],
  ["code-matches", /You compared this code, and it matches/],
  ["code-differs", /Leave, and send a new link another way/],
  ["code-outdated", /has changed since you compared it\. Cy joined\./],
  ["blocked", /Audio and video can't get through\./],
  ["slept", /This device slept\. You are back in the call\./],
  ["leave-question", /Leave the call\?/],
  ["server-down", /Cannot reach the server\./],
  ["left", /You left the call[\s\S]*for 12 minutes/],
  ["removed", /You were removed/],
  ["moved", /moved to another tab/],
  ["returning", /Returning to the call/],
] as const;

test.each(SIZES)("every state fits a window of $width × $height", async (size) => {
  const page = await chromium.newPage();
  page.on("dialog", (dialog) => void dialog.accept());
  await page.setViewport(size);
  for (const [state, text] of STATES) {
    await page.goto(pages.url(`states.html?${state}`), { waitUntil: "load" });
    await until(`the page says ${text}`, async () => {
      const said = await page.evaluate(() => document.body.innerText);
      return text.test(said) || said;
    });
    await page.screenshot({ path: `${SCREENSHOTS}/state-${state}-${size.width}.png` });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(size.width);
  }
});

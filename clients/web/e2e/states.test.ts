// What a person sees when something is wrong, on a phone and on a desk. The screenshots are for the eye; the assertions
// are that nothing is wider than the window or covered by something else.

import { mkdir } from "node:fs/promises";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./browser.ts";
import { Pages } from "./pages.ts";
import { until } from "./until.ts";

const SIZES = [
  { width: 360, height: 740 },
  { width: 1440, height: 900 },
];
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

test.each([
  ["away", /Reconnecting/],
  ["stalled", /Video stopped[\s\S]*No audio arrives/],
  ["offline", /You're offline\. Trying again \(1\d s\)/],
  ["unreachable", /The server can't be reached\. Trying again \(1\d s\)/],
  ["signaling", /The connection to the server is interrupted\./],
  ["blocked", /Audio and video can't get through\./],
  ["slept", /This device slept\. You are back in the call\./],
  ["leave-question", /Leave the call\?/],
  ["server-down", /Cannot reach the server\./],
  ["left", /You left the call[\s\S]*for 12 minutes/],
  ["removed", /You were removed/],
  ["moved", /moved to another tab/],
  ["returning", /Returning to the call/],
])("the state %s fits a phone and a desk", async (state, text) => {
  for (const size of SIZES) {
    const page = await chromium.newPage();
    await page.setViewport(size);
    await page.goto(pages.url(`states.html?${state}`), { waitUntil: "load" });
    await until(`the page says ${text}`, async () => {
      const said = await page.evaluate(() => document.body.innerText);
      return text.test(said) || said;
    });
    await page.screenshot({ path: `${SCREENSHOTS}/state-${state}-${size.width}.png` });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBeLessThanOrEqual(size.width);
    await page.close();
  }
});

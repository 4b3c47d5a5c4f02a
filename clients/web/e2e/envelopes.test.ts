// Sealed frames of every codec in their envelopes, through the packetizers, depacketizers and decoders of real browsers.

import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import type { Progress } from "./pages/envelopes.ts";
import { Pages } from "./pages.ts";
import { until } from "./until.ts";

/** How many times each stream must make progress. */
const STEPS = 5;

let pages: Pages;
beforeAll(async () => {
  pages = await Pages.serve();
});
afterAll(() => pages?.stop());

test.each([
  ["Chromium", launchChromium, ["opus", "vp8", "vp9", "av1", "h264"]],
  // Debian's Firefox has no H.264 encoder. With one that has, this test fails until the list is extended.
  ["Firefox", launchFirefox, ["opus", "vp8", "vp9", "av1"]],
])("%s decodes every codec from its envelope", async (_, launch, codecs) => {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(pages.url("envelopes.html"), { waitUntil: "load" });
    await page.evaluate(async () => window.startLoopback?.());
    expect(await page.evaluate(() => window.loopback?.codecs)).toEqual(codecs);

    const progress = async (): Promise<Partial<Record<string, Progress>>> =>
      (await page.evaluate(() => window.loopback?.progress())) ?? {};
    for (let step = 0; step < STEPS; step += 1) {
      const before = await progress();
      await until("every stream makes progress", async () => {
        const now = await progress();
        const progressed = codecs.every((codec) => (now[codec]?.decoded ?? 0) > (before[codec]?.decoded ?? 0));
        return progressed || JSON.stringify(now);
      });
    }

    const end = await progress();
    for (const codec of codecs) {
      const { mimeType, sealed, opened } = end[codec] ?? {};
      expect(mimeType?.toLowerCase()).toBe(`${codec === "opus" ? "audio" : "video"}/${codec}`);
      // Every sent frame was sealed and every received frame opened; one may still be in progress.
      expect(sealed?.failures).toEqual({});
      expect([0, 1]).toContain((sealed?.framesIn ?? 0) - (sealed?.framesOut ?? 0));
      expect(opened?.framesOut).toBeGreaterThanOrEqual(STEPS);
      // Browsers probe the path with old packets, so whole frames can arrive twice.
      const { replay = 0, ...failures } = opened?.failures ?? {};
      expect(failures).toEqual({});
      expect([0, 1]).toContain((opened?.framesIn ?? 0) - (opened?.framesOut ?? 0) - replay);
    }
    expect(await page.evaluate(() => window.loopback?.problems)).toEqual([]);
  } finally {
    await browser.close();
  }
});

// A tone that one participant publishes is received by another with the same pitch.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { listen } from "./listen.ts";
import { Participant } from "./participant.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const TONE_HZ = 660;
/** Half a bin of the analysis, and the error of a resampler. */
const TOLERANCE_HZ = 8;

let server: Server;
let browsers: Browser[] = [];

beforeAll(async () => {
  server = await Server.start();
  browsers = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server?.stop();
});

test.each([
  ["Chromium", "Firefox", 0, 1],
  ["Firefox", "Chromium", 1, 0],
])("a tone from %s has the same pitch in %s", async (from, to, speaking, listening) => {
  const [a, b] = [browsers[speaking], browsers[listening]];
  if (a === undefined || b === undefined) throw new Error("browsers have not started");
  const speaker = await Participant.join(a, server.link, `${from} speaks`, { tone: TONE_HZ });
  const listener = await Participant.join(b, server.link, `${to} listens`, {});
  const strongest = await listen(listener, speaker.name);
  await until(`${to} hears ${TONE_HZ} Hz`, async () => {
    const frequency = await strongest();
    return Math.abs(frequency - TONE_HZ) <= TOLERANCE_HZ || `${frequency} Hz`;
  });
  expect(await listener.problems()).toEqual([]);
  await Promise.all([speaker.leave(), listener.leave()]);
});

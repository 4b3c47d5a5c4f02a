// A tone that one participant publishes is received by another with the same pitch.

import { expect, test } from "vitest";
import { listen } from "./listen.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

const TONE_HZ = 660;
/** Half a bin of the analysis, and the error of a resampler. */
const TOLERANCE_HZ = 8;

const scene = Scene.forThisFile();

test.each([
  ["Chromium", "Firefox"],
  ["Firefox", "Chromium"],
] as const)("a tone from %s has the same pitch in %s", async (from, to) => {
  const { link } = scene.server;
  const speaker = await Participant.join(scene.browser(from), link, `${from} speaks`, { tone: TONE_HZ });
  const listener = await Participant.join(scene.browser(to), link, `${to} listens`, {});
  const strongest = await listen(listener, speaker.name);
  await until(`${to} hears ${TONE_HZ} Hz`, async () => {
    const frequency = await strongest();
    return Math.abs(frequency - TONE_HZ) <= TOLERANCE_HZ || `${frequency} Hz`;
  });
  expect(await listener.problems()).toEqual([]);
  await Promise.all([speaker.leave(), listener.leave()]);
});

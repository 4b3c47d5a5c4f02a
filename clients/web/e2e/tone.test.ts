// A tone that one participant publishes arrives at another with its pitch.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const TONE_HZ = 660;
/** Half a bin of the analysis below, and what a resampler may do. */
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

/** Starts to analyse the sound of a participant; `strongest` then tells its strongest frequency. */
async function listen(listener: Participant, speaker: string): Promise<() => Promise<number>> {
  await until(`${listener.name} has the sound of ${speaker}`, async () => {
    const progress = await listener.progress();
    return `${speaker}/mic` in progress || JSON.stringify(progress);
  });
  const analyser = await listener.page.evaluateHandle(async (name) => {
    const call = window.testCall;
    const id = call?.participants.find((participant) => participant.name === name)?.id;
    const sound = call?.tracks.find(({ participant, source }) => participant === id && source === "mic");
    if (sound === undefined) throw new Error("no sound");
    const stream = new MediaStream([sound.track]);
    // Chromium feeds Web Audio from a remote stream only while an element plays it.
    const element = new Audio();
    element.muted = true;
    element.srcObject = stream;
    await element.play();
    const context = new AudioContext({ sampleRate: 48_000 });
    await context.resume();
    const node = new AnalyserNode(context, { fftSize: 8_192, smoothingTimeConstant: 0 });
    new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(node);
    return { node, element };
  }, speaker);
  return () =>
    analyser.evaluate(({ node }) => {
      const levels = new Float32Array(node.frequencyBinCount);
      node.getFloatFrequencyData(levels);
      let strongest = 0;
      levels.forEach((level, bin) => {
        if (level > (levels[strongest] ?? Number.NEGATIVE_INFINITY)) strongest = bin;
      });
      const loud = (levels[strongest] ?? Number.NEGATIVE_INFINITY) > -60;
      return loud ? (strongest * node.context.sampleRate) / node.fftSize : 0;
    });
}

test.each([
  ["Chromium", "Firefox", 0, 1],
  ["Firefox", "Chromium", 1, 0],
])("a tone from %s is heard in %s", async (from, to, speaking, listening) => {
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

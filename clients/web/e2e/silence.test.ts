// What a microphone sends in silence: almost nothing, or exactly as much as in speech.

import { expect, test } from "vitest";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

/** Frames of an encoder in a second, each of 20 ms. */
const FRAMES_PER_SECOND = 50;
/** How long each is measured: three seconds of frames. */
const FRAMES = 3 * FRAMES_PER_SECOND;
/** Packets a second that a silent microphone may send. */
const SILENT_PACKETS_PER_SECOND = 10;

const scene = Scene.forThisFile();

/** What went through the transform of a microphone. */
interface Audio {
  readonly framesIn: number;
  readonly framesEmpty: number;
  readonly framesOut: number;
  readonly bytesOut: number;
}

async function audio(participant: Participant): Promise<Audio> {
  return participant.page.evaluate(async () => {
    const counters = (await window.testCall?.counters()) ?? [];
    const microphone = counters.find(({ role, id }) => role === "seal" && id.endsWith(".sa"));
    return { framesIn: 0, framesEmpty: 0, framesOut: 0, bytesOut: 0, ...microphone };
  });
}

/** Returns what goes through while the encoder delivers a number of frames, from now on. */
async function measure(participant: Participant): Promise<Audio> {
  const before = await audio(participant);
  let after = before;
  await until(`${participant.name} encodes audio`, async () => {
    after = await audio(participant);
    return after.framesIn - before.framesIn >= FRAMES || `${after.framesIn - before.framesIn} frames`;
  });
  const since = (key: keyof Audio): number => after[key] - before[key];
  const [framesIn, framesEmpty] = [since("framesIn"), since("framesEmpty")];
  return { framesIn, framesEmpty, framesOut: since("framesOut"), bytesOut: since("bytesOut") };
}

/** Sends a tone in place of what was sent. */
async function speak(participant: Participant): Promise<void> {
  await participant.page.evaluate(async () => {
    const context = new AudioContext({ sampleRate: 48_000 });
    await context.resume();
    const output = context.createMediaStreamDestination();
    const oscillator = new OscillatorNode(context, { frequency: 440, type: "sawtooth" });
    oscillator.connect(output);
    oscillator.start();
    const [track] = output.stream.getAudioTracks();
    if (track !== undefined) await window.testCall?.publish(track, "microphone");
  });
}

test.each(["Chromium", "Firefox"] as const)("a silent microphone in %s sends almost nothing", async (name) => {
  const silent = await Participant.join(scene.browser(name), scene.server.link, name, { silence: true });
  await until("the encoder has noticed the silence", async () => (await audio(silent)).framesEmpty > 0);
  const { framesIn, framesOut, framesEmpty } = await measure(silent);
  expect(framesOut + framesEmpty).toBe(framesIn);
  expect((framesOut / framesIn) * FRAMES_PER_SECOND).toBeLessThanOrEqual(SILENT_PACKETS_PER_SECOND);

  // It is there all the same, and heard as soon as it speaks.
  const listener = await Participant.join(scene.chromium, scene.server.link, "Listener", {});
  await listener.sees(name, "present");
  await speak(silent);
  const before = await listener.opened();
  await until(`${name} is heard`, async () => (await listener.opened()) > before + FRAMES_PER_SECOND);
  expect((await measure(silent)).framesOut).toBeGreaterThanOrEqual(FRAMES - 1);
  for (const participant of [silent, listener]) expect(await participant.problems()).toEqual([]);
  await Promise.all([silent.leave(), listener.leave()]);
});

test.each(["Chromium", "Firefox"] as const)("audio at a constant rate in %s has no pauses", async (name) => {
  const sending = { silence: true, constantAudioRate: true };
  const silent = await Participant.join(scene.browser(name), scene.server.link, name, sending);
  await until("audio is sent", async () => (await audio(silent)).framesOut > 0);
  const silence = await measure(silent);
  await speak(silent);
  const speech = await measure(silent);
  for (const measured of [silence, speech]) {
    expect(measured.framesEmpty).toBe(0);
    expect(measured.framesOut).toBe(measured.framesIn);
  }
  // Firefox knows no constant size. The frame counter in the header grows by a byte at its 256th frame.
  if (name === "Firefox") return silent.leave();
  const size = ({ bytesOut, framesOut }: Audio): number => bytesOut / framesOut;
  expect(Math.abs(size(speech) - size(silence))).toBeLessThanOrEqual(1);
  await silent.leave();
});

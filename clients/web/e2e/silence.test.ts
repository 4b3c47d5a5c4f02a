// What a microphone sends in silence: almost nothing, or exactly as much as in speech.

import { expect, test } from "vitest";
import { Participant, type Sending } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

/** Frames of an encoder in a second, each of 20 ms. */
const FRAMES_PER_SECOND = 50;
/** How long each is measured. A silent encoder sends every 400 ms. */
const FRAMES = 1.5 * FRAMES_PER_SECOND;
/** Part of a tone that a browser sends at least: without a core to spare, it falls silent in between. */
const SPOKEN = 0.8;
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

const NAMES = ["Chromium", "Firefox"] as const;

/** Joins from both browsers. */
async function join(sending: Sending): Promise<Participant[]> {
  return Promise.all(NAMES.map((name) => Participant.join(scene.browser(name), scene.server.link, name, sending)));
}

/** Returns the number of frames that each of a participant's receivers has opened. */
async function opened(participant: Participant): Promise<number[]> {
  return participant.page.evaluate(async () => {
    const counters = (await window.testCall?.counters()) ?? [];
    return counters.filter(({ role }) => role === "open").map(({ framesOut }) => framesOut);
  });
}

test("a silent microphone sends almost nothing, and is heard as soon as it speaks", async () => {
  const [silent, listener] = await Promise.all([
    join({ silence: true }),
    Participant.join(scene.chromium, scene.server.link, "Listener", {}),
  ]);
  await Promise.all(
    silent.map(async (one) => {
      await until(`${one.name} has noticed the silence`, async () => (await audio(one)).framesEmpty > 0);
      const { framesIn, framesOut, framesEmpty } = await measure(one);
      expect(framesOut + framesEmpty).toBe(framesIn);
      expect((framesOut / framesIn) * FRAMES_PER_SECOND).toBeLessThanOrEqual(SILENT_PACKETS_PER_SECOND);
      await listener.sees(one.name, "present");
    }),
  );
  const before = await opened(listener);
  await Promise.all(silent.map(speak));
  await until("both are heard", async () => {
    const more = (await opened(listener)).map((frames, index) => frames - (before[index] ?? 0));
    return more.filter((frames) => frames > FRAMES_PER_SECOND).length === silent.length || `${more}`;
  });
  for (const one of silent) expect((await measure(one)).framesOut, one.name).toBeGreaterThanOrEqual(SPOKEN * FRAMES);
  for (const one of [...silent, listener]) expect(await one.problems()).toEqual([]);
  await Promise.all([...silent, listener].map((one) => one.leave()));
});

test("audio at a constant rate has no pauses, and one size in Chromium", async () => {
  const silent = await join({ silence: true, constantAudioRate: true });
  await Promise.all(
    silent.map(async (one) => {
      await until("audio is sent", async () => (await audio(one)).framesOut > 0);
      const silence = await measure(one);
      await speak(one);
      const speech = await measure(one);
      for (const measured of [silence, speech]) {
        expect(measured.framesEmpty).toBe(0);
        expect(measured.framesOut).toBe(measured.framesIn);
      }
      // Firefox knows no constant size. The frame counter in the header grows by a byte at its 256th frame.
      if (one.name === "Firefox") return;
      const size = ({ bytesOut, framesOut }: Audio): number => bytesOut / framesOut;
      expect(Math.abs(size(speech) - size(silence))).toBeLessThanOrEqual(1);
    }),
  );
  await Promise.all(silent.map((one) => one.leave()));
});

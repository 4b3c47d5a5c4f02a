// A room with more open microphones than a listener receives: who speaks is heard, under the right name.

import { expect, test } from "vitest";
import { listen } from "./listen.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

/** Silent microphones beside those of the two that speak: together two more than a listener receives as tracks. */
const SILENT = 10;
/** Half a bin of the analysis, and the error of a resampler. */
const TOLERANCE_HZ = 8;

const NAMES = ["Chromium", "Firefox"] as const;

const scene = Scene.forThisFile();

/** Joins a number of participants with silent microphones, all in one page. */
async function joinSilent(page: Participant["page"], link: string): Promise<void> {
  await page.evaluate(
    async (target, count) => {
      const context = new AudioContext({ sampleRate: 48_000 });
      await context.resume();
      const output = context.createMediaStreamDestination();
      new OscillatorNode(context, { frequency: 0 }).connect(output);
      const sdk = window.tacetSdk;
      if (sdk === undefined) throw new Error("the page exposes no SDK");
      const joining = Array.from({ length: count }, (_, index) => {
        const audio = output.stream.getAudioTracks()[0]?.clone() ?? false;
        return sdk.Call.join({ link: target, name: `Silent ${index}`, audio });
      });
      const calls = await Promise.all(joining);
      addEventListener("tacet-test-end", () => calls.forEach((call) => void call.leave()));
    },
    link,
    SILENT,
  );
}

/** Whether a participant's microphone is received in a slot for speakers, and not as a track. */
async function inSpeakerSlots(listener: Participant): Promise<boolean> {
  return listener.page.evaluate(() => {
    const call = window.testCall;
    const open = call?.participants.filter(({ id }) => !call.isMuted(id, "microphone")).length ?? 0;
    const received = call?.tracks.filter(({ source }) => source === "microphone").length ?? 0;
    return received < open;
  });
}

async function hears(listener: Participant, speaker: string, hertz: number): Promise<void> {
  const strongest = await listen(listener, speaker);
  await until(`${listener.name} hears ${speaker} at ${hertz} Hz`, async () => {
    const frequency = await strongest();
    return Math.abs(frequency - hertz) <= TOLERANCE_HZ || `${frequency} Hz`;
  });
}

test("a participant that speaks among twelve open microphones is heard in both browsers", async () => {
  const { link } = scene.server;
  const listeners = await Promise.all(
    NAMES.map((name) => Participant.join(scene.browser(name), link, name, { viewedOnly: true })),
  );
  const silent = await Participant.open(scene.chromium, new URL("/", link).href, "Silent");
  await joinSilent(silent.page, link);
  const ada = await Participant.join(scene.chromium, link, "Ada", { tone: 523 });
  const bo = await Participant.join(scene.firefox, link, "Bo", { tone: 784 });
  for (const listener of listeners) {
    await until(`${listener.name} knows everyone`, async () => {
      const others = await listener.others();
      return others.length === SILENT + 3 || others.join();
    });
    await until(`${listener.name} receives speakers`, async () => inSpeakerSlots(listener));
    await hears(listener, "Ada", 523);
    await hears(listener, "Bo", 784);
    expect(await listener.problems()).toEqual([]);
  }
  await silent.page.evaluate(() => dispatchEvent(new Event("tacet-test-end")));
  await Promise.all([ada, bo, ...listeners].map((one) => one.leave()));
});

// A room with more open microphones than a listener receives.

import { listen } from "./listen.ts";
import type { Participant } from "./participant.ts";
import { until } from "./until.ts";

/** Silent microphones beside those of two that speak: together two more than a listener receives as tracks. */
export const SILENT = 10;
/** Half a bin of the analysis, and the error of a resampler. */
const TOLERANCE_HZ = 8;

/** Joins a number of participants with silent microphones, all in one page. */
export async function joinSilent(page: Participant["page"], link: string): Promise<void> {
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
export async function inSpeakerSlots(listener: Participant): Promise<boolean> {
  return listener.page.evaluate(() => {
    const call = window.testCall;
    const open = call?.participants.filter(({ id }) => !call.isMuted(id, "microphone")).length ?? 0;
    const received = call?.tracks.filter(({ source }) => source === "microphone").length ?? 0;
    return received < open;
  });
}

export async function hears(listener: Participant, speaker: string, hertz: number): Promise<void> {
  const strongest = await listen(listener, speaker);
  await until(`${listener.name} hears ${speaker} at ${hertz} Hz`, async () => {
    const frequency = await strongest();
    return Math.abs(frequency - hertz) <= TOLERANCE_HZ || `${frequency} Hz`;
  });
}

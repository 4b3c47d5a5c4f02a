// What a page hears of a participant.

import type { Participant } from "./participant.ts";
import { until } from "./until.ts";

/** Starts to analyse the sound of a participant; `strongest` then tells its strongest frequency. */
export async function listen(listener: Participant, speaker: string): Promise<() => Promise<number>> {
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

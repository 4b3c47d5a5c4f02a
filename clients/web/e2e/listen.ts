// Measures the pitch of a remote participant's audio.

import type { Participant } from "./participant.ts";
import { until } from "./until.ts";

/** Quietest level, in dB, of a frequency that counts as heard. */
const AUDIBLE_DB = -60;

/**
 * Starts to analyze the audio of a participant. Returns a function that returns its strongest frequency in Hz, or 0 for
 * silence.
 */
export async function listen(listener: Participant, speaker: string): Promise<() => Promise<number>> {
  await until(`${listener.name} has the audio of ${speaker}`, async () => {
    const progress = await listener.progress();
    return `${speaker}/microphone` in progress || JSON.stringify(progress);
  });
  const analyser = await listener.page.evaluateHandle(async (name) => {
    const call = window.testCall;
    const id = call?.participants.find((participant) => participant.name === name)?.id;
    const audio = call?.tracks.find(({ participant, source }) => participant === id && source === "microphone");
    if (audio === undefined) throw new Error("there is no audio track");
    const stream = new MediaStream([audio.track]);
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
    analyser.evaluate(({ node }, audible) => {
      const levels = new Float32Array(node.frequencyBinCount);
      node.getFloatFrequencyData(levels);
      let strongest = 0;
      levels.forEach((level, bin) => {
        if (level > (levels[strongest] ?? Number.NEGATIVE_INFINITY)) strongest = bin;
      });
      const loud = (levels[strongest] ?? Number.NEGATIVE_INFINITY) > audible;
      return loud ? (strongest * node.context.sampleRate) / node.fftSize : 0;
    }, AUDIBLE_DB);
}

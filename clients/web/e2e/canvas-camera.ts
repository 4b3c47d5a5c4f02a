// A camera of 720 lines that is a canvas: the fake devices of browsers have other sizes, and encode at their own rate.

import type { JoinOptions } from "../src/index.ts";
import type { Participant } from "./participant.ts";

/**
 * Joins through the SDK, from a page without a call, with moving stripes as the camera, and as the microphone a tone of this
 * frequency, if any.
 */
export async function joinWithCanvas(
  { name, page }: Participant,
  options: Pick<JoinOptions, "videoCodec" | "spatialLayers"> & { readonly link: string },
  framesPerSecond: number,
  hertz?: number,
): Promise<void> {
  await page.evaluate(
    async (joinOptions, rate, frequency) => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [1280, 720];
      const context = canvas.getContext("2d");
      let frame = 0;
      setInterval(() => {
        frame += 1;
        if (context === null) return;
        context.fillStyle = `hsl(${(frame * 7) % 360} 60% 50%)`;
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.fillStyle = "white";
        for (let stripe = 0; stripe < 8; stripe += 1) {
          context.fillRect((stripe * 160 + frame * 12) % canvas.width, stripe * 80, 60, 60);
        }
      }, 1_000 / rate);
      const [video] = canvas.captureStream(rate).getVideoTracks();
      if (window.tacetSdk === undefined || video === undefined) throw new Error("no SDK, or no video");
      let audio: MediaStreamTrack | false = false;
      if (frequency !== undefined) {
        const output = new AudioContext({ sampleRate: 48_000 });
        await output.resume();
        const microphone = output.createMediaStreamDestination();
        const oscillator = new OscillatorNode(output, { frequency });
        oscillator.connect(microphone);
        oscillator.start();
        audio = microphone.stream.getAudioTracks()[0] ?? false;
      }
      window.testCall = await window.tacetSdk.Call.join({ ...joinOptions, video, audio });
    },
    { ...options, name },
    framesPerSecond,
    hertz,
  );
}

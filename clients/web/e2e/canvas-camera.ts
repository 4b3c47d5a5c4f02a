// A camera that is a canvas: the fake devices of browsers have other sizes, and encode at their own rate.

import type { JoinOptions } from "../src/index.ts";
import type { Participant } from "./participant.ts";

/** What such a camera shows: stripes that move over 720 lines. */
const STRIPES = { width: 1_280, height: 720, grain: false };

/** A camera that is a canvas. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  /** Whether every frame has separate grain, as in the dark: then the encoders use all that they may. */
  readonly grain: boolean;
}

/**
 * Joins through the SDK, from a page without a call, with moving stripes as the camera, and as the microphone a tone of this
 * frequency, if any.
 */
export async function joinWithCanvas(
  { name, page }: Participant,
  options: Pick<JoinOptions, "videoCodec" | "spatialLayers"> & { readonly link: string },
  framesPerSecond: number,
  hertz?: number,
  shown: Canvas = STRIPES,
): Promise<void> {
  await page.evaluate(
    async (joinOptions, rate, frequency, { width, height, grain }) => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [width, height];
      const context = canvas.getContext("2d");
      const noise = new OffscreenCanvas(width, height);
      const noiseContext = noise.getContext("2d");
      const grains = noiseContext?.createImageData(width, height);
      if (grain && grains !== undefined) {
        grains.data.forEach((_, index) => {
          grains.data[index] = index % 4 === 3 ? 60 : Math.random() * 255;
        });
        noiseContext?.putImageData(grains, 0, 0);
      }
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
        if (!grain) return;
        const [left, top] = [-Math.floor(Math.random() * width), -Math.floor(Math.random() * height)];
        for (const [x, y] of [
          [0, 0],
          [width, 0],
          [0, height],
          [width, height],
        ] as const) {
          context.drawImage(noise, left + x, top + y);
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
    shown,
  );
}

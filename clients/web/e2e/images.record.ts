// Records the images that the bots of `tacet load` send: one colour in VP8, a key frame and a frame that follows it any number
// of times, for each size of a camera: loadtest/src/bots/images.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { launchChromium } from "./browser.ts";

const FOLDER = join(import.meta.dirname, "../../../loadtest/src/bots/images");
const HEIGHTS = [180, 360, 720] as const;
/** Frames until the encoder has nothing left to correct. */
const SETTLED = 30;
/** How often the last frame is decoded again, and the bytes after it that belong to no image. */
const REPEATS = 50;
const PADDING_BYTES = 2_000;

test.each(HEIGHTS)("VP8, %d lines", async (height) => {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    // Encoders and decoders are for secure pages, as those of files are.
    await page.goto(import.meta.url);
    const { images, decoded } = await page.evaluate(encode, height, SETTLED, REPEATS, PADDING_BYTES);
    expect(decoded).toBe(1 + REPEATS);
    await mkdir(FOLDER, { recursive: true });
    for (const [name, image] of Object.entries(images)) {
      await writeFile(join(FOLDER, `${height}-${name}.vp8`), Buffer.from(image));
    }
  } finally {
    await browser.close();
  }
});

/** Runs in the page: encodes the images, and decodes them again as receivers will, each with padding behind it. */
async function encode(
  height: number,
  settled: number,
  repeats: number,
  padding: number,
): Promise<{ images: Record<"key" | "delta", number[]>; decoded: number }> {
  const width = (height / 9) * 16;
  const error = (fault: DOMException): never => {
    throw fault;
  };
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas");
  context.fillStyle = "steelblue";
  context.fillRect(0, 0, width, height);

  const encoded: number[][] = [];
  const output = (chunk: EncodedVideoChunk): void => {
    const bytes = new Uint8Array(chunk.byteLength);
    chunk.copyTo(bytes);
    encoded.push([...bytes]);
  };
  const encoder = new VideoEncoder({ output, error });
  encoder.configure({ codec: "vp8", width, height, bitrate: 200_000, framerate: 10, latencyMode: "realtime" });
  for (let frame = 0; frame < settled; frame += 1) {
    const image = new VideoFrame(canvas, { timestamp: frame * 100_000 });
    encoder.encode(image, { keyFrame: frame === 0 });
    image.close();
  }
  await encoder.flush();
  const [key = [], delta = []] = [encoded[0], encoded.at(-1)];

  let decoded = 0;
  const count = (frame: VideoFrame): void => {
    decoded += 1;
    frame.close();
  };
  const decoder = new VideoDecoder({ output: count, error });
  decoder.configure({ codec: "vp8" });
  for (let frame = 0; frame <= repeats; frame += 1) {
    const data = new Uint8Array([...(frame === 0 ? key : delta), ...new Array(padding).fill(0x5a)]);
    decoder.decode(new EncodedVideoChunk({ type: frame === 0 ? "key" : "delta", timestamp: frame * 100_000, data }));
  }
  await decoder.flush();
  return { images: { key, delta }, decoded };
}

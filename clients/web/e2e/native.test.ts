// Calls between the native client and browsers: each receives the other's tone, and the browser decodes the native
// client's video.

import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listen } from "./listen.ts";
import { Native, SAMPLE_RATE, tone } from "./native.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

const NATIVE_HZ = 523;
const BROWSER_HZ = 784;
/** Half a bin of the analysis, and the error of a resampler. */
const TOLERANCE_HZ = 8;

const scene = Scene.forThisFile();
let folder: string;
let native: Native | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tacet-native-"));
});

afterEach(async () => {
  await native?.stop();
  native = undefined;
  await rm(folder, { recursive: true });
});

/** Returns the number of seconds of a recording in which a frequency dominates. */
function heardSeconds(wav: Buffer, hertz: number): number {
  const samples = new Int16Array(wav.buffer, wav.byteOffset + 44, Math.floor((wav.length - 44) / 2));
  let heard = 0;
  const windowsPerSecond = 5;
  const window = SAMPLE_RATE / windowsPerSecond;
  for (let start = 0; start + window <= samples.length; start += window) {
    let [sine, cosine, energy] = [0, 0, 0];
    for (let n = 0; n < window; n += 1) {
      const sample = (samples[start + n] ?? 0) / 32_768;
      const angle = (2 * Math.PI * hertz * n) / SAMPLE_RATE;
      sine += sample * Math.sin(angle);
      cosine += sample * Math.cos(angle);
      energy += sample * sample;
    }
    const power = (sine * sine + cosine * cosine) * (2 / window);
    if (energy > window * 1e-4 && power > 0.5 * energy) heard += 1;
  }
  return heard / windowsPerSecond;
}

test.each(["Chromium", "Firefox"] as const)("the native client and %s receive each other's audio", async (name) => {
  const [played, recorded] = [join(folder, "played.wav"), join(folder, "recorded.wav")];
  await writeFile(played, tone(NATIVE_HZ));
  native = Native.start(scene.server, "--play", played, "--loop", "--record", recorded);
  const page = await Participant.join(scene.browser(name), scene.server.link, name, { tone: BROWSER_HZ });

  const strongest = await listen(page, "Native");
  await until(`${name} hears ${NATIVE_HZ} Hz`, async () => {
    const frequency = await strongest();
    return Math.abs(frequency - NATIVE_HZ) <= TOLERANCE_HZ || `${frequency} Hz`;
  });
  // The file grows by whole seconds. The native client stays in the call until the tone is in it.
  await until(`the recording holds ${BROWSER_HZ} Hz`, async () => {
    const seconds = heardSeconds(await readFile(recorded), BROWSER_HZ);
    return seconds >= 2 || `${seconds.toFixed(1)} s`;
  });
  expect(await page.problems()).toEqual([]);
  await native.stop();
  await until("the page removes the native client", async () => (await page.others()).length === 0);
  expect(heardSeconds(await readFile(recorded), BROWSER_HZ)).toBeGreaterThanOrEqual(2);
  await page.leave();
});

/** Returns a Y4M file of a grey square that moves. */
function movie(frames: number): Buffer {
  const [width, height] = [160, 120];
  const parts = [Buffer.from(`YUV4MPEG2 W${width} H${height} F25:1 Ip A1:1 C420jpeg\n`)];
  for (let frame = 0; frame < frames; frame += 1) {
    const planes = Buffer.alloc((width * height * 3) / 2, 128);
    for (let y = 40; y < 80; y += 1)
      planes.fill(220, y * width + ((frame * 2) % 120), y * width + ((frame * 2) % 120) + 40);
    parts.push(Buffer.from("FRAME\n"), planes);
  }
  return Buffer.concat(parts);
}

test.each(["Chromium", "Firefox"] as const)("%s decodes the native client's video", async (name) => {
  const [raw, encoded] = [join(folder, "movie.y4m"), join(folder, "movie.ivf")];
  await writeFile(raw, movie(50));
  const encoder = [
    "--codec=vp8",
    "--ivf",
    "--rt",
    "--lag-in-frames=0",
    "--kf-max-dist=25",
    "--quiet",
    "-o",
    encoded,
    raw,
  ];
  const { status, error } = spawnSync("vpxenc", encoder, { stdio: ["ignore", "inherit", "inherit"] });
  expect([status, error]).toEqual([0, undefined]);

  native = Native.start(scene.server, "--video", encoded, "--loop");
  const page = await Participant.join(scene.browser(name), scene.server.link, name, {});
  await until("the video track is there", async () => {
    const progress = await page.progress();
    return "Native/camera" in progress || JSON.stringify(progress);
  });
  await page.decodesMore(["Native/camera"], 5);
  expect(await page.problems()).toEqual([]);
  await page.leave();
});

// What arrives at a participant's page: layers, gaps between frames, and audio that was concealed.

import type { Downlink, VideoLayer } from "../../src/index.ts";
import type { Participant } from "../participant.ts";
import { until } from "../until.ts";

declare global {
  interface Window {
    testLayers?: VideoLayer[];
    testGap?: number;
    testEstimates?: Downlink[];
  }
}

/** Returns what the page shows of the first other participant's video, and says of layers and path, once it is asked to. */
export async function seen({ page }: Participant): Promise<{ lines: number; notes: string }> {
  return page.evaluate(() => {
    const text = (selector: string): string => document.querySelector(selector)?.textContent ?? "";
    const lines = document.querySelector<HTMLVideoElement>("[data-kind=other] video")?.videoHeight ?? 0;
    return { lines, notes: `${text("[data-kind=other] .tile-layer")}; ${text(".downlink-note")}` };
  });
}

/** Waits until the first other participant's video has as many lines. Returns how long that took in milliseconds. */
export async function showsLines(viewer: Participant, wanted: (lines: number) => boolean): Promise<number> {
  const start = performance.now();
  await until(`${viewer.name} has another size`, async () => {
    const { lines, notes } = await seen(viewer);
    return wanted(lines) || `${lines} lines; ${notes}`;
  });
  return performance.now() - start;
}

/** Follows the layers of all cameras, from now on. */
export async function followLayers({ page }: Participant): Promise<void> {
  await page.evaluate(() => {
    const layers: VideoLayer[] = [];
    window.testLayers = layers;
    window.testCall?.on("layer", ({ source, layer }) => {
      if (source === "camera") layers.push(layer);
    });
  });
}

/** Returns the layers since they are followed. */
export async function layers({ page }: Participant): Promise<VideoLayer[]> {
  return page.evaluate(() => [...(window.testLayers ?? [])]);
}

/** Follows what the server knows of the path to this participant: each second, from now on. */
export async function followEstimates({ page }: Participant): Promise<void> {
  await page.evaluate(() => {
    const estimates: Downlink[] = [];
    window.testEstimates = estimates;
    let latest: Downlink | undefined;
    window.testCall?.on("downlink", (downlink) => {
      latest = downlink;
    });
    setInterval(() => {
      if (latest !== undefined) estimates.push(latest);
    }, 1_000);
  });
}

/** Returns the estimates of all seconds since they are followed. */
export async function estimates({ page }: Participant): Promise<Downlink[]> {
  return page.evaluate(() => [...(window.testEstimates ?? [])]);
}

/** Measures gaps between the frames of the first other participant's video, from now on. */
export async function followGaps({ page }: Participant): Promise<void> {
  await page.evaluate(() => {
    const video = document.querySelector<HTMLVideoElement>("[data-kind=other] video");
    if (video === null) throw new Error("there is no video");
    let last = performance.now();
    window.testGap = 0;
    const next = (now: number): void => {
      window.testGap = Math.max(window.testGap ?? 0, now - last);
      last = now;
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  });
}

/** Returns the longest gap so far, in milliseconds. */
export async function longestGap({ page }: Participant): Promise<number> {
  return page.evaluate(() => window.testGap ?? 0);
}

/** Samples of audio that were played, and of these, that were concealed and not silent. */
export interface Concealment {
  readonly samples: number;
  readonly concealed: number;
}

/** Returns what was concealed of all audio so far. */
export async function concealment({ page }: Participant): Promise<Concealment> {
  return page.evaluate(async () => {
    const stats = [...((await window.testCall?.stats())?.values() ?? [])];
    const audio = stats.filter(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
    const sum = { samples: 0, concealed: 0 };
    for (const { totalSamplesReceived = 0, concealedSamples = 0, silentConcealedSamples = 0 } of audio) {
      sum.samples += totalSamplesReceived;
      sum.concealed += concealedSamples - silentConcealedSamples;
    }
    return sum;
  });
}

/** Lets the page's clock run. */
export async function pass({ page }: Participant, seconds: number): Promise<void> {
  await page.evaluate((time) => new Promise((resolve) => setTimeout(resolve, time)), seconds * 1_000);
}

// A camera in three encodings on the real page: a tile gets the size that it shows, and what no one shows is not sent.

import { expect, test } from "vitest";
import { joinWithCanvas } from "./canvas-camera.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

/** What an encoder of three sizes keeps up with on two cores beside the rest of the call. */
const FRAMES_PER_SECOND = 10;
/** Windows in which the one other participant's tile has room for the smallest and for the largest size. */
const SMALL = { width: 400, height: 320 };
const LARGE = { width: 1000, height: 1500 };
/** From a larger window to a video of that size: 1.5 s, and what a busy machine adds. */
const UP_MS = 6_000;
/** From the last view of the largest encoding to its end: 7 s, and what a busy machine adds. */
const UNWANTED_MS = 15_000;
/** What the largest encoding is sent with at least, while the browser still looks for the bandwidth. */
const LEAST_KBPS = 100;
/** Part of the largest encoding's bytes that may still be sent after that. */
const REST = 0.1;

const scene = Scene.forThisFile();

/** Resizes a participant's window until its tile shows this many lines. Returns how long that took in milliseconds. */
async function resize(viewer: Participant, window: typeof SMALL, lines: number): Promise<number> {
  const start = performance.now();
  await viewer.page.setViewport(window);
  await viewer.showsVideoOf(lines);
  return performance.now() - start;
}

/** Bytes that were sent of each encoding so far. */
async function sentBytes(sender: Participant): Promise<{ at: number; top: number; all: number }> {
  return sender.page.evaluate(async () => {
    const stats = [...((await window.testCall?.stats())?.values() ?? [])];
    const sent = stats.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
    const sum = (encodings: typeof sent): number =>
      encodings.reduce((total, { bytesSent = 0 }) => total + bytesSent, 0);
    return { at: performance.now(), top: sum(sent.filter(({ rid }) => rid === "f")), all: sum(sent) };
  });
}

/** Returns kilobits a second of the largest encoding and of all, over a second from now on. */
async function rates(sender: Participant): Promise<{ top: number; all: number }> {
  const before = await sentBytes(sender);
  await sender.page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 1_000)));
  const after = await sentBytes(sender);
  const rate = (bytes: number): number => Math.round((bytes * 8) / (after.at - before.at));
  return { top: rate(after.top - before.top), all: rate(after.all - before.all) };
}

test("a tile that grows shows a larger video, and an encoding that no one shows is not sent", async () => {
  const { link } = scene.server;
  const ada = await Participant.open(scene.chromium, new URL("/", link).href, "Ada");
  await joinWithCanvas(ada, { link, videoCodec: "vp8" }, FRAMES_PER_SECOND);
  const page = await Participant.page(scene.chromium);
  await page.setViewport(LARGE);
  await page.goto(link, { waitUntil: "load" });
  await page.locator("[data-testid=camera]").click();
  const bo = await Participant.joinHere(page, "Bo");
  await bo.showsVideoOf(720);
  await until("the largest encoding is sent", async () => {
    const { top } = await rates(ada);
    return top >= LEAST_KBPS || `${top} kb/s`;
  });
  const wanted = await rates(ada);

  const down = await resize(bo, SMALL, 180);
  const up = await resize(bo, LARGE, 720);

  const since = performance.now();
  await resize(bo, SMALL, 180);
  let left = wanted;
  await until("the largest encoding ends", async () => {
    left = await rates(ada);
    return left.top <= REST * wanted.top || `${left.top} of ${wanted.top} kb/s`;
  });
  const unwanted = performance.now() - since;
  const again = await resize(bo, LARGE, 720);

  const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
  process.stdout.write(
    `720 → 180 lines in ${seconds(down)}, 180 → 720 in ${seconds(up)}; unwanted: from ${wanted.top} to ${left.top} of ` +
      `${wanted.all} kb/s in ${seconds(unwanted)}; wanted again: in ${seconds(again)}\n`,
  );
  expect(up).toBeLessThan(UP_MS);
  expect(again).toBeLessThan(UP_MS);
  expect(unwanted).toBeLessThan(UNWANTED_MS);
  expect(wanted.all - left.all).toBeGreaterThanOrEqual((1 - REST) * wanted.top);
  expect(await bo.problems()).toEqual([]);
  await Promise.all([ada.leave(), bo.leave()]);
});

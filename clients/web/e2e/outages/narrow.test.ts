// What a receiver gets over a narrow or lossy path, on a server that adapts video: `make chaos-narrow` prints the figures.

import type { Browser } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { joinWithCanvas } from "../canvas-camera.ts";
import { Participant } from "../participant.ts";
import { Relay } from "../relay.ts";
import type { Server } from "../server.ts";
import { until } from "../until.ts";
import { concealment, followGaps, followLayers, layers, longestGap, pass, seen, showsLines } from "./arrivals.ts";
import { joinCrowd, leaveCrowd, SCREEN_LINES } from "./crowd.ts";
import { CHAOS } from "./extent.ts";

const WIDE = "delay=20ms,rate=2mbit,queue=300ms";
/** Less than 720 lines of a canvas take, which is 170 kbit/s with audio on a busy machine. */
const NARROW = "delay=20ms,rate=150kbit,queue=300ms";
const SHARED = "delay=20ms,rate=1mbit,queue=300ms";
const TINY = "delay=20ms,rate=60kbit,queue=300ms";
const LOSSY = "delay=80ms,loss=5%";
const FRAMES_PER_SECOND = 15;
/** A window in which the other participant's tile has room for the largest size. */
const WINDOW = { width: 1000, height: 1500 };
/** Sizes that a video may have between the change of the path and the one that stays. */
const SWITCHES = 4;
const PEOPLE = 10;
const LOSSY_SECONDS = 60;
/** Part of the audio that may be concealed with 5 % of loss. */
const CONCEALED = 0.07;
/** What the issue of adaptation allows, and what a busy machine adds. */
const DOWN_MS = 3_000;
const UP_MS = 8_000;
const FREEZE_MS = 1_000;
const BUSY = 3;

let server: Server;
let relay: Relay;
let chromium: Browser;

beforeAll(async () => {
  if (CHAOS) chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
});

// A room of each test: none has people of the one before.
beforeEach(async () => {
  if (CHAOS) [server, relay] = await Relay.withServer(["--delay", "20ms"], { more: ["--adapt-video"] });
});

afterEach(async () => {
  await relay?.stop();
  await server?.stop();
});

const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
const print = (line: string): boolean => process.stdout.write(`${line}\n`);

/** A camera of 720 lines, and a page that shows it. */
async function pair(): Promise<[Participant, Participant]> {
  const ada = await Participant.open(chromium, new URL("/", server.link).href, "Ada");
  await joinWithCanvas(ada, { link: server.link, videoCodec: "vp8" }, FRAMES_PER_SECOND);
  return [ada, await watcher()];
}

async function watcher(): Promise<Participant> {
  const page = await Participant.page(chromium);
  await page.setViewport(WINDOW);
  await page.goto(server.link, { waitUntil: "load" });
  await page.locator("[data-testid=camera]").click();
  const bo = await Participant.joinHere(page, "Bo");
  await page.evaluate(() => {
    if (window.tacet !== undefined) window.tacet.showsLayers = true;
  });
  return bo;
}

test.runIf(CHAOS)("2 Mbit/s → 150 kbit/s → 2 Mbit/s: a smaller video, and the large one again", async () => {
  const [ada, bo] = await pair();
  await relay.setDown(WIDE);
  await showsLines(bo, (lines) => lines === 720);
  await pass(bo, 5);

  const { notes } = await seen(bo);
  await followLayers(bo);
  await relay.setDown(NARROW);
  const down = await showsLines(bo, (lines) => lines < 720);
  await bo.decodesMore(["Ada/camera"]);
  await relay.setDown(WIDE);
  const up = await showsLines(bo, (lines) => lines === 720);
  await pass(bo, 5);

  const sizes = (await layers(bo)).map(({ height }) => height ?? 0);
  print(
    `2 Mbit/s → 150 kbit/s: smaller in ${seconds(down)}; back: in ${seconds(up)}; lines: ${sizes.join(", ")} (${notes})`,
  );
  expect(down).toBeLessThan(DOWN_MS * BUSY);
  expect(up).toBeLessThan(UP_MS * BUSY);
  expect(sizes.length).toBeLessThanOrEqual(SWITCHES);
  expect(await bo.problems()).toEqual([]);
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("60 kbit/s: the page says why there is no video, and shows it again later", async () => {
  const [ada, bo] = await pair();
  await relay.setDown(WIDE);
  await showsLines(bo, (lines) => lines === 720);
  await relay.setDown(TINY);
  const start = performance.now();
  await bo.says(/Video paused: your network is slow/);
  const shown = performance.now() - start;
  await bo.screenshot("network-1440", { width: 1440, height: 900 });
  await bo.screenshot("network-360", { width: 360, height: 740 });
  await bo.page.setViewport(WINDOW);
  await relay.setDown(WIDE);
  const back = performance.now();
  await until("the video is back", async () => !/Video paused/.test(await bo.text()));
  await bo.decodesMore(["Ada/camera"]);
  print(
    `2 Mbit/s → 60 kbit/s: paused, and said so, in ${seconds(shown)}; back: in ${seconds(performance.now() - back)}`,
  );
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("ten cameras and a screen on 1 Mbit/s: the screen is readable, and no camera is frozen", async () => {
  const crowd = await Participant.page(chromium);
  await crowd.goto(new URL("/", server.link).href, { waitUntil: "load" });
  await crowd.waitForFunction(() => window.tacetSdk !== undefined);
  await joinCrowd(crowd, server.link, PEOPLE);
  await relay.setDown(SHARED);
  const start = performance.now();
  const bo = await watcher();
  await bo.page.setViewport({ width: 1440, height: 1000 });
  const lines = (): Promise<number> =>
    bo.page.evaluate(() => document.querySelector<HTMLVideoElement>("[data-kind=screen] video")?.videoHeight ?? 0);
  await until("the screen has all of its lines", async () => {
    const now = await lines();
    return now === SCREEN_LINES || `${now} lines; ${(await seen(bo)).notes}`;
  });
  const readable = performance.now() - start;
  await pass(bo, 10);
  const before = await bo.progress();
  await pass(bo, 10);
  const after = await bo.progress();
  const ids = Object.entries(await bo.ids());
  const states = await bo.page.evaluate(
    (people) =>
      people.map(([name, id]) => {
        const note = document.querySelector(`[data-participant="${id}"] [data-testid=tile-note]`);
        const layer = window.testCall?.layer(id, "camera") ?? null;
        return { name, note: note?.textContent ?? "", reason: layer?.reason ?? "none", height: layer?.height ?? 0 };
      }),
    ids,
  );
  const moves = (name: string): boolean =>
    (after[`${name}/camera`] ?? 0) > (before[`${name}/camera`] ?? Number.POSITIVE_INFINITY);
  const playing = states.filter(({ name }) => moves(name));
  const paused = states.filter(({ name, note, reason }) => !moves(name) && (/paused/.test(note) || reason === "pause"));
  const frozen = states.filter((state) => !playing.includes(state) && !paused.includes(state));
  print(
    `ten cameras and a screen on 1 Mbit/s: all lines of the screen in ${seconds(readable)}; cameras: ` +
      `${playing.length} play, ${paused.length} paused, ${frozen.length} frozen`,
  );
  await bo.screenshot("crowd-1440", { width: 1440, height: 1000 });
  await bo.screenshot("crowd-360", { width: 360, height: 740 });
  expect(frozen).toEqual([]);
  expect(await lines()).toBe(SCREEN_LINES);
  await Promise.all([leaveCrowd(crowd), bo.leave()]);
});

test.runIf(CHAOS)("5 % of loss and 100 ms: no freeze, and little audio is concealed", async () => {
  await relay.setDown("delay=20ms");
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await watcher();
  await bo.decodesMore(["Ada/camera", "Ada/microphone"]);
  await relay.setDown(LOSSY);
  await pass(bo, 5);
  await followGaps(bo);
  const before = await concealment(bo);
  await pass(bo, LOSSY_SECONDS);
  const [gap, after] = [await longestGap(bo), await concealment(bo)];
  const concealed = (after.concealed - before.concealed) / (after.samples - before.samples);
  print(`5 % of loss, 100 ms, ${LOSSY_SECONDS} s: longest gap ${seconds(gap)}; audio concealed ${percent(concealed)}`);
  expect(gap).toBeLessThan(FREEZE_MS * BUSY);
  expect(concealed).toBeLessThan(CONCEALED);
  await Promise.all([ada.leave(), bo.leave()]);
});

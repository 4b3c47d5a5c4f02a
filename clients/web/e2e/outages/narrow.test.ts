// What a receiver gets over a narrow or lossy path, on a server that adapts video: `make chaos-narrow` prints the figures.

import type { Browser } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "../browser.ts";
import { type Canvas, joinWithCanvas } from "../canvas-camera.ts";
import { Participant } from "../participant.ts";
import { Relay } from "../relay.ts";
import type { Server } from "../server.ts";
import { until } from "../until.ts";
import {
  type Concealment,
  concealment,
  estimates,
  followEstimates,
  followGaps,
  followLayers,
  layers,
  longestGap,
  pass,
  seen,
  showsLines,
} from "./arrivals.ts";
import { joinCrowd, leaveCrowd, SCREEN_LINES } from "./crowd.ts";
import { CHAOS, percentile } from "./extent.ts";
import { mark, printTraces, trace } from "./trace.ts";

const WIDE = "delay=20ms,rate=2mbit,queue=300ms";
const NARROW = "delay=20ms,rate=500kbit,queue=300ms";
const SHARED = "delay=20ms,rate=1mbit,queue=300ms";
const TINY = "delay=20ms,rate=60kbit,queue=300ms";
const LOSSY = "delay=80ms,loss=5%";
const FRAMES_PER_SECOND = 15;
/** A camera whose sizes take all that they may: 150, 500 and 1,220 kbit/s. */
const CAMERA: Canvas = { width: 1_024, height: 576, grain: true };
const HERTZ = 440;
/** A window in which the other participant's tile has room for the largest size. */
const WINDOW = { width: 1000, height: 1500 };
/** Sizes that a video may have between the change of the path and the one that stays. */
const SWITCHES = 4;
const PEOPLE = 10;
const LOSSY_SECONDS = 60;
/** Part of the audio that may be concealed with 5 % of loss, and on a path that becomes narrow. */
const CONCEALED = 0.07;
const CONCEALED_NARROW = 0.02;
/** Times from the change of a path to another size that stays, down and up; and the longest gap between frames. */
const DOWN_MS = 3_000;
const UP_MS = 8_000;
const FREEZE_MS = 1_000;
/** How long the estimate of a path is followed, and where and how often it has to be. */
const MINUTES = Number(process.env.NARROW_MINUTES ?? 10);
/** Causes that say that the path, not the video, has limited the estimate. */
const LIMITS: ReadonlySet<string> = new Set(["trend", "queue", "loss"]);
const ESTIMATES = { least: 1_600, most: 2_200, share: 0.95 };

const RECEIVERS = [
  ["Chromium", launchChromium],
  ["Firefox", launchFirefox],
] as const;

const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
/** Part of the audio that was concealed. */
const share = (before: Concealment, after: Concealment): number =>
  (after.concealed - before.concealed) / (after.samples - before.samples);

describe.each(RECEIVERS)("a receiver in %s", (browser, launch) => {
  let server: Server;
  let relay: Relay;
  let chromium: Browser;
  let receivers: Browser;

  beforeAll(async () => {
    if (CHAOS) [chromium, receivers] = await Promise.all([launchChromium(), launch()]);
  });

  afterAll(async () => {
    await Promise.all([chromium?.close(), receivers?.close()]);
  });

  // A room of each test: none has people of the one before.
  beforeEach(async () => {
    if (CHAOS) [server, relay] = await Relay.withServer(["--delay", "20ms"]);
  });

  afterEach(async () => {
    await printTraces();
    await relay?.stop();
    await server?.stop();
  });

  const print = (line: string): boolean => process.stdout.write(`${browser}: ${line}\n`);

  /** A camera, and a page that shows it. */
  async function pair(): Promise<[Participant, Participant]> {
    const ada = await Participant.open(chromium, new URL("/", server.link).href, "Ada");
    await joinWithCanvas(ada, { link: server.link, videoCodec: "vp8" }, FRAMES_PER_SECOND, HERTZ, CAMERA);
    await trace(ada);
    const bo = await watcher();
    await trace(bo);
    return [ada, bo];
  }

  async function watcher(): Promise<Participant> {
    const page = await Participant.page(receivers);
    await page.setViewport(WINDOW);
    await page.goto(server.link, { waitUntil: "load" });
    await page.waitForSelector("video");
    await page.locator("[data-testid=camera]").click();
    const bo = await Participant.joinHere(page, "Bo");
    await page.evaluate(() => {
      if (window.tacet !== undefined) window.tacet.showsLayers = true;
    });
    return bo;
  }

  test.runIf(CHAOS)("2 Mbit/s → 500 kbit/s → 2 Mbit/s: a smaller video, and the large one again", async () => {
    const [ada, bo] = await pair();
    await relay.setDown(WIDE);
    await mark(bo, "wide");
    await showsLines(bo, (lines) => lines === CAMERA.height);
    await pass(bo, 10);
    await showsLines(bo, (lines) => lines === CAMERA.height);

    const { notes } = await seen(bo);
    const before = await concealment(bo);
    await Promise.all([followLayers(bo), followGaps(bo)]);
    await relay.setDown(NARROW);
    await mark(bo, "narrow");
    const down = await showsLines(bo, (lines) => lines < CAMERA.height);
    await mark(bo, `smaller in ${seconds(down)}`);
    await pass(bo, 10);
    const gap = await longestGap(bo);
    await relay.setDown(WIDE);
    await mark(bo, "wide");
    const up = await showsLines(bo, (lines) => lines === CAMERA.height);
    await mark(bo, `large in ${seconds(up)}`);
    await pass(bo, 5);

    const [switched, after] = [await layers(bo), await concealment(bo)];
    const sizes = switched.filter(({ height }, at) => height !== switched[at - 1]?.height).map(({ height }) => height);
    const concealed = share(before, after);
    print(
      `2 Mbit/s → 500 kbit/s: smaller in ${seconds(down)}, longest gap ${seconds(gap)}; back: in ${seconds(up)}; ` +
        `lines: ${sizes.join(", ")}, ${switched.length} layers; audio concealed ${percent(concealed)} (${notes})`,
    );
    expect(down).toBeLessThan(DOWN_MS);
    expect(up).toBeLessThan(UP_MS);
    expect(sizes.length).toBeLessThanOrEqual(SWITCHES);
    expect(concealed).toBeLessThan(CONCEALED_NARROW);
    expect(await bo.problems()).toEqual([]);
    await Promise.all([ada.leave(), bo.leave()]);
  });

  test.runIf(CHAOS)("60 kbit/s: the page says why there is no video, and shows it again later", async () => {
    const [ada, bo] = await pair();
    await relay.setDown(WIDE);
    await showsLines(bo, (lines) => lines === CAMERA.height);
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

  test.runIf(CHAOS)(
    "ten cameras and a screen on 1 Mbit/s: the screen is readable, and no camera is frozen",
    async () => {
      const crowd = await Participant.page(chromium);
      await crowd.goto(new URL("/", server.link).href, { waitUntil: "load" });
      await crowd.waitForFunction(() => window.tacetSdk !== undefined);
      await joinCrowd(crowd, server.link, PEOPLE);
      await relay.setDown(SHARED);
      const start = performance.now();
      const bo = await watcher();
      await trace(bo);
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
      const paused = states.filter(
        ({ name, note, reason }) => !moves(name) && (/paused/.test(note) || reason === "pause"),
      );
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
    },
  );

  test.runIf(CHAOS)("5 % of loss and 100 ms: no freeze, and little audio is concealed", async () => {
    await relay.setDown("delay=20ms");
    const ada = await Participant.joinByPage(chromium, server.link, "Ada");
    const bo = await watcher();
    await Promise.all([trace(ada), trace(bo)]);
    await bo.decodesMore(["Ada/camera", "Ada/microphone"]);
    await relay.setDown(LOSSY);
    await pass(bo, 5);
    await followGaps(bo);
    const before = await concealment(bo);
    await pass(bo, LOSSY_SECONDS);
    const [gap, concealed] = [await longestGap(bo), share(before, await concealment(bo))];
    print(
      `5 % of loss, 100 ms, ${LOSSY_SECONDS} s: longest gap ${seconds(gap)}; audio concealed ${percent(concealed)}`,
    );
    expect(gap).toBeLessThan(FREEZE_MS);
    expect(concealed).toBeLessThan(CONCEALED);
    await Promise.all([ada.leave(), bo.leave()]);
  });

  test.runIf(CHAOS && MINUTES > 0)(`2 Mbit/s for ${MINUTES} minutes: the estimate is that`, async () => {
    const [ada, bo] = await pair();
    await relay.setDown(WIDE);
    await followEstimates(bo);
    await pass(bo, MINUTES * 60);
    const all = await estimates(bo);
    const limited = all.findIndex(({ cause }) => LIMITS.has(cause));
    const known = limited < 0 ? [] : all.slice(limited);
    const kbps = known.map((estimate) => estimate.kbps);
    const { least, most } = ESTIMATES;
    const within = kbps.filter((rate) => rate >= least && rate <= most).length / kbps.length;
    const at = (part: number): number => percentile(kbps, part);
    print(
      `2 Mbit/s for ${MINUTES} min: limited after ${limited} s; then ${percent(within)} of ${kbps.length} estimates from ` +
        `${least} to ${most} kbit/s; percentiles 1, 5, 50, 95, 99: ${[0.01, 0.05, 0.5, 0.95, 0.99].map(at).join(", ")}`,
    );
    expect(within).toBeGreaterThanOrEqual(ESTIMATES.share);
    await Promise.all([ada.leave(), bo.leave()]);
  });
});

// What a receiver's path carries decides which size it gets, on a server that adapts video.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { joinWithCanvas } from "../canvas-camera.ts";
import { Participant } from "../participant.ts";
import { Relay } from "../relay.ts";
import type { Server } from "../server.ts";
import { CHAOS } from "./extent.ts";

const WIDE = "delay=20ms,rate=2500kbit,queue=300ms";
/** Less than 720 lines of a canvas take, which is 170 kbit/s with audio on a busy machine. */
const NARROW = "delay=20ms,rate=150kbit,queue=300ms";
const FRAMES_PER_SECOND = 10;
/** A window in which the other participant's tile has room for the largest size. */
const WINDOW = { width: 1000, height: 1500 };
/** From less bandwidth to a smaller video: 3 s, and what a busy machine adds. */
const DOWN_MS = 30_000;
/** From more bandwidth to the large video: 8 s, and what a busy machine adds. */
const UP_MS = 60_000;

let server: Server;
let relay: Relay;
let chromium: Browser;

beforeAll(async () => {
  [server, relay] = await Relay.withServer(["--delay", "20ms"], ["--adapt-video"]);
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await relay?.stop();
  await server?.stop();
});

// When the first large video comes depends on probes, and takes longer than a test may now and then.
test.runIf(CHAOS)(
  "a smaller video arrives while the path is narrow, and the large one once it is wide again",
  async () => {
    const ada = await Participant.open(chromium, new URL("/", server.link).href, "Ada");
    await joinWithCanvas(ada, { link: server.link, videoCodec: "vp8" }, FRAMES_PER_SECOND);
    const page = await Participant.page(chromium);
    await page.setViewport(WINDOW);
    await page.goto(server.link, { waitUntil: "load" });
    await page.locator("[data-testid=camera]").click();
    const bo = await Participant.joinHere(page, "Bo");
    await relay.setDown(WIDE);
    await bo.showsVideoOf(720);

    await relay.setDown(NARROW);
    const down = await bo.showsVideoOf(1, 719);
    await bo.decodesMore(["Ada/camera"]);
    await relay.setDown(WIDE);
    const up = await bo.showsVideoOf(720);

    const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
    process.stdout.write(`2.5 Mbit/s → 150 kbit/s: smaller in ${seconds(down)}; back: in ${seconds(up)}\n`);
    expect(down).toBeLessThan(DOWN_MS);
    expect(up).toBeLessThan(UP_MS);
    expect(await bo.problems()).toEqual([]);
    await Promise.all([ada.leave(), bo.leave()]);
  },
);

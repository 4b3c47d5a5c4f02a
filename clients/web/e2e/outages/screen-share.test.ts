// A screen shared by someone whose camera is off. Chromium probes the bandwidth with padding then, which is not media.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { Participant } from "../participant.ts";
import { Server } from "../server.ts";
import { until } from "../until.ts";
import { CHAOS } from "./extent.ts";

const SHARES = CHAOS ? 6 : 1;

let server: Server;
let chromium: Browser;

beforeAll(async () => {
  server = await Server.start();
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await server?.stop();
});

test(`${SHARES} of ${SHARES} shared screens arrive with the camera off`, async () => {
  const bo = await Participant.joinByPage(chromium, server.link, "Bo");
  for (let share = 0; share < SHARES; share += 1) {
    const page = await Participant.page(chromium);
    await page.goto(server.link, { waitUntil: "load" });
    await page.waitForSelector("[data-testid=camera][aria-pressed=true]");
    await page.locator("[data-testid=camera]").click();
    const ada = await Participant.joinHere(page, "Ada");
    await ada.press("screen");
    await until("Bo has Ada's screen", async () => "Ada/screen" in (await bo.progress()));
    await bo.decodesMore(["Ada/screen"]);
    expect(await ada.problems()).toEqual([]);
    await ada.leave();
    await bo.sees("Ada", "gone");
    await page.close();
  }
  await bo.leave();
});

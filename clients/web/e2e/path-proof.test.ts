// The server's own connectivity checks: browsers answer them, so that media reaches them without a limit and consent lasts.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { METRICS, Server } from "./server.ts";
import { until } from "./until.ts";

let server: Server;
let chromium: Browser;
let firefox: Browser;

beforeAll(async () => {
  server = await Server.start({ metrics: METRICS });
  [chromium, firefox] = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all([chromium?.close(), firefox?.close()]);
  await server?.stop();
});

test("Chromium and Firefox answer the server's connectivity checks", async () => {
  await Promise.all([
    Participant.joinByPage(chromium, server.link, "Ada"),
    Participant.joinByPage(firefox, server.link, "Bo"),
  ]);
  await until("both paths are proven", async () => (await server.counter("paths_proven_total")) === 2);
  // The first answers, and one of each for consent.
  await until("they go on to answer", async () => (await server.counter("path_checks_answered_total")) >= 4);
});

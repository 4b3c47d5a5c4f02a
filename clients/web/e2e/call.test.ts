// Two Chromium and one Firefox in one room, with fake devices, through the built binary.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

let server: Server;
let chromium: Browser;
let firefox: Browser;

beforeAll(async () => {
  server = await Server.start();
  [chromium, firefox] = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all([chromium?.close(), firefox?.close()]);
  await server?.stop();
});

const tracksOf = (...names: string[]): string[] => names.flatMap((name) => [`${name}/mic`, `${name}/cam`]);

test("everyone sees and hears everyone, and goes on doing so when one leaves", async () => {
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await Participant.joinByPage(chromium, server.link, "Bo");
  const cy = await Participant.joinByPage(firefox, server.link, "Cy");
  const all = [ada, bo, cy];

  for (const participant of all) {
    const others = all.filter((other) => other !== participant).map(({ name }) => name);
    await until(`${participant.name} has verified ${others}`, async () => {
      const seen = await participant.others();
      return others.every((name) => seen.includes(name)) || seen.join();
    });
    await participant.decodesMore(tracksOf(...others));
    expect(await participant.problems()).toEqual([]);
  }

  await ada.screenshot("call-desktop", { width: 1280, height: 800 });
  await bo.screenshot("call-phone", { width: 390, height: 844 });
  expect(await ada.srtpCipher()).toContain("AEAD_AES_256_GCM");

  const before = await ada.generation();
  await cy.leave();
  await until("Ada no longer has Cy", async () => !(await ada.others()).includes("Cy"));
  await until("Ada has a new key", async () => (await ada.generation()) > before || `${await ada.generation()}`);
  await ada.decodesMore(tracksOf("Bo"));
  await bo.decodesMore(tracksOf("Ada"));
});

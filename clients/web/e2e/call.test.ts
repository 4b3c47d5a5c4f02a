// A call of two Chromium and one Firefox through the built binary, with fake devices.

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

const tracksOf = (...names: string[]): string[] => names.flatMap((name) => [`${name}/microphone`, `${name}/camera`]);

test("a call of three browsers continues when one leaves", async () => {
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await Participant.joinByPage(chromium, server.link, "Bo");
  const cy = await Participant.joinByPage(firefox, server.link, "Cy");
  const all = [ada, bo, cy];

  for (const participant of all) {
    const others = all.filter((other) => other !== participant).map(({ name }) => name);
    await until(`${participant.name} verifies ${others}`, async () => {
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
  await until("Ada removes Cy", async () => !(await ada.others()).includes("Cy"));
  await until("Ada rotates her key", async () => (await ada.generation()) > before || `${await ada.generation()}`);
  await ada.decodesMore(tracksOf("Bo"));
  await bo.decodesMore(tracksOf("Ada"));
});

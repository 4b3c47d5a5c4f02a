// Calls of two Chromium and one Firefox through the built binary, with fake devices.

import type { Browser } from "puppeteer-core";
import { expect, test } from "vitest";
import { HEADER_EXTENSIONS } from "../src/offer-check.ts";
import { Participant } from "./participant.ts";
import { recordPeers, sentExtensions } from "./peers.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

const scene = Scene.forThisFile();

const tracksOf = (...names: string[]): string[] => names.flatMap((name) => [`${name}/microphone`, `${name}/camera`]);

/** Joins by the page, with a record of the peer connections. */
async function join(browser: Browser, name: string): Promise<Participant> {
  const page = await Participant.page(browser);
  await recordPeers(page);
  return Participant.joinIn(page, scene.server.link, name);
}

test("a call of three browsers continues when one leaves", async () => {
  const ada = await join(scene.chromium, "Ada");
  const bo = await Participant.joinByPage(scene.chromium, scene.server.link, "Bo");
  const cy = await join(scene.firefox, "Cy");
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

  const [mid = "", level = "", ...video] = Object.keys(HEADER_EXTENSIONS);
  const [transportCc = ""] = video;
  // Firefox sends Dependency Descriptors where there are RIDs.
  const negotiated = { audio: [mid, level, transportCc], video: [mid, ...video] };
  for (const participant of [ada, cy]) expect(await sentExtensions(participant)).toEqual(negotiated);

  const before = await ada.generation();
  await cy.leave();
  await until("Ada removes Cy", async () => !(await ada.others()).includes("Cy"));
  await until("Ada rotates her key", async () => (await ada.generation()) > before || `${await ada.generation()}`);
  await ada.decodesMore(tracksOf("Bo"));
  await bo.decodesMore(tracksOf("Ada"));
  await Promise.all([ada.leave(), bo.leave()]);
});

test("two browsers show the same call code, and another to both once a third is in the call", async () => {
  const ada = await Participant.joinByPage(scene.chromium, scene.server.link, "Ada");
  const bo = await Participant.joinByPage(scene.firefox, scene.server.link, "Bo");
  for (const person of [ada, bo]) await person.press("encryption");
  await until("both see the same code", async () => {
    const codes = [await ada.callCode(), await bo.callCode()];
    return (codes[0] === codes[1] && /^(\d{5} ){5}\d{5}$/.test(codes[0] ?? "")) || codes.join(" / ");
  });
  const code = await ada.callCode();
  for (const person of [ada, bo]) {
    await person.press("code-matches");
    await person.says(/code compared/);
    expect(await person.page.evaluate(() => document.querySelectorAll(".code-qr svg path").length)).toBe(1);
  }

  const cy = await Participant.join(scene.chromium, scene.server.link, "Cy", {});
  for (const person of [ada, bo]) await person.says(/Code changed[\s\S]*Cy joined\./);
  await until("all see the same new code", async () => {
    const codes = [await ada.callCode(), await bo.callCode(), await cy.callCode()];
    return (new Set(codes).size === 1 && codes[0] !== code) || codes.join(" / ");
  });
  await cy.leave();
  await until("the code of before is back", async () => (await ada.callCode()) === code);
  await Promise.all([ada.leave(), bo.leave()]);
});

test("a microphone that is switched thirty times at once ends as it was asked to", async () => {
  const ada = await Participant.joinByPage(scene.chromium, scene.server.link, "Ada");
  const bo = await Participant.joinByPage(scene.chromium, scene.server.link, "Bo");
  await bo.hears("Ada");
  for (const last of [true, false]) {
    await ada.page.evaluate(async (muted) => {
      const call = window.testCall;
      await Promise.all(Array.from({ length: 30 }, (_, i) => call?.setMuted("microphone", (i % 2 === 1) === muted)));
    }, last);
    await until(`Bo sees that Ada is ${last ? "muted" : "not muted"}`, () =>
      bo.page.evaluate(
        (muted) => document.querySelector("[data-kind=other]")?.getAttribute("data-muted") === String(muted),
        last,
      ),
    );
  }
  await bo.hears("Ada");
  expect([...(await ada.problems()), ...(await bo.problems())]).toEqual([]);
  await Promise.all([ada.leave(), bo.leave()]);
});

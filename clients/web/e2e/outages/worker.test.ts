// The worker that encrypts dies, which raises no event in any browser.

import type { Page } from "puppeteer-core";
import { expect, test } from "vitest";
import { Participant } from "../participant.ts";
import { Scene } from "../scene.ts";

/** Within this time the person at the device learns of it. */
const KNOWN_MS = 2_000;

declare global {
  interface Window {
    /** The workers that the page started, and whether it can start others. */
    testWorkers?: { started: Worker[]; allowed: boolean };
  }
}

const scene = Scene.forThisFile();

/** Records the workers of a page that is opened next, and can keep it from starting others. */
async function recordWorkers(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(() => {
    const Original = Worker;
    const workers: { started: Worker[]; allowed: boolean } = { started: [], allowed: true };
    window.testWorkers = workers;
    window.Worker = class extends Original {
      constructor(url: string | URL, options?: WorkerOptions) {
        if (!workers.allowed) throw new Error("no worker for now");
        super(url, options);
        workers.started.push(this);
      }
    };
  });
}

test.each([
  ["Chromium", "Firefox"],
  ["Firefox", "Chromium"],
] as const)("a dead worker in %s is noticed by everyone, and replaced", async (dying, other) => {
  const { link } = scene.server;
  const page = await Participant.page(scene.browser(dying));
  await recordWorkers(page);
  const ada = await Participant.joinIn(page, link, "Ada");
  const bo = await Participant.joinByPage(scene.browser(other), link, "Bo");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  const id = await ada.id();

  const took = await page.evaluate(async () => {
    const { testCall: call, testWorkers: workers } = window;
    if (call === undefined || workers === undefined) throw new Error("there is no call");
    const known = new Promise<string>((resolve) => {
      call.on("problem", ({ code }) => resolve(code));
    });
    workers.allowed = false;
    const start = performance.now();
    for (const worker of workers.started) worker.terminate();
    return { code: await known, cause: call.connection.cause, milliseconds: performance.now() - start };
  });
  expect(took).toMatchObject({ code: "encryption-stopped", cause: "encryption" });
  expect(took.milliseconds).toBeLessThan(KNOWN_MS);
  await ada.says(/Encryption stopped/);
  await bo.sees("Ada", "away");

  await page.evaluate(() => {
    if (window.testWorkers !== undefined) window.testWorkers.allowed = true;
    window.testCall?.tryNow();
  });
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  expect(await ada.id()).toBe(id);
  expect(await ada.text()).not.toMatch(/Encryption stopped$/m);
  await Promise.all([ada.leave(), bo.leave()]);
});

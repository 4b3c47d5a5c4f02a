// A page that is frozen, and a device whose clock jumps as after sleep.

import type { CDPSession } from "puppeteer-core";
import { expect, test } from "vitest";
import { Scene } from "../scene.ts";
import { until } from "../until.ts";
import { CHAOS, last } from "./extent.ts";
import { joinPair } from "./pair.ts";

/** Within this time the others see that someone is away: 3 s, and the interval at which the test looks. */
const AWAY_MS = 3_500;

const scene = Scene.forThisFile();

async function freeze(session: CDPSession, state: "frozen" | "active"): Promise<void> {
  await session.send("Page.setWebLifecycleState", { state });
}

test.runIf(CHAOS)("a page frozen for 8 s is seen as reconnecting, and then the same person", async () => {
  const [ada, bo] = await joinPair([scene.chromium, scene.firefox], scene.server.link);
  const before = [await ada.id(), await bo.ids(), await bo.changes()];
  const session = await ada.page.createCDPSession();
  await freeze(session, "frozen");
  const frozen = performance.now();
  await bo.sees("Ada", "away");
  expect(performance.now() - frozen).toBeLessThan(AWAY_MS);
  await last(Math.max(0, 8 - (performance.now() - frozen) / 1_000));
  await freeze(session, "active");
  await bo.sees("Ada", "present");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  expect([await ada.id(), await bo.ids(), await bo.changes()]).toEqual(before);
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("a page frozen for 60 s leaves, and comes back as the same person", async () => {
  const [ada, bo] = await joinPair([scene.chromium, scene.firefox], scene.server.link);
  const before = [await ada.id(), await bo.ids()];
  const session = await ada.page.createCDPSession();
  await freeze(session, "frozen");
  const frozen = performance.now();
  await bo.sees("Ada", "gone");
  await last(Math.max(0, 60 - (performance.now() - frozen) / 1_000));
  await freeze(session, "active");
  await bo.sees("Ada", "present");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  expect([await ada.id(), await bo.ids()]).toEqual(before);
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("after a jump of the clock, the device joins again by itself and says why", async () => {
  const [ada, bo] = await joinPair([scene.chromium, scene.firefox], scene.server.link);
  const before = [await ada.id(), await bo.ids()];
  const jump = (): void => {
    const now = Date.now;
    Date.now = () => now() + 300_000;
  };
  for (const worker of ada.page.workers()) await worker.evaluate(jump);
  await ada.page.evaluate(jump);
  await ada.says(/This device slept/);
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  await until("Bo sees the same Ada", async () => JSON.stringify(await bo.ids()) === JSON.stringify(before[1]));
  expect(await ada.id()).toBe(before[0]);
  await Promise.all([ada.leave(), bo.leave()]);
});

// One of two people loses the network, or only UDP. The other keeps seeing them, and they need to do nothing.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "../browser.ts";
import { Island } from "../island.ts";
import { Participant } from "../participant.ts";
import { Server } from "../server.ts";
import { until } from "../until.ts";
import { CHAOS, last } from "./extent.ts";
import { joinPair } from "./pair.ts";

/** Within this time the others see that someone is away: 3 s, and the interval at which the test looks. */
const AWAY_MS = 3_500;

let server: Server;
let island: Island;
let browsers: Browser[] = [];

beforeAll(async () => {
  island = await Island.create();
  server = await Server.start();
  browsers = await Promise.all([launchChromium(island), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server?.stop();
  await island?.remove();
});

test.each(CHAOS ? [5, 20] : [5])(
  "%i s without network: the same person, away for a while, and no key changes",
  async (seconds) => {
    const [ada, bo] = await joinPair(browsers, server.link);
    const before = [await ada.id(), await bo.ids(), await ada.changes(), await bo.changes()];

    island.cut();
    const cut = performance.now();
    await bo.sees("Ada", "away");
    // A busy machine may be slower, so `make test` has no limit.
    if (CHAOS) expect(performance.now() - cut).toBeLessThan(AWAY_MS);
    await bo.says(/Reconnecting/);
    expect(await bo.text()).toMatch(/1 reconnecting/);
    await ada.says(/Trying again \(\d+ s\)/);
    await bo.screenshot("other-away", { width: 1440, height: 900 });
    await ada.screenshot("own-loss", { width: 360, height: 740 });
    await last(Math.max(0, seconds - (performance.now() - cut) / 1_000));
    island.mend();

    await bo.sees("Ada", "present");
    await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
    expect([await ada.id(), await bo.ids(), await ada.changes(), await bo.changes()]).toEqual(before);
    await until("Ada's banner goes", async () => !/Trying again/.test(await ada.text()));
    await Promise.all([ada.leave(), bo.leave()]);
  },
);

test.runIf(CHAOS)("5 s without a network interface: the banner says that the device is offline", async () => {
  const [ada, bo] = await joinPair(browsers, server.link);
  const id = await ada.id();
  island.unplug();
  await Promise.all([last(5), ada.says(/You're offline/)]);
  island.plugIn();
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  expect(await ada.id()).toBe(id);
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("40 s without network: the others see a leave, and then the same person", async () => {
  const [ada, bo] = await joinPair(browsers, server.link);
  const [id, ids] = [await ada.id(), await bo.ids()];
  island.cut();
  const cut = performance.now();
  await bo.sees("Ada", "away");
  await bo.sees("Ada", "gone");
  expect(performance.now() - cut).toBeGreaterThan(28_000);
  await last(Math.max(0, 40 - (performance.now() - cut) / 1_000));
  // Nothing has ended, and no one was taken off the stage.
  expect(await ada.presence("Bo")).not.toBe("gone");
  expect(await ada.text()).toMatch(/Trying again/);
  island.mend();
  await bo.sees("Ada", "present");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  expect([await ada.id(), await bo.ids()]).toEqual([id, ids]);
  await Promise.all([ada.leave(), bo.leave()]);
});

test.runIf(CHAOS)("a device that can’t send UDP says so until media flows, and bothers no one", async () => {
  const [, firefox] = browsers;
  const [chromium] = browsers;
  if (chromium === undefined || firefox === undefined) throw new Error("browsers have not started");
  const bo = await Participant.joinByPage(firefox, server.link, "Bo");
  const cy = await Participant.joinByPage(firefox, server.link, "Cy");
  await Promise.all([bo.hears("Cy"), cy.hears("Bo")]);
  island.blockUdp();
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  await bo.sees("Ada", "present");
  await ada.says(/Audio and video can't get through/);
  const before = await bo.changes();
  // The message does not flicker, whatever is tried meanwhile.
  const end = performance.now() + 60_000;
  while (performance.now() < end) {
    expect(await ada.text()).toMatch(/Audio and video can't get through/);
    await last(0.1);
  }
  expect(await bo.changes()).toEqual(before);
  island.allowUdp();
  await Promise.all([ada.hears("Bo", "Cy"), bo.hears("Ada")]);
  await until("Ada's banner goes", async () => !/can't get through/.test(await ada.text()));
  await Promise.all([ada.leave(), bo.leave(), cy.leave()]);
});

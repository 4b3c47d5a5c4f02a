// A call through a network that loses packets in bursts, delays them unevenly and, once, changes everybody's address.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Relay } from "./relay.ts";
import type { Server } from "./server.ts";
import { until } from "./until.ts";

const NETWORK = ["--loss", "5%", "--burst", "3", "--delay", "15ms", "--jitter", "10ms", "--seed", "7"];

let server: Server;
let relay: Relay;
let browsers: Browser[] = [];

beforeAll(async () => {
  [server, relay] = await Relay.withServer(NETWORK);
  browsers = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await relay?.stop();
  await server?.stop();
});

const tracksOf = (name: string): string[] => [`${name}/mic`, `${name}/cam`];

test("Chromium and Firefox go on seeing and hearing each other", async () => {
  const [chromium, firefox] = browsers;
  if (chromium === undefined || firefox === undefined) throw new Error("browsers have not started");
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await Participant.joinByPage(firefox, server.link, "Bo");
  const bothGoOn = async (): Promise<void> => {
    await Promise.all([ada.decodesMore(tracksOf("Bo")), bo.decodesMore(tracksOf("Ada"))]);
  };
  await bothGoOn();

  for (const participant of [ada, bo]) {
    await until(`${participant.name} has sent packets again that the server has missed`, async () => {
      const sent = await participant.retransmitted();
      return sent > 0 || `${sent} packets`;
    });
  }
  const before = await relay.stats();
  expect(Math.min(before.up.lost, before.down.lost)).toBeGreaterThan(0);

  expect(await relay.changeAddresses()).toBeGreaterThanOrEqual(2);
  await bothGoOn();
  await bothGoOn();
  const after = await relay.stats();
  expect(after.address_changes).toBe(before.clients);

  // What is incomplete or comes twice is dropped; nothing that arrives is found to be forged or broken.
  for (const participant of [ada, bo]) {
    const { replay, "missing-key": early, ...failures } = await participant.openFailures();
    expect(failures).toEqual({});
    expect(await participant.problems()).toEqual([]);
  }
  await Promise.all([ada.leave(), bo.leave()]);
});

// A call over a network that loses packets in bursts, has jitter, and changes the addresses of all clients once.

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

const tracksOf = (name: string): string[] => [`${name}/microphone`, `${name}/camera`];

test("a call continues on a lossy network and after a change of address", async () => {
  const [chromium, firefox] = browsers;
  if (chromium === undefined || firefox === undefined) throw new Error("browsers have not started");
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await Participant.joinByPage(firefox, server.link, "Bo");
  const bothDecode = async (): Promise<void> => {
    await Promise.all([ada.decodesMore(tracksOf("Bo")), bo.decodesMore(tracksOf("Ada"))]);
  };
  await bothDecode();

  for (const participant of [ada, bo]) {
    await until(`${participant.name} has retransmitted packets that the server missed`, async () => {
      const sent = await participant.retransmitted();
      return sent > 0 || `${sent} packets`;
    });
  }
  const before = await relay.stats();
  expect(Math.min(before.up.lost, before.down.lost)).toBeGreaterThan(0);

  expect(await relay.changeAddresses()).toBeGreaterThanOrEqual(2);
  await bothDecode();
  await bothDecode();
  const after = await relay.stats();
  expect(after.address_changes).toBe(before.clients);

  // Incomplete and duplicate frames are dropped; no frame is malformed or fails authentication.
  for (const participant of [ada, bo]) {
    const { replay, "missing-key": early, ...failures } = await participant.openFailures();
    expect(failures).toEqual({});
    expect(await participant.problems()).toEqual([]);
  }
  await Promise.all([ada.leave(), bo.leave()]);
});

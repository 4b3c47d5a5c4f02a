// Calls over a network that loses packets in bursts and has jitter: addresses change once, and shared screens stop and start.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Relay } from "./relay.ts";
import { METRICS, type Server } from "./server.ts";
import { until } from "./until.ts";

const NETWORK = ["--loss", "5%", "--burst", "3", "--delay", "15ms", "--jitter", "10ms", "--seed", "7"];

let server: Server;
let relay: Relay;
let browsers: Browser[] = [];

beforeAll(async () => {
  [server, relay] = await Relay.withServer(NETWORK, { metrics: METRICS });
  browsers = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await relay?.stop();
  await server?.stop();
});

/** Frames of the shared canvas each second. */
const SCREEN_FPS = 15;
/** A pause in which everything that was on its way has arrived, or is lost. */
const LONG_PAUSE_MS = 3_500;
/** A lost packet that was retransmitted in time shows that the server knows the stream of retransmissions. */
const RECOVERED = 1;

/** Shares a canvas with stripes that move as the screen. */
async function share({ page }: Participant): Promise<void> {
  await page.evaluate(async (rate) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [1280, 720];
    const context = canvas.getContext("2d");
    const drawing = setInterval(() => {
      for (let stripe = 0; stripe < 60; stripe += 1) {
        if (context !== null) context.fillStyle = `hsl(${Math.random() * 360} 60% 50%)`;
        context?.fillRect(Math.random() * canvas.width, stripe * 12, 400, 12);
      }
    }, 1_000 / rate);
    const [track] = canvas.captureStream(rate).getVideoTracks();
    if (window.testCall === undefined || track === undefined) throw new Error("no call, or no video");
    track.addEventListener("ended", () => clearInterval(drawing));
    await window.testCall.publish(track, "screen");
  }, SCREEN_FPS);
}

async function stopSharing({ page }: Participant): Promise<void> {
  await page.evaluate(() => window.testCall?.unpublish("screen"));
}

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

// Browsers name a stream by MID and RID only until its first receiver report: what is shared again is known by its SSRCs.
test("a screen that is shared again is decoded and repaired, after a moment and after seconds", async () => {
  const [chromium, firefox] = browsers;
  if (chromium === undefined || firefox === undefined) throw new Error("browsers have not started");
  const ada = await Participant.join(chromium, server.link, "Ada", {});
  const bo = await Participant.join(firefox, server.link, "Bo", {});
  const shares = async (sharer: Participant, viewer: Participant): Promise<void> => {
    await share(sharer);
    await viewer.decodesMore([`${sharer.name}/screen`], 1);
  };
  const sharesAgain = async (sharer: Participant, viewer: Participant): Promise<void> => {
    const before = await server.counter("uplink_packets_recovered_total");
    await shares(sharer, viewer);
    await until(`packets of ${sharer.name}'s screen are retransmitted`, async () => {
      const recovered = (await server.counter("uplink_packets_recovered_total")) - before;
      return recovered >= RECOVERED || `${recovered} recovered`;
    });
  };
  for (const [sharer, viewer] of [
    [ada, bo],
    [bo, ada],
  ] as const) {
    await shares(sharer, viewer);
    await stopSharing(sharer);
    await sharesAgain(sharer, viewer);
    await stopSharing(sharer);
    await new Promise((resolve) => setTimeout(resolve, LONG_PAUSE_MS));
    await sharesAgain(sharer, viewer);
    await stopSharing(sharer);
  }
  for (const participant of [ada, bo]) expect(await participant.problems()).toEqual([]);
  await Promise.all([ada.leave(), bo.leave()]);
});

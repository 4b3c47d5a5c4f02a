// What must not work: hearing without the secret, and sending without encryption.

import { hkdfSync } from "node:crypto";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

let server: Server;
let chromium: Browser;

beforeAll(async () => {
  server = await Server.start();
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await server?.stop();
});

const url = (): string => new URL("/", server.link).href;

/** The access token of the right secret, which a dishonest server might hand to anyone. Derived anew, by node's HKDF. */
function rightAccess(): number[] {
  const secret = Buffer.from(new URL(server.link).hash.slice(1), "base64url");
  return [...new Uint8Array(hkdfSync("sha512", secret, "e2ee-frames/1 invite", "access", 32))];
}

test("a wrong invite secret is turned away at the door", async () => {
  const stranger = await Participant.open(chromium, url(), "Stranger");
  const wrong = server.link.replace(/#.*/, `#${"A".repeat(43)}`);
  await expect(stranger.join({ link: wrong, name: "Stranger" }, {})).rejects.toThrow(/access|refused|link/i);
  await stranger.page.close();
});

test("who is let in with a wrong invite secret decodes nothing, and others show nobody", async () => {
  const ada = await Participant.join(chromium, server.link, "Ada", { devices: true });
  const bo = await Participant.join(chromium, server.link, "Bo", { devices: true });
  await ada.decodesMore(["Bo/mic", "Bo/cam"]);

  const spy = await Participant.open(chromium, url(), "Spy");
  const { origin, pathname } = new URL(server.link);
  const room = pathname.split("/").at(-1) ?? "";
  const lock = { server: origin, room, secret: "A".repeat(43), access: rightAccess() };
  await spy.join({ ...lock, name: "Spy" }, { devices: true });

  await until("the spy has been sent frames", async () =>
    spy.page.evaluate(async () => {
      const counters = (await window.testCall?.counters()) ?? [];
      return counters.some(({ role, framesIn }) => role === "open" && framesIn > 100) || JSON.stringify(counters);
    }),
  );
  expect(await spy.opened()).toBe(0);
  expect(await spy.others()).toEqual([]);
  expect(await ada.others()).toEqual(["Bo"]);
  await bo.decodesMore(["Ada/mic", "Ada/cam"]);
  await Promise.all([ada, bo, spy].map((participant) => participant.leave()));
});

test("without its transform, a sender sends no packet", async () => {
  const ada = await Participant.join(chromium, server.link, "Ada", { devices: true });
  const bare = await Participant.open(chromium, url(), "Bare");
  // A browser that ignores the transform, as one did for transceivers that send and receive.
  await bare.page.evaluate(() => {
    Object.defineProperty(RTCRtpSender.prototype, "transform", { set() {}, get: () => null });
  });
  await bare.join({ link: server.link, name: "Bare" }, { devices: true });
  // Its receiving side works, so the connection is up and time enough has passed to send.
  await bare.decodesMore(["Ada/mic", "Ada/cam"], 10);
  expect(await bare.packetsSent()).toBe(0);
  await Promise.all([ada, bare].map((participant) => participant.leave()));
});

// Fail closed: no media is opened without the secret, and none is sent without encryption.

import { hkdfSync } from "node:crypto";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "./browser.ts";
import { Participant } from "./participant.ts";
import type {} from "./peers.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

declare global {
  interface Window {
    lastStats?: Promise<RTCStatsReport>[];
  }
}

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

/** The guest access of the right secret, which a dishonest server could give to anyone. Derived independently, by Node's HKDF. */
function rightGuestAccess(): number[] {
  const secret = Buffer.from(new URL(server.link).hash.slice(1), "base64url");
  return [...new Uint8Array(hkdfSync("sha512", secret, "e2ee-frames/1 invite", "access", 32))];
}

test("join with a wrong invite secret is refused", async () => {
  const stranger = await Participant.open(chromium, url(), "Stranger");
  const wrong = server.link.replace(/#.*/, `#${"A".repeat(43)}`);
  await expect(stranger.join({ link: wrong, name: "Stranger" }, {})).rejects.toThrow(/access|refused|link/i);
  await stranger.page.close();
});

test("a participant with a wrong invite secret decodes nothing and is not shown", async () => {
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const bo = await Participant.joinByPage(chromium, server.link, "Bo");
  await ada.decodesMore(["Bo/microphone", "Bo/camera"]);

  const spy = await Participant.open(chromium, url(), "Spy");
  const { origin, pathname } = new URL(server.link);
  const room = pathname.split("/").at(-1) ?? "";
  const target = { server: origin, room, secret: "A".repeat(43), guestAccess: rightGuestAccess() };
  await spy.join({ ...target, name: "Spy" }, { devices: true });

  await until("the spy receives frames", async () =>
    spy.page.evaluate(async () => {
      const counters = (await window.testCall?.counters()) ?? [];
      return counters.some(({ role, framesIn }) => role === "open" && framesIn > 100) || JSON.stringify(counters);
    }),
  );
  expect(await spy.opened()).toBe(0);
  expect(await spy.others()).toEqual([]);
  expect(await ada.others()).toEqual(["Bo"]);
  await bo.decodesMore(["Ada/microphone", "Ada/camera"]);
  await Promise.all([ada, bo, spy].map((participant) => participant.leave()));
});

test("a browser that ignores the transform sends no packets", async () => {
  const ada = await Participant.joinByPage(chromium, server.link, "Ada");
  const page = await Participant.page(chromium);
  await page.evaluateOnNewDocument(() => {
    Object.defineProperty(RTCRtpSender.prototype, "transform", { set() {}, get: () => null });
    const Original = RTCPeerConnection;
    window.peers = [];
    window.RTCPeerConnection = class extends Original {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        window.peers?.push(this);
      }
      // Keeps the final statistics of a connection, which are gone once it is closed.
      override close(): void {
        window.lastStats = [...(window.lastStats ?? []), this.getStats()];
        super.close();
      }
    };
  });
  await page.goto(server.link, { waitUntil: "load" });
  await page.locator("[data-testid=name]").fill("Bare");
  await page.locator("[data-testid=join]").click();

  // Receiving works for long enough that packets would have been sent, and the page shows a warning.
  await page.waitForFunction(async () => ((await window.tacet?.counters())?.framesOpened ?? 0) > 200);
  await page.waitForFunction(() =>
    /warning/i.test(document.querySelector("[data-testid=encryption]")?.textContent ?? ""),
  );
  const sent = await page.evaluate(async () => {
    const reports = await Promise.all([
      ...(window.lastStats ?? []),
      ...(window.peers ?? []).map((peer) => peer.getStats()),
    ]);
    const outbound = reports.flatMap((report) => [...report.values()]).filter(({ type }) => type === "outbound-rtp");
    return {
      peers: window.peers?.length,
      packets: outbound.reduce((sum, { packetsSent = 0 }) => sum + packetsSent, 0),
    };
  });
  expect(sent).toEqual({ peers: 1, packets: 0 });
  expect(await ada.page.evaluate(() => window.testCall?.tracks.length)).toBe(0);
  await ada.leave();
});

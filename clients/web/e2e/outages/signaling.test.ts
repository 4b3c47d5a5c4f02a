// Signaling alone is cut while media flows: nothing is heard of it, and nothing said.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { Participant } from "../participant.ts";
import { Server } from "../server.ts";
import { SignalingPath } from "../signaling-path.ts";
import { until } from "../until.ts";
import { CHAOS, last } from "./extent.ts";

/** Part of the samples that may be concealed. A gap of a second in five would be 0.2. */
const CONCEALED = 0.05;

let server: Server;
let path: SignalingPath;
let chromium: Browser;

beforeAll(async () => {
  server = await Server.start();
  path = await SignalingPath.to(server);
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await path?.stop();
  await server?.stop();
});

/** Audio samples that a page has played so far, and those of them that it had to make up. */
async function samples(page: Participant): Promise<{ all: number; concealed: number }> {
  return page.page.evaluate(async () => {
    const stats = [...((await window.testCall?.stats())?.values() ?? [])];
    const audio = stats.filter(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
    const sum = (member: string): number => audio.reduce((total, entry) => total + (entry[member] ?? 0), 0);
    return { all: sum("totalSamplesReceived"), concealed: sum("concealedSamples") - sum("silentConcealedSamples") };
  });
}

test.runIf(CHAOS)("a cut of signaling alone is not heard, seen or said", async () => {
  const ada = await Participant.joinByPage(chromium, path.link(server.link), "Ada");
  const bo = await Participant.joinByPage(chromium, server.link, "Bo");
  await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
  const ids = [await ada.id(), await bo.ids()];
  const history = await bo.history();
  const before = await Promise.all([samples(ada), samples(bo)]);

  path.cut();
  const end = performance.now() + 5_000;
  while (performance.now() < end) {
    for (const page of [ada, bo]) expect(await page.text()).not.toMatch(/Reconnecting|reconnecting|interrupted|Trying/);
    await last(0.1);
  }
  path.mend();

  const after = await Promise.all([samples(ada), samples(bo)]);
  for (const [index, now] of after.entries()) {
    const then = before[index] ?? now;
    expect((now.concealed - then.concealed) / (now.all - then.all)).toBeLessThan(CONCEALED);
  }

  // Signaling works again: what is said over it arrives.
  await ada.press("microphone");
  await until("Bo sees that Ada is muted", () =>
    bo.page.evaluate(() => document.querySelector("[data-kind=other]")?.getAttribute("data-muted") === "true"),
  );
  expect([await ada.id(), await bo.ids()]).toEqual(ids);
  expect(await bo.history()).toEqual(history);
  await Promise.all([ada.leave(), bo.leave()]);
});

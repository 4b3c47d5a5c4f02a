// What a camera costs the browser that sends it, by the largest of its sizes, while every size is received by someone.

import { readdirSync, readFileSync } from "node:fs";
import type { Browser } from "puppeteer-core";
import { test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { Server } from "./server.ts";
import { until } from "./until.ts";

const SIZES = [
  { width: 640, height: 360 },
  { width: 1280, height: 720 },
] as const;
const SECONDS = 8;
/** Clock ticks a second in /proc on Linux. */
const TICKS = 100;

/** Returns the processor time of a process and all that it started, in seconds. */
function processorTime(root: number): number {
  const children = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      // After the command, which may contain anything.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      children.set(Number(fields[1]), [...(children.get(Number(fields[1])) ?? []), Number(name)]);
      ticks.set(Number(name), Number(fields[11]) + Number(fields[12]));
    } catch {
      // It has ended.
    }
  }
  const sum = (pid: number): number =>
    (ticks.get(pid) ?? 0) + (children.get(pid) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(root) / TICKS;
}

/** Joins three times from one page, with a view of each size. */
async function joinViewers(viewers: Participant, link: string): Promise<void> {
  await viewers.page.evaluate(async (target) => {
    const sdk = window.tacetSdk;
    if (sdk === undefined) throw new Error("the page exposes no SDK");
    for (const shown of [180, 360, 720]) {
      const call = await sdk.Call.join({ link: target, name: `Viewer ${shown}`, viewedOnly: true });
      const view = ({ id, name }: { id: number; name: string }): void => {
        if (name === "Sender") call.view({ participant: id, source: "camera", shown });
      };
      call.participants.forEach(view);
      call.on("participantJoined", view);
      call.on("trackAdded", ({ track }) => {
        const tile = document.createElement("video");
        tile.muted = true;
        tile.autoplay = true;
        tile.srcObject = new MediaStream([track]);
        document.body.append(tile);
      });
    }
  }, link);
}

interface Encoding {
  readonly lines: number;
  readonly framesSent: number;
}

async function encodings(sender: Participant): Promise<Encoding[]> {
  return sender.page.evaluate(async () => {
    const stats = [...((await window.testCall?.stats())?.values() ?? [])];
    const sent = stats.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
    return sent
      .map(({ frameHeight = 0, framesSent = 0 }) => ({ lines: frameHeight, framesSent }))
      .sort((one, other) => one.lines - other.lines);
  });
}

test.each<[string, () => Promise<Browser>]>([
  ["Chromium", launchChromium],
  ["Firefox", launchFirefox],
])("%s", async (name, launch) => {
  const server = await Server.start();
  const other = await launchChromium();
  for (const size of SIZES) {
    const browser = await launch();
    const sender = await Participant.open(browser, new URL("/", server.link).href, "Sender");
    await sender.page.evaluate(
      async (link, constraints) => {
        if (window.tacetSdk === undefined) throw new Error("the page exposes no SDK");
        window.testCall = await window.tacetSdk.Call.join({ link, name: "Sender", video: constraints });
      },
      server.link,
      size,
    );
    const viewers = await Participant.open(other, new URL("/", server.link).href, "Viewers");
    await joinViewers(viewers, server.link);
    await until("every size is sent", async () => {
      const sent = (await encodings(sender)).filter(({ lines }) => lines > 0);
      return sent.length === (size.height === 720 ? 3 : 2) || JSON.stringify(sent);
    });
    const pid = browser.process()?.pid ?? 0;
    const [before, spent, start] = [await encodings(sender), processorTime(pid), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000));
    const seconds = (performance.now() - start) / 1_000;
    const cores = (processorTime(pid) - spent) / seconds;
    const after = await encodings(sender);
    const frames = after.flatMap(({ lines, framesSent }, index) => {
      const rate = (framesSent - (before[index]?.framesSent ?? 0)) / seconds;
      return lines === 0 ? [] : [`${lines} lines ${rate.toFixed(0)} fps`];
    });
    process.stdout.write(`${name}, camera of ${size.height} lines: ${cores.toFixed(2)} cores; ${frames.join(", ")}\n`);
    await browser.close();
    await viewers.page.browserContext().close();
  }
  await other.close();
  await server.stop();
});

// Two Chromium, a Firefox, a native client and twenty bots in one room, through networks that change at random.
//
// SOAK_MINUTES says how long (30), SOAK_SEED which networks (1). Fails if a track stalls for longer than two seconds that the
// network does not explain, or if the server's memory grows.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "../browser.ts";
import { joinWithCanvas } from "../canvas-camera.ts";
import { Native, tone } from "../native.ts";
import { Participant } from "../participant.ts";
import { Relay } from "../relay.ts";
import { binary, type Server, stop } from "../server.ts";
import { until } from "../until.ts";
import { type Stall, stalls, watchStalls } from "./stalls.ts";
import { explains, weather } from "./weather.ts";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 30);
const SEED = Number(process.env.SOAK_SEED ?? 1);
/** A stall is longer than this. */
const STALL_MS = 2_000;
/** Few, since several encoders and decoders share the machine. */
const FRAMES_PER_SECOND = 5;
/** Bots that speak, and bots that only listen. With the others, all microphones are heard. */
const [SPEAKING_BOTS, LISTENING_BOTS] = [4, 16];
/** How often memory is looked at. */
const LOOK_MS = 5_000;
/** Growth of the server's memory from the first third of a run to the last one that may be chance, in MB. */
const GROWTH_MB = 8;
/** Of shorter runs memory is printed only: caches and queues still fill. */
const LONG_MINUTES = 10;

let server: Server;
let relay: Relay;
let browsers: readonly Browser[] = [];
let folder: string;
let native: Native;
let bots: ChildProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tacet-soak-"));
  [server, relay] = await Relay.withServer(["--seed", String(SEED), "--delay", "20ms"]);
  browsers = await Promise.all([launchChromium(), launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await native?.stop();
  if (bots !== undefined) await stop(bots, "SIGINT");
  await Promise.all(browsers.map((browser) => browser.close()));
  await relay?.stop();
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** Memory of a process in megabytes. */
async function memory(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** Starts bots that stay for the whole run. */
async function startBots(seconds: number): Promise<ChildProcess> {
  const scenario = join(folder, "bots.toml");
  const counts = `publishers = ${SPEAKING_BOTS}\nsubscribers = ${LISTENING_BOTS}\ncanaries = 0\n`;
  await writeFile(scenario, `name = "bots"\n${counts}warmup = 1\nseconds = ${seconds}\n[audio]\ndtx = true\n`);
  const pin = server.fingerprint === undefined ? [] : ["--pin", server.fingerprint];
  const args = ["load", "--server", server.link, ...pin, "--scenario", scenario, "--quiet"];
  return spawn(binary(), args, { stdio: ["ignore", "ignore", "inherit"] });
}

test(`${MINUTES} minutes of bad networks`, async () => {
  const seconds = MINUTES * 60;
  const spells = weather(SEED, seconds);
  bots = await startBots(seconds + 300);
  const wav = join(folder, "tone.wav");
  await writeFile(wav, tone(440));
  native = Native.start(server, "--play", wav, "--loop");
  const names = ["Ada", "Bo", "Eve"];
  const pages = await Promise.all(
    browsers.map(async (browser, index) => {
      const page = await Participant.open(browser, new URL("/", server.link).href, names[index] ?? "");
      await joinWithCanvas(page, { link: server.link, videoCodec: "vp8" }, FRAMES_PER_SECOND, 500 + 100 * index);
      return page;
    }),
  );
  const everyone = names.length + 1 + SPEAKING_BOTS + LISTENING_BOTS;
  for (const page of pages) {
    await until(`${page.name} knows everyone`, async () => {
      const others = await page.others();
      return others.length === everyone - 1 || others.join();
    });
    const others = [...names, "Native"].filter((name) => name !== page.name);
    await watchStalls(page, others, STALL_MS);
    await page.hears(...others);
    await page.decodesMore(others.filter((name) => name !== "Native").map((name) => `${name}/camera`));
  }

  print(`seed ${SEED}, ${MINUTES} min, ${everyone} participants`);
  const start = Date.now();
  const rss: number[] = [];
  for (const { from, to, settings, harsh } of spells) {
    print(`${from.toFixed(0).padStart(5)} s  ${settings}${harsh ? " (harsh)" : ""}`);
    await relay.set(settings);
    while (Date.now() < start + 1_000 * to) {
      rss.push(await memory(server.pid));
      await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, start + 1_000 * to - Date.now())));
    }
  }
  // What has stalled until now ends before the pages are asked.
  for (const page of pages)
    await page.decodesMore(names.filter((name) => name !== page.name).map((n) => `${n}/camera`));

  const seen = (
    await Promise.all(pages.map(async (page) => (await stalls(page)).map((stall) => ({ page, stall }))))
  ).flat();
  const at = (time: number): number => (time - start) / 1_000;
  const unexplained: string[] = [];
  for (const { page, stall } of seen) {
    const { track, from, to }: Stall = stall;
    const explained = explains(spells, at(from), at(to));
    const line = `${page.name}: ${track} stalled from ${at(from).toFixed(1)} to ${at(to).toFixed(1)} s`;
    print(`${line}${explained ? ", which the network explains" : ""}`);
    if (!explained) unexplained.push(line);
  }
  const third = Math.ceil(rss.length / 3);
  const [first, last] = [mean(rss.slice(0, third)), mean(rss.slice(-third))];
  print(`stalls over ${STALL_MS / 1_000} s: ${seen.length}, not explained by the network: ${unexplained.length}`);
  print(`memory of the server: ${first.toFixed(1)} MB in the first third, ${last.toFixed(1)} MB in the last one`);
  expect(native.running && bots.exitCode === null, "native client and bots are there to the end").toBe(true);
  for (const page of pages) expect((await page.others()).length, `${page.name} sees everyone`).toBe(everyone - 1);
  expect(unexplained).toEqual([]);
  if (MINUTES >= LONG_MINUTES) expect(last - first).toBeLessThan(GROWTH_MB);
  await Promise.all(pages.map((page) => page.leave()));
});

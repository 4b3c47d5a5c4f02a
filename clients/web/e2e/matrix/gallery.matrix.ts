// A gallery of 200 cameras in Chromium, 49 at a time: how long each tile is black after a change of page. The cameras are those
// of bots, whose frames decoders accept; one that no one shows stops, so most of a page have to start again.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { Participant } from "../participant.ts";
import { binary, Server, stop } from "../server.ts";
import { until } from "../until.ts";

const CAMERAS = 200;
const TILES = 49;
/** Longest time from the change of page to the first frame of a tile. */
const BLACK_MS = 500;
/** Much longer than any page takes, so that only a camera that never comes reaches it. */
const SHOWN_MS = 30_000;
/** After this a camera that no one shows has stopped. */
const STOPPED_MS = 7_000;
/** First camera of each page that is shown: pages without common cameras, one with 30 of the page before, and the first again. */
const PAGES = [0, 49, 98, 117, 0] as const;

const BOTS = `name = "gallery"
publishers = ${CAMERAS}
subscribers = 1
canaries = 0
light = true
warmup = 1
seconds = 300

[video]
frames_per_second = 10
kilobits_per_second = 800
key_frame_every_s = 0
layers = "simulcast"

[tiles]
layouts = [[180]]
page = 1
change_every_s = 300
`;

/** What was seen of a page. */
interface PageChange {
  /** Tiles whose camera has changed: milliseconds until the first frame, in ascending order. */
  readonly black: number[];
  /** Longest time without a frame of a tile whose camera stayed. */
  readonly gap: number;
}

declare global {
  interface Window {
    /** Shows these participants, one in each tile, and returns what was seen once each tile has had frames. */
    galleryShow?: (participants: number[]) => Promise<PageChange>;
  }
}

let server: Server;
let chromium: Browser;
let bots: ChildProcess;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tacet-gallery-"));
  const room = ["--participants", String(CAMERAS + 10), "--exempt", "10.99.0.0/24"];
  [server, chromium] = await Promise.all([Server.start({ more: room }), launchChromium()]);
});

afterAll(async () => {
  if (bots !== undefined) await stop(bots, "SIGINT");
  await chromium?.close();
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** Starts the cameras. */
async function startBots(): Promise<ChildProcess> {
  const scenario = join(folder, "gallery.toml");
  await writeFile(scenario, BOTS);
  const pin = server.fingerprint === undefined ? [] : ["--pin", server.fingerprint];
  const args = ["load", "--server", server.link, ...pin, "--scenario", scenario, "--quiet"];
  return spawn(binary(), args, { stdio: ["ignore", "ignore", "inherit"] });
}

/** Joins, and prepares the tiles. */
async function prepare(viewer: Participant): Promise<void> {
  await viewer.page.evaluate(
    async (link, tiles, limit) => {
      if (window.tacetSdk === undefined) throw new Error("no SDK");
      const call = await window.tacetSdk.Call.join({ link, name: "Viewer", viewedOnly: true });
      window.testCall = call;
      const grid = document.createElement("div");
      grid.style.cssText = "display:grid;grid-template-columns:repeat(7,1fr);position:fixed;inset:0;z-index:9";
      document.body.append(grid);

      interface Shown {
        readonly element: HTMLVideoElement;
        participant: number | null;
        changedAt: number;
        frames: number[];
        view: { close(): void } | null;
      }
      const shown = Array.from({ length: tiles }, (): Shown => {
        const element = document.createElement("video");
        [element.muted, element.autoplay, element.style.width] = [true, true, "100%"];
        grid.append(element);
        const tile: Shown = { element, participant: null, changedAt: 0, frames: [], view: null };
        const note = (): void => {
          if (element.srcObject !== null) tile.frames.push(performance.now());
          element.requestVideoFrameCallback(note);
        };
        element.requestVideoFrameCallback(note);
        return tile;
      });
      const play = (tile: Shown): void => {
        const track = call.tracks.find(
          ({ participant, source }) => participant === tile.participant && source === "camera",
        );
        tile.element.srcObject = track === undefined ? null : new MediaStream([track.track]);
      };
      call.on("trackAdded", ({ participant }) => {
        for (const tile of shown) if (tile.participant === participant) play(tile);
      });

      window.galleryShow = async (participants) => {
        const wanted = new Set(participants);
        const kept = shown.filter(({ participant }) => participant !== null && wanted.has(participant));
        for (const { participant } of kept) wanted.delete(participant ?? -1);
        const changing = shown.filter((tile) => !kept.includes(tile));
        const before = changing.map(({ view }) => view);
        const now = performance.now();
        for (const tile of shown) tile.frames = kept.includes(tile) ? tile.frames.slice(-1) : [];
        for (const [index, participant] of [...wanted].entries()) {
          const tile = changing[index];
          if (tile === undefined) throw new Error("more participants than tiles");
          tile.participant = participant;
          tile.view = call.view({ participant, source: "camera", shown: 180 });
          play(tile);
        }
        for (const view of before) view?.close();
        const isShown = ({ frames }: Shown): boolean => frames.length >= 5;
        while (!shown.every(isShown) && performance.now() < now + limit) {
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        const missing = shown
          .filter((tile) => !isShown(tile))
          .map(({ participant, frames, element }) => {
            const layer = participant === null ? null : call.layer(participant, "camera");
            return { participant, frames: frames.length, track: element.srcObject !== null, layer };
          });
        if (missing.length > 0) throw new Error(`tiles without video: ${JSON.stringify(missing)}`);
        const black = changing
          .map(({ frames }) => Math.round((frames[0] ?? 0) - now))
          .sort((one, other) => one - other);
        const gaps = kept.flatMap(({ frames }) => frames.slice(1).map((at, index) => at - (frames[index] ?? at)));
        return { black, gap: Math.round(Math.max(0, ...gaps)) };
      };
    },
    server.link,
    TILES,
    SHOWN_MS,
  );
}

/** Waits until all cameras are on the viewer's roster, and returns their participants. */
async function cameras(viewer: Participant): Promise<number[]> {
  let ids: number[] = [];
  await until("every camera is known", async () => {
    ids = await viewer.page.evaluate(() => {
      const call = window.testCall;
      return (call?.participants ?? []).map(({ id }) => id).filter((id) => call?.isMuted(id, "camera") === false);
    });
    return ids.length === CAMERAS || `${ids.length}`;
  });
  return ids;
}

const at = (sorted: readonly number[], part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0;

test("no tile is black for long after a change of page", async () => {
  const viewer = await Participant.open(chromium, new URL("/", server.link).href, "Viewer");
  await prepare(viewer);
  bots = await startBots();
  const everyone = await cameras(viewer);
  process.stdout.write("cameras    changed  median ms  p95 ms  max ms  gap of the others ms\n");
  for (const [step, first] of PAGES.entries()) {
    const page = everyone.slice(first, first + TILES);
    const seen = await viewer.page.evaluate((participants) => window.galleryShow?.(participants), page);
    if (seen === undefined) throw new Error("there is no gallery");
    const { black, gap } = seen;
    const figures = [black.length, at(black, 0.5), at(black, 0.95), at(black, 1), gap];
    const columns = [9, 11, 8, 8, 22].map((width, index) => String(figures[index]).padStart(width));
    process.stdout.write(`${`${first + 1}–${first + TILES}`.padEnd(9)}${columns.join("")}\n`);
    // The first page waits for the bots.
    if (step > 0) expect.soft(at(black, 1), `cameras from ${first + 1}: longest black`).toBeLessThanOrEqual(BLACK_MS);
    await viewer.page.evaluate((time) => new Promise((resolve) => setTimeout(resolve, time)), STOPPED_MS);
  }
  expect(await viewer.openFailures()).toEqual({});
  expect(await viewer.problems()).toEqual([]);
  await viewer.leave();
});

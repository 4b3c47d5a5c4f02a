// Records the RTP headers, with their Dependency Descriptors, that browsers send for sealed video in several encodings and
// layers, for the tests of the server: sfu/rtp-wire/tests/recorded. Each recording starts at a key frame, with all layers
// flowing.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { HeaderTap, hasStructure, type TappedHeader } from "./header-tap.ts";
import type { Encoding, Recording } from "./pages/recorder.ts";
import { Pages } from "./pages.ts";
import { RELAY_ADDRESS } from "./relay.ts";
import { ADDRESS } from "./server.ts";
import { until } from "./until.ts";

const FOLDER = join(import.meta.dirname, "../../../sfu/rtp-wire/tests/recorded");
/** Number of frames of each encoding: five periods of four frames. */
const FRAMES = 20;
/** The source becomes smaller for a key frame, so that no layer lacks bandwidth. */
const [BEFORE, AFTER] = [
  { width: 1280, height: 720 },
  { width: 960, height: 544 },
];

type Codec = Recording["codec"];

/** The encodings of a camera. */
function rids(scalabilityMode?: string): Encoding[] {
  const layers = [
    { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
    { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
  ];
  return layers.map((layer) => ({ ...layer, ...(scalabilityMode === undefined ? {} : { scalabilityMode }) }));
}

/** One encoding with layers. */
const layered = (scalabilityMode: string): Encoding[] => [{ scalabilityMode, maxBitrate: 2_500_000 }];

let pages: Pages;
beforeAll(async () => {
  pages = await Pages.serve();
  await mkdir(FOLDER, { recursive: true });
});
afterAll(() => pages?.stop());

const SVC = ["L3T3_KEY", "L3T3", "L1T3"];
const CHROMIUM: [Codec, string, Encoding[]][] = [
  ...(["vp8", "h264", "vp9", "av1"] as const).map((codec): [Codec, string, Encoding[]] => [
    codec,
    "rids",
    rids("L1T3"),
  ]),
  ...(["vp9", "av1"] as const).flatMap((codec) =>
    SVC.map((mode): [Codec, string, Encoding[]] => [codec, mode.toLowerCase(), layered(mode)]),
  ),
];
const FIREFOX = (["vp8", "vp9", "av1"] as const).map((codec): [Codec, string, Encoding[]] => [codec, "rids", rids()]);

test.each(CHROMIUM)("Chromium %s %s", (codec, mode, encodings) => record(launchChromium, codec, mode, encodings));
test.each(FIREFOX)("Firefox %s %s", (codec, mode, encodings) => record(launchFirefox, codec, mode, encodings));

async function record(
  launch: () => Promise<Browser>,
  codec: Codec,
  mode: string,
  encodings: Encoding[],
): Promise<void> {
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto(pages.url("recorder.html"), { waitUntil: "load" });
  const port = await page.evaluate(async () => window.startRecorder?.());
  if (port === undefined) throw new Error("no recorder");
  const tap = await HeaderTap.open(RELAY_ADDRESS, { ip: ADDRESS, port });
  try {
    const retransmissions = launch !== launchFirefox;
    const recording: Recording = { codec, encodings, ...BEFORE, framesPerSecond: 10, retransmissions };
    await page.evaluate((path, what) => window.recorder?.send(path, what), tap.address, recording);
    await until("every layer is sent", async () => {
      const sent = (await page.evaluate(() => window.recorder?.sent())) ?? [];
      const whole = encodings.length > 1 || sent.some(({ height }) => height === BEFORE.height);
      return (
        (whole && sent.length === encodings.length && sent.every(({ frames }) => frames > 0)) || JSON.stringify(sent)
      );
    });
    const start = tap.headers.length;
    await page.evaluate((size) => window.recorder?.resize(size.width, size.height), AFTER);
    let taken: TappedHeader[] = [];
    await until("every encoding sent a key frame and more", async () => {
      taken = recordingOf(tap.headers.slice(start));
      const frames = framesOf(taken);
      return (
        (frames.size === encodings.length && [...frames.values()].every((count) => count >= FRAMES)) ||
        `${[...frames.values()]}`
      );
    });
    const [name, version] = (await browser.version()).split(/[/ ]/);
    const title = `# ${name} ${version}: ${codec} ${mode}, ${AFTER.width}x${AFTER.height}; ms, payload bytes, header`;
    const lines = taken.map(({ at, payloadBytes, header }) => `${at} ${payloadBytes} ${header.toString("hex")}`);
    const file = `${browserName(name)}-${codec}-${mode}.txt`;
    await writeFile(join(FOLDER, file), `${[title, ...lines].join("\n")}\n`);
  } finally {
    tap.close();
    await browser.close();
  }
}

function browserName(name = ""): string {
  return /firefox/i.test(name) ? "firefox" : "chromium";
}

/** Media from the key frame on, up to the last packet of the last frame that is wanted of any encoding. */
function recordingOf(headers: readonly TappedHeader[]): TappedHeader[] {
  const media = headers.filter((one) => one.payloadType % 2 === 0 && !isPadding(one));
  const first = media.findIndex(hasStructure);
  const [taken, frames] = [[] as TappedHeader[], new Map<number, number>()];
  for (const one of first < 0 ? [] : media.slice(first)) {
    const count = frames.get(one.ssrc) ?? 0;
    if (count >= FRAMES) continue;
    taken.push(one);
    if ((one.header.readUInt8(1) & 0x80) !== 0) frames.set(one.ssrc, count + 1);
  }
  return taken;
}

function isPadding({ header }: TappedHeader): boolean {
  return (header.readUInt8(0) & 0x20) !== 0;
}

/** By SSRC: the number of frames, or of instants with layers, that are whole. */
function framesOf(headers: readonly TappedHeader[]): Map<number, number> {
  const frames = new Map<number, number>();
  for (const { ssrc, header } of headers) {
    frames.set(ssrc, (frames.get(ssrc) ?? 0) + ((header.readUInt8(1) & 0x80) === 0 ? 0 : 1));
  }
  return frames;
}

// Seals and opens frames in both browsers, by the wasm module and by WebCrypto. Prints the times, and the frame size
// from which WebCrypto is faster.

import type { Browser } from "puppeteer-core";
import { test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import type { Row } from "./pages/bench-worker.ts";
import { Pages } from "./pages.ts";

type Operation = "seal" | "open";

/** Returns the size from which WebCrypto is faster, interpolated between the measured sizes. */
function crossover(rows: readonly Row[], operation: Operation): string {
  const gains = rows.map((row) => ({ bytes: row.bytes, gain: row[operation].wasm - row[operation].webCrypto }));
  const last = gains.findLastIndex(({ gain }) => gain <= 0);
  const [below, above] = [gains[last], gains[last + 1]];
  if (above === undefined) return "never";
  if (below === undefined) return `below ${above.bytes} B`;
  const at = below.bytes + ((above.bytes - below.bytes) * -below.gain) / (above.gain - below.gain);
  return `${Math.round(at / 10) * 10} B`;
}

function table(name: string, rows: readonly Row[]): string {
  const line = (...cells: readonly string[]): string => cells.map((cell) => cell.padStart(15)).join("");
  const number = (microseconds: number): string => microseconds.toFixed(1);
  return [
    `${name}, microseconds a frame (medians)`,
    line("bytes", "seal wasm", "seal WebCrypto", "open wasm", "open WebCrypto"),
    ...rows.map(({ bytes, seal, open }) =>
      line(`${bytes}`, number(seal.wasm), number(seal.webCrypto), number(open.wasm), number(open.webCrypto)),
    ),
    `WebCrypto is faster from: sealing ${crossover(rows, "seal")}, opening ${crossover(rows, "open")}`,
    "",
    "",
  ].join("\n");
}

test.each<[string, () => Promise<Browser>]>([
  ["Chromium", launchChromium],
  ["Firefox", launchFirefox],
])("%s", async (name, launch) => {
  const pages = await Pages.serve();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(pages.url("bench.html"), { waitUntil: "load" });
    const rows = await page.evaluate(() => window.benchFrames?.());
    const version = (await browser.version()).replace("/", " ");
    process.stdout.write(table(`${name} (${version})`, rows ?? []));
  } finally {
    await browser.close();
    await pages.stop();
  }
});

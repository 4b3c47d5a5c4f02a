// The switches of a row, what they may cost, and the table that says what they did.

import { expect } from "vitest";
import { LINES, type Measured, type Pair, type Row } from "./row.ts";

/** Longest time from a change of the tile to a frame of its size. */
const SWITCH_MS = 1_500;
/** How much longer than in the control no frame may come. */
const FREEZE_MS = 300;
/** Part of the forwarded frames that may be missing from the decoded ones, beside one that is being decoded at each end. */
const UNDECODED = 0.02;

/** Requests for key frames: one for the size, and in VP8 perhaps another for the full frame rate of it. */
const REQUESTS = 2;

/** What a row measured. */
export type Results = readonly (readonly [name: string, measured: Measured])[];

/** Switches between all sizes and back, with controls before, and, with several encodings, after the largest one ended. */
export async function switches(pair: Pair, { sizes }: Row, all: boolean): Promise<Results> {
  const results: [string, Measured][] = [["control", await pair.control(LINES.large)]];
  results.push(["720 → 180", await pair.measure(LINES.small)]);
  if (all) results.push(["180 → 360", await pair.measure(LINES.middle)]);
  results.push([all ? "360 → 720" : "180 → 720", await pair.measure(LINES.large)]);
  if (!all || sizes !== "RIDs") return results;
  results.push(["720 → 180", await pair.measure(LINES.small)]);
  await pair.unwantedEnds();
  results.push(["180 → 720, sent again", await pair.measure(LINES.large)]);
  return results;
}

/**
 * What holds for every switch. Of the key frames, those that were requested count: each makes one of all encodings, so the
 * receiver may decode that of the old size and that of the new one, and encoders add their own when encodings begin.
 */
export function assertSmooth(results: Results): void {
  const controlGap = results.find(([name]) => name === "control")?.[1].gapMs ?? 0;
  for (const [name, { tookMs, gapMs, nacks, requests, changes, decoded, received }] of results) {
    expect.soft(tookMs, `${name}: time to the first frame`).toBeLessThan(SWITCH_MS);
    expect.soft(gapMs, `${name}: longest time without a frame`).toBeLessThanOrEqual(controlGap + FREEZE_MS);
    expect.soft(nacks, `${name}: NACKs`).toBe(0);
    expect
      .soft(requests, `${name}: requests for key frames`)
      .toBeLessThanOrEqual(changes + (name === "control" ? 0 : REQUESTS));
    expect
      .soft(Math.abs(received - decoded), `${name}: frames not decoded`)
      .toBeLessThanOrEqual(2 + UNDECODED * received);
  }
}

const COLUMNS = [6, 9, 9, 9, 22, 8, 8, 6, 5, 9, 8, 10] as const;

function line(cells: readonly (string | number)[]): string {
  return `${cells
    .map((cell, index) => String(cell).padEnd(COLUMNS[index] ?? 0))
    .join(" ")
    .trimEnd()}\n`;
}

/** Names of the columns. */
export function heading(): string {
  return line([
    "codec",
    "sizes",
    "from",
    "to",
    "switch",
    "took ms",
    "gap ms",
    "NACKs",
    "keys",
    "requests",
    "changes",
    "decoded/received",
  ]);
}

/** The lines of a row. */
export function table({ codec, sizes, sender, receiver }: Row, results: Results | "lacks"): string {
  const cells = [codec, sizes, sender, receiver];
  if (results === "lacks") return line([...cells, "not in this browser"]);
  return results
    .map(([name, { tookMs, gapMs, nacks, keyFrames, requests, changes, decoded, received }]) =>
      line([...cells, name, tookMs, gapMs, nacks, keyFrames, requests, changes, `${decoded}/${received}`]),
    )
    .join("");
}

// The switches of a row, what they may cost, and the table that says what they did.

import { expect } from "vitest";
import { LINES, type Measured, type Pair, type Row } from "./row.ts";
import { type Fall, REST } from "./sent.ts";

/** What a switch may cost. */
interface Bars {
  /** Longest time from the change of the tile to what was waited for. */
  readonly tookMs: number;
  /** How much longer than in the control no frame may come. */
  readonly freezeMs: number;
  /** Requests for key frames, beside one that the sender's own changes of its encodings make. */
  readonly requests: number;
}

const CONTROL: Bars = { tookMs: 0, freezeMs: 0, requests: 0 };
const SWITCH: Bars = { tookMs: 1_500, freezeMs: 300, requests: 1 };
/** What no one shows ends later, lest it be missed soon. */
const UNWANTED: Bars = { ...SWITCH, tookMs: 7_000 };
/** An encoding without packets counts as ended after 1.5 s, in which nothing can be shown. */
const ENDED: Bars = { ...SWITCH, tookMs: 2_000, freezeMs: 2_000 };
/** Part of the forwarded frames that may be missing from the decoded ones, beside one that is being decoded at each end. */
const UNDECODED = 0.02;

/** A switch, or the control. */
interface Switch {
  readonly name: string;
  readonly bars: Bars;
  readonly measured: Measured;
}

/** What a row measured. */
export type Results = readonly Switch[];

/**
 * Switches between all sizes and back, with a control before. In a whole row the largest size is also wished for by no one, if
 * it has an encoding, and ended by the encoder at last.
 */
export async function switches(pair: Pair, { sizes }: Row, whole: boolean): Promise<Results> {
  const results: Switch[] = [];
  const add = async (name: string, measuring: Promise<Measured>, bars = SWITCH): Promise<void> => {
    results.push({ name, bars, measured: await measuring });
  };
  await add("control", pair.control(LINES.large), CONTROL);
  await add("720 → 180", pair.measure(LINES.small));
  if (whole) await add("180 → 360", pair.measure(LINES.middle));
  await add(whole ? "360 → 720" : "180 → 720", pair.measure(LINES.large));
  if (!whole) return results;
  if (sizes === "RIDs") {
    await add("720 shown by no one", pair.unwanted(), UNWANTED);
    await add("180 → 720, sent again", pair.measure(LINES.large));
  }
  await add(ENDS, pair.withoutLargest(), ENDED);
  return results;
}

const ENDS = "720 ends at the sender";

/**
 * What holds for every switch. Of the key frames, those that were requested count: each makes one of all encodings, so the
 * receiver may decode that of the old size and that of the new one, and encoders add their own when encodings begin.
 */
export function assertSmooth(results: Results): void {
  const controlGap = results.find(({ bars }) => bars === CONTROL)?.measured.gapMs ?? 0;
  for (const { name, bars, measured } of results) {
    const { tookMs, gapMs, nacks, requests, changes, decoded, received, reason, fell } = measured;
    expect.soft(tookMs, `${name}: time to what was waited for`).toBeLessThanOrEqual(bars.tookMs);
    expect.soft(gapMs, `${name}: longest time without a frame`).toBeLessThanOrEqual(controlGap + bars.freezeMs);
    expect.soft(nacks, `${name}: NACKs`).toBe(0);
    expect.soft(requests, `${name}: requests for key frames`).toBeLessThanOrEqual(changes + bars.requests);
    expect
      .soft(Math.abs(received - decoded), `${name}: frames not decoded`)
      .toBeLessThanOrEqual(2 + UNDECODED * received);
    if (bars === ENDED) expect.soft(reason, `${name}: reason of the layer`).toBe("sender");
    if (fell === undefined) continue;
    const { before, after } = fell;
    expect.soft(before.all - after.all, `${name}: kb/s less`).toBeGreaterThanOrEqual((1 - REST) * before.largest);
  }
}

const COLUMNS = [6, 9, 9, 9, 22, 8, 8, 6, 5, 9, 8, 17, 8] as const;

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
    "reason",
  ]);
}

/** The lines of a row. */
export function table({ codec, sizes, sender, receiver }: Row, results: Results | "lacks"): string {
  const cells = [codec, sizes, sender, receiver];
  if (results === "lacks") return line([...cells, "not in this browser"]);
  return results
    .map(({ name, measured }) => {
      const { tookMs, gapMs, nacks, keyFrames, requests, changes, decoded, received, reason = "" } = measured;
      const figures = [tookMs, gapMs, nacks, keyFrames, requests, changes, `${decoded}/${received}`, reason];
      return line([...cells, name, ...figures]) + rates(measured.fell);
    })
    .join("");
}

/** What the sender sent of its largest encoding, and of all. */
function rates(fell: Fall | undefined): string {
  if (fell === undefined) return "";
  const { before, after } = fell;
  return `       the largest encoding: ${before.largest} → ${after.largest} kb/s; all: ${before.all} → ${after.all} kb/s\n`;
}

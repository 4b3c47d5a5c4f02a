// Rows of the browser matrix: encodings of VP8, and spatial layers of VP9. All are in `make layers`.

import { beforeAll, expect, test } from "vitest";
import { BY_WISH, Pair, type Row } from "./matrix/row.ts";
import { assertSmooth, heading, switches, table } from "./matrix/switches.ts";
import { Scene } from "./scene.ts";

const scene = Scene.forThisFile(BY_WISH);

const ROWS: readonly Row[] = [
  { codec: "vp8", sizes: "RIDs", sender: "Chromium", receiver: "Firefox" },
  { codec: "vp9", sizes: "L3T3_KEY", sender: "Chromium", receiver: "Firefox" },
];

beforeAll(() => void process.stdout.write(heading()));

test.each(ROWS)("a size change in $codec $sizes is smooth from $sender to $receiver", async (row) => {
  const pair = await Pair.join((name) => scene.browser(name), scene.server.link, row);
  const results = await switches(pair, row, false);
  process.stdout.write(table(row, results));
  assertSmooth(results);
  expect(await pair.openFailures()).toEqual({});
  await pair.leave();
});

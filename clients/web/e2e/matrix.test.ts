// The row of the browser matrix that no other test covers: spatial layers of VP9. All are in `make layers`.

import { expect, test } from "vitest";
import { Pair, type Row } from "./matrix/row.ts";
import { assertSmooth, switches, table } from "./matrix/switches.ts";
import { Scene } from "./scene.ts";

const scene = Scene.forThisFile();

test("a size change in spatial layers of VP9 is smooth from Chromium to Firefox", async () => {
  const row: Row = { codec: "vp9", sizes: "L3T3_KEY", sender: "Chromium", receiver: "Firefox" };
  const pair = await Pair.join((name) => scene.browser(name), scene.server.link, row);
  const results = await switches(pair, row, false);
  process.stdout.write(table(row, results));
  assertSmooth(results);
  expect(await pair.openFailures()).toEqual({});
  await pair.leave();
});

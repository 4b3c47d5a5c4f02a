// Every codec and way of sending sizes, from and to every browser: `make layers` prints the table.

import { beforeAll, expect, test } from "vitest";
import { Scene } from "../scene.ts";
import { until } from "../until.ts";
import { type BrowserName, BY_WISH, handles, LINES, Pair, type Row } from "./row.ts";
import { assertSmooth, heading, switches, table } from "./switches.ts";

const scene = Scene.forThisFile(BY_WISH);

const SENT: readonly Pick<Row, "codec" | "sizes">[] = [
  { codec: "vp8", sizes: "RIDs" },
  { codec: "h264", sizes: "RIDs" },
  { codec: "vp9", sizes: "RIDs" },
  { codec: "av1", sizes: "RIDs" },
  { codec: "vp9", sizes: "L3T3_KEY" },
  { codec: "av1", sizes: "L3T3_KEY" },
];
const BROWSERS: readonly BrowserName[] = ["Chromium", "Firefox"];

const rows = SENT.flatMap((sent) =>
  BROWSERS.flatMap((sender) => BROWSERS.map((receiver): Row => ({ ...sent, sender, receiver }))),
);

/** Debian's Firefox has no H.264, and no Firefox sends spatial layers. */
const lacksH264 = ({ codec, sender, receiver }: Row): boolean =>
  codec === "h264" && (sender === "Firefox" || receiver === "Firefox");
const lacksLayers = ({ sizes, sender }: Row): boolean => sizes === "L3T3_KEY" && sender === "Firefox";
/** Firefox sends the smallest size in every encoding of VP9, whatever its descriptors say. */
const lacksSizes = ({ codec, sender }: Row): boolean => codec === "vp9" && sender === "Firefox";
const named = (row: Row): [string, Row] => [`${row.codec} ${row.sizes} ${row.sender} → ${row.receiver}`, row];

beforeAll(() => void process.stdout.write(heading()));

test.each(rows.filter((row) => !lacksH264(row) && !lacksLayers(row) && !lacksSizes(row)).map(named))(
  "%s",
  async (_, row) => {
    const pair = await Pair.join((name) => scene.browser(name), scene.server.link, row);
    try {
      const results = await switches(pair, row, true);
      process.stdout.write(table(row, results));
      assertSmooth(results);
      expect(await pair.openFailures()).toEqual({});
    } finally {
      await pair.leave();
    }
  },
);

test.each(rows.filter(lacksH264).map(named))("%s: a browser has no H.264", async (_, row) => {
  const [sends, receives] = [
    await handles(scene.browser(row.sender), "send", "h264"),
    await handles(scene.browser(row.receiver), "receive", "h264"),
  ];
  expect(sends && receives).toBe(false);
  process.stdout.write(table(row, "lacks"));
});

/** The SDK asks for spatial layers, and sends encodings instead. */
test.each(rows.filter(lacksLayers).map(named))("%s: the sender has no spatial layers", async (_, row) => {
  const pair = await Pair.join((name) => scene.browser(name), scene.server.link, row, LINES.small);
  try {
    const encodings = await pair.encodings();
    expect(encodings.map(({ rid }) => rid)).toEqual(["q", "h", "f"]);
    expect(encodings.map(({ mode }) => mode)).toEqual([undefined, undefined, undefined]);
    process.stdout.write(table(row, "lacks"));
  } finally {
    await pair.leave();
  }
});

test.each(rows.filter((row) => lacksSizes(row) && !lacksLayers(row)).map(named))(
  "%s: all sizes are the same",
  async (_, row) => {
    const pair = await Pair.join((name) => scene.browser(name), scene.server.link, row, LINES.small);
    try {
      await pair.show(LINES.large);
      await until("every encoding is sent", async () => {
        const heights = (await pair.encodings()).map(({ height }) => height);
        return (heights.length === 3 && heights.every((height) => height > 0)) || `${heights}`;
      });
      expect((await pair.encodings()).map(({ height }) => height)).toEqual([LINES.small, LINES.small, LINES.small]);
      process.stdout.write(table(row, "lacks"));
    } finally {
      await pair.leave();
    }
  },
);

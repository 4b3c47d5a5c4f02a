import { expect, test } from "vitest";
import {
  clockSentence,
  downlinkNote,
  duration,
  isolated,
  layerNote,
  missingNote,
  movementSentence,
  problemSentence,
  protectionSentence,
} from "../src/page/words.ts";

test("the badge covers only people whose frames can come", () => {
  expect(protectionSentence({ here: 2, away: 0, silent: 0 })).toBe("End-to-end encrypted");
  expect(protectionSentence({ here: 2, away: 1, silent: 0 })).toBe("2 people protected, 1 reconnecting");
  expect(protectionSentence({ here: 0, away: 1, silent: 0 })).toBe("1 reconnecting");
  expect(protectionSentence({ here: 1, away: 1, silent: 1 })).toBe(
    "1 person protected, 1 reconnecting, 1 not arriving",
  );
});

test("a tile says what is missing, and nothing else while its person is away", () => {
  expect(missingNote({ away: false, video: false, audio: false })).toBeNull();
  expect(missingNote({ away: true, video: true, audio: true })).toBe("Reconnecting");
  expect(missingNote({ away: false, video: true, audio: false })).toBe("Video stopped");
  expect(missingNote({ away: false, video: false, audio: true })).toBe("No audio arrives");
});

test("a wrong clock is named with its direction and by how much", () => {
  expect(clockSentence(1_500)).toBeNull();
  expect(clockSentence(20 * 60_000)).toMatch(/20 minutes fast/);
  expect(clockSentence(-61 * 60_000)).toMatch(/1 hour 1 minute slow/);
});

test("durations are said in their largest units", () => {
  expect([400, 42_000, 61_000, 59 * 60_000, 3_600_000, 5_460_000].map(duration)).toEqual([
    "1 second",
    "42 seconds",
    "1 minute",
    "59 minutes",
    "1 hour",
    "1 hour 31 minutes",
  ]);
});

test("joins and leaves at the same time are one sentence, with the names isolated from it", () => {
  expect(movementSentence("joined", ["Bo"])).toBe(`${isolated("Bo")} joined`);
  expect(movementSentence("left", ["Bo", "Cy", "Di"])).toBe(
    `${isolated("Bo")}, ${isolated("Cy")}, and ${isolated("Di")} left`,
  );
  expect(movementSentence("left", ["Bo", "Cy", "Di", "Ed"])).toBe("4 people left");
});

test("a problem names the person concerned, and its cause", () => {
  expect(problemSentence({ code: "equivocation", participant: 3 }, "Bo")).toContain(`of ${isolated("Bo")} sent`);
  expect(problemSentence({ code: "keys-refused", participant: 3 }, undefined)).toContain("Keys of someone");
  expect(problemSentence({ code: "clock-skew", participant: null, minutes: 20 }, undefined)).toMatch(/20 minutes fast/);
});

test("a tile says why the server sends none of its video", () => {
  const all = { away: false, video: false, audio: false };
  expect(missingNote({ ...all, paused: "bandwidth" })).toBe("Video paused: low bandwidth");
  expect(missingNote({ ...all, paused: "network" })).toBe("Video paused: your network is slow");
  expect(missingNote({ ...all, paused: "server" })).toBe("Video paused: the server is busy");
  expect(missingNote({ ...all, paused: "sender" })).toBe("Video stopped");
  expect(missingNote({ ...all, paused: "bandwidth", away: true })).toBe("Reconnecting");
  expect(missingNote({ ...all, leftOut: true })).toBe("Video not shown: too many at once");
});

test("what the path carries, in a few letters", () => {
  const downlink = { kbps: 940, wanted_kbps: 2_060, queue_ms: 12, cause: "no_feedback" } as const;
  expect(downlinkNote(downlink)).toBe("0.9 of 2.1 Mbit/s · 12 ms · no feedback");
});

test("a layer in a few letters", () => {
  expect(layerNote({ paused: false, height: 360, temporal: 2, reason: "wish" })).toBe("360p T2 wish");
  expect(layerNote({ paused: true, height: null, temporal: null, reason: "bandwidth" })).toBe("– bandwidth");
});

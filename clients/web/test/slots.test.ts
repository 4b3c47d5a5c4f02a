import { describe, expect, it } from "vitest";
import { Slots } from "../src/slots.ts";
import { SOURCES } from "../src/sources.ts";

const ADA = 1;
const BOB = 2;
const CAMERA = SOURCES.camera.stream;
const MICROPHONE = SOURCES.microphone.stream;
const UNKNOWN_STREAM = 4;

function slots(): Slots {
  const slots = new Slots();
  slots.add({ mid: "v1", kind: "video", codec: "vp8", ssrc: 1 });
  return slots;
}
const holds = (participant: number | null) => ({
  mid: "v1",
  source: participant === null ? null : { track: 10 + participant, participant },
});

describe("Slots", () => {
  it("shows a track once the hint and the authenticated frames agree, in either order", () => {
    const hintFirst = slots();
    expect(hintFirst.hint(holds(ADA))).toBeNull();
    const ada = { mid: "v1", participant: ADA, source: "camera", speaker: false };
    expect(hintFirst.authenticate("v1", { participant: ADA, stream: CAMERA })).toEqual({ removed: null, added: ada });
    const framesFirst = slots();
    expect(framesFirst.authenticate("v1", { participant: ADA, stream: CAMERA })).toBeNull();
    expect(framesFirst.hint(holds(ADA))).toEqual({ removed: null, added: ada });
  });

  it("never shows one participant's frames under another's name", () => {
    const one = slots();
    one.hint(holds(ADA));
    expect(one.authenticate("v1", { participant: BOB, stream: CAMERA })).toBeNull();
    expect(one.shown()).toEqual([]);
  });

  it("removes a track when the hint changes, and shows the next once its frames arrive", () => {
    const one = slots();
    one.hint(holds(ADA));
    one.authenticate("v1", { participant: ADA, stream: CAMERA });
    expect(one.hint(holds(BOB))).toMatchObject({ removed: { participant: ADA }, added: null });
    expect(one.authenticate("v1", { participant: BOB, stream: CAMERA })).toMatchObject({
      removed: null,
      added: { participant: BOB },
    });
    expect(one.hint(holds(null))).toMatchObject({ removed: { participant: BOB }, added: null });
  });

  it("ignores an unknown slot", () => {
    const one = slots();
    one.hint(holds(ADA));
    expect(one.authenticate("v9", { participant: ADA, stream: CAMERA })).toBeNull();
    expect(one.hint({ mid: "v9", source: null })).toBeNull();
  });

  it.each([
    ["an unknown stream of another participant", BOB, 9],
    ["an unknown stream of the same participant", ADA, UNKNOWN_STREAM],
    ["the largest stream number", BOB, 65_535],
    ["a stream of another kind", ADA, MICROPHONE],
  ])("shows nothing when frames of %s arrive, and the track again with its own", (_, participant, stream) => {
    const one = slots();
    one.hint(holds(ADA));
    one.authenticate("v1", { participant: ADA, stream: CAMERA });
    const ada = { participant: ADA, source: "camera" };
    expect(one.authenticate("v1", { participant, stream })).toMatchObject({ removed: ada, added: null });
    expect(one.shown()).toEqual([]);
    expect(one.authenticate("v1", { participant: ADA, stream: CAMERA })).toMatchObject({ removed: null, added: ada });
  });
});

describe("slots of speakers", () => {
  const SCREEN_AUDIO = SOURCES["screen-audio"].stream;
  function slot(): Slots {
    const slots = new Slots();
    slots.add({ mid: "a1", kind: "audio", codec: "opus", ssrc: 1 });
    slots.hint({ mid: "a1", source: { speaker: 0 } });
    return slots;
  }
  const voice = (participant: number) => ({ mid: "a1", participant, source: "microphone", speaker: true });

  it("take the microphone of anyone, under the name that the frames prove", () => {
    const one = slot();
    expect(one.shown()).toEqual([]);
    expect(one.authenticate("a1", { participant: ADA, stream: MICROPHONE })).toEqual({
      removed: null,
      added: voice(ADA),
    });
    expect(one.authenticate("a1", { participant: BOB, stream: MICROPHONE })).toEqual({
      removed: voice(ADA),
      added: voice(BOB),
    });
    expect(one.hint({ mid: "a1", source: null })).toEqual({ removed: voice(BOB), added: null });
    expect(one.authenticate("a1", { participant: ADA, stream: MICROPHONE })).toBeNull();
  });

  it.each([SCREEN_AUDIO, CAMERA, UNKNOWN_STREAM])("show nothing of stream %d, which is no microphone", (stream) => {
    const one = slot();
    one.authenticate("a1", { participant: ADA, stream: MICROPHONE });
    expect(one.authenticate("a1", { participant: ADA, stream })).toEqual({ removed: voice(ADA), added: null });
  });

  it("take one participant's audio alone once they are for its track", () => {
    const one = slot();
    one.authenticate("a1", { participant: ADA, stream: MICROPHONE });
    expect(one.hint({ mid: "a1", source: { track: 12, participant: BOB } })).toEqual({
      removed: voice(ADA),
      added: null,
    });
    expect(one.hint({ mid: "a1", source: { track: 11, participant: ADA } })).toMatchObject({
      added: { speaker: false },
    });
  });
});

describe("layers", () => {
  it("belong to a slot until it gets another track", () => {
    const one = slots();
    one.hint(holds(ADA));
    expect(one.layer("v1")).toBeNull();
    expect(one.setLayer({ mid: "v1", height: 360, temporal: 2, reason: "wish" })).toBeNull();
    expect(one.layer("v1")).toEqual({ paused: false, height: 360, temporal: 2, reason: "wish" });
    one.authenticate("v1", { participant: ADA, stream: CAMERA });
    expect(one.setLayer({ mid: "v1", reason: "bandwidth" })).toMatchObject({ participant: ADA });
    expect(one.layer("v1")).toEqual({ paused: true, height: null, temporal: null, reason: "bandwidth" });
    one.hint(holds(BOB));
    expect(one.layer("v1")).toBeNull();
  });

  it("of an unknown height are none that is paused", () => {
    const one = slots();
    one.setLayer({ mid: "v1", reason: "wish" });
    expect(one.layer("v1")).toMatchObject({ paused: false, height: null });
    expect(one.setLayer({ mid: "v9", reason: "wish" })).toBeNull();
    expect(one.layer("v9")).toBeNull();
  });
});

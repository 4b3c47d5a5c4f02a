import { describe, expect, it } from "vitest";
import { Slots } from "../src/slots.ts";

const ADA = 1;
const BOB = 2;
const CAMERA = 1;
const MICROPHONE = 0;

function slots(): Slots {
  const slots = new Slots();
  slots.add({ mid: "v1", kind: "video", codec: "vp8", ssrc: 1 });
  return slots;
}
const holds = (participant: number | null) => ({
  mid: "v1",
  source: participant === null ? null : { track: 10 + participant, participant },
});

describe("a slot", () => {
  it("shows a track once the server and the authenticated frames agree, in either order", () => {
    const hintFirst = slots();
    expect(hintFirst.hint(holds(ADA))).toBeNull();
    const ada = { mid: "v1", participant: ADA, source: "cam" };
    expect(hintFirst.attribute("v1", ADA, CAMERA)).toEqual({ removed: null, added: ada });
    const framesFirst = slots();
    expect(framesFirst.attribute("v1", ADA, CAMERA)).toBeNull();
    expect(framesFirst.hint(holds(ADA))).toEqual({ removed: null, added: ada });
  });

  it("never shows one participant's frames under another's name", () => {
    const one = slots();
    one.hint(holds(ADA));
    expect(one.attribute("v1", BOB, CAMERA)).toBeNull();
    expect(one.shown()).toEqual([]);
  });

  it("moves on when its source changes", () => {
    const one = slots();
    one.hint(holds(ADA));
    one.attribute("v1", ADA, CAMERA);
    expect(one.hint(holds(BOB))).toMatchObject({ removed: { participant: ADA }, added: null });
    expect(one.attribute("v1", BOB, CAMERA)).toMatchObject({ removed: null, added: { participant: BOB } });
    expect(one.hint(holds(null))).toMatchObject({ removed: { participant: BOB }, added: null });
  });

  it("ignores frames that do not belong into it", () => {
    const one = slots();
    one.hint(holds(ADA));
    expect(one.attribute("v1", ADA, MICROPHONE)).toBeNull();
    expect(one.attribute("v1", ADA, 4)).toBeNull();
    expect(one.attribute("v9", ADA, CAMERA)).toBeNull();
    expect(one.hint({ mid: "v9", source: null })).toBeNull();
  });
});

import { expect, test } from "vitest";
import { askForPlace, offerPlace } from "../src/page/hand-over.ts";
import type { Place } from "../src/page/place.ts";

const PLACE: Place = { room: "r1", name: "Ada", on: { microphone: true, camera: false }, ticket: null };

test("a tab hands its place to another one that asks for the same room, and offers it no more", async () => {
  let asked = 0;
  const end = offerPlace("r1", () => {
    asked += 1;
    end();
    return PLACE;
  });
  expect(await askForPlace("r1")).toEqual(PLACE);
  expect(await askForPlace("r1")).toBeNull();
  expect(asked).toBe(1);
});

test("a tab that does not answer, or is in another room, keeps no one waiting", async () => {
  const end = offerPlace("r2", () => PLACE);
  expect(await askForPlace("r1")).toBeNull();
  end();
});

import { expect, test } from "vitest";
import { forgetPlace, keepPlace, type Place, takePlace } from "../src/page/place.ts";

const PLACE: Place = { room: "r1", name: "Ada", on: { microphone: false, camera: true }, ticket: null };

/** `sessionStorage` of a tab. */
class TabStorage {
  readonly items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.items.set(key, value);
  }
  removeItem(key: string): void {
    this.items.delete(key);
  }
}

test("a reload finds the place once, with name and what was switched on", () => {
  const storage = new TabStorage();
  keepPlace(PLACE, 1_000, storage);
  expect(takePlace("r1", 5_000, storage)).toEqual({ ...PLACE, fresh: true });
  expect(takePlace("r1", 5_000, storage)).toBeNull();
});

test("a place is fresh for 30 seconds; later it still knows the choices", () => {
  const storage = new TabStorage();
  keepPlace(PLACE, 1_000, storage);
  expect(takePlace("r1", 31_000, storage)).toEqual({ ...PLACE, fresh: false });
});

test("the place in another room, or that the person left, is not taken", () => {
  const storage = new TabStorage();
  keepPlace(PLACE, 1_000, storage);
  expect(takePlace("r2", 2_000, storage)).toBeNull();
  keepPlace(PLACE, 1_000, storage);
  forgetPlace(storage);
  expect(takePlace("r1", 2_000, storage)).toBeNull();
});

test("what is not a place is ignored", () => {
  const storage = new TabStorage();
  for (const stored of ["", "null", "{}", '{"room":"r1","name":1,"on":{},"left":0}', "[", '{"room":"r1"}']) {
    storage.setItem("tacet.place", stored);
    expect(takePlace("r1", 1, storage)).toBeNull();
  }
});

import { expect, it } from "vitest";
import type { RemoteTrack } from "../src/slots.ts";
import { TrackPlaces } from "../src/track-places.ts";

const [ADA, BOB] = [1, 2];

function speaks(mid: string, participant: number): RemoteTrack {
  return { mid, participant, source: "microphone", speaker: true };
}

it("a voice that moves to another slot is not removed when the old slot gets another's", () => {
  const places = new TrackPlaces();
  const [old, now, next] = [speaks("a1", ADA), speaks("a4", ADA), speaks("a1", BOB)];
  expect(places.apply({ removed: null, added: old }, [old])).toEqual({ removed: null, added: [old] });
  expect(places.apply({ removed: null, added: now }, [old, now])).toEqual({ removed: null, added: [now] });
  expect([places.holds(old), places.holds(now)]).toEqual([false, true]);
  expect(places.apply({ removed: old, added: next }, [next, now])).toEqual({ removed: null, added: [next] });
  expect([places.holds(next), places.holds(now)]).toEqual([true, true]);
});

it("a voice that is left in its old slot is shown there again", () => {
  const places = new TrackPlaces();
  const [old, now, next] = [speaks("a1", ADA), speaks("a4", ADA), speaks("a4", BOB)];
  places.apply({ removed: null, added: old }, [old]);
  places.apply({ removed: null, added: now }, [old, now]);
  expect(places.apply({ removed: now, added: next }, [old, next])).toEqual({ removed: null, added: [old, next] });
});

it("a voice is removed with its last slot", () => {
  const places = new TrackPlaces();
  const [ada, bob] = [speaks("a1", ADA), speaks("a1", BOB)];
  places.apply({ removed: null, added: ada }, [ada]);
  expect(places.apply({ removed: ada, added: bob }, [bob])).toEqual({ removed: ada, added: [bob] });
  expect(places.apply({ removed: bob, added: null }, [])).toEqual({ removed: bob, added: [] });
  expect(places.holds(bob)).toBe(false);
});

import { describe, expect, it } from "vitest";
import { ActiveSpeakers } from "../src/active-speakers.ts";

describe("ActiveSpeakers", () => {
  it("adds a loud participant, and keeps them during the pause between words", () => {
    const speakers = new ActiveSpeakers();
    expect(speakers.update(0)).toBeNull();
    speakers.measure({ participant: 1, level: 0.2 }, 100);
    expect(speakers.update(100)).toEqual(new Set([1]));
    speakers.measure({ participant: 1, level: 0.001 }, 500);
    expect(speakers.update(500)).toBeNull();
    expect(speakers.update(900)).toEqual(new Set());
  });

  it("returns only changes", () => {
    const speakers = new ActiveSpeakers();
    for (let now = 0; now < 1_000; now += 100) {
      speakers.measure({ participant: 1, level: 0.5 }, now);
      expect(speakers.update(now)).toEqual(now === 0 ? new Set([1]) : null);
    }
  });

  it("removes a participant who muted or left at once", () => {
    const speakers = new ActiveSpeakers();
    speakers.measure({ participant: 1, level: 0.5 }, 0);
    speakers.hint({ participant: 2, level: 20 }, 0);
    speakers.hint({ participant: 3, level: 90 }, 0);
    expect(speakers.update(0)).toEqual(new Set([1, 2]));
    speakers.remove(1);
    expect(speakers.update(1)).toEqual(new Set([2]));
  });
});

// What the server learns of the tiles that a page shows.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MAX_TILES, type Tile } from "../src/protocol/generated.ts";
import { tilesOf, type VideoView, VideoViews, type ViewOptions } from "../src/video-views.ts";

const [ADA, BOB] = [1, 2];
const CAMERA = { participant: ADA, source: "camera" } as const;

/** An element whose size and place are set by the test. */
class FakeElement {
  resized: (height: number, exact?: number) => void = () => {};
  scrolled: (visible: boolean) => void = () => {};
  observers = 0;
}

class FakeResizeObserver {
  #element: FakeElement | undefined;
  constructor(readonly callback: (entries: object[]) => void) {}
  observe(element: FakeElement): void {
    this.#element = element;
    element.observers += 1;
    element.resized = (height, exact) =>
      this.callback([
        {
          contentRect: { height },
          ...(exact === undefined ? {} : { devicePixelContentBoxSize: [{ blockSize: exact }] }),
        },
      ]);
  }
  disconnect(): void {
    if (this.#element !== undefined) this.#element.observers -= 1;
  }
}

class FakeIntersectionObserver {
  #element: FakeElement | undefined;
  constructor(readonly callback: (entries: object[]) => void) {}
  observe(element: FakeElement): void {
    this.#element = element;
    element.observers += 1;
    element.scrolled = (isIntersecting) => this.callback([{ isIntersecting }]);
  }
  disconnect(): void {
    if (this.#element !== undefined) this.#element.observers -= 1;
  }
}

class FakeDocument extends EventTarget {
  visibilityState = "visible";
  become(state: string): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

/** Ids of the published tracks, by participant and source. */
let tracks: Map<string, number>;
let sent: Tile[][];
let leftOutChanges = 0;
let views: VideoViews;
let page: FakeDocument;

beforeEach(() => {
  vi.useFakeTimers();
  page = new FakeDocument();
  vi.stubGlobal("document", page);
  vi.stubGlobal("devicePixelRatio", 2);
  vi.stubGlobal("ResizeObserver", FakeResizeObserver);
  vi.stubGlobal("IntersectionObserver", FakeIntersectionObserver);
  tracks = new Map([
    ["1 camera", 11],
    ["2 camera", 12],
  ]);
  sent = [];
  leftOutChanges = 0;
  views = new VideoViews(
    (participant, source) => tracks.get(`${participant} ${source}`) ?? null,
    ({ tiles }) => sent.push(tiles),
    () => leftOutChanges++,
  );
});
afterEach(() => {
  views.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Opens a view of an element that is visible and this high, in CSS pixels. */
function view(options: Omit<ViewOptions, "shown">, height: number): { element: FakeElement; opened: VideoView } {
  const element = new FakeElement();
  const opened = views.open({ ...options, shown: element as unknown as Element });
  element.resized(height);
  element.scrolled(true);
  return { element, opened };
}

/** Lets everything be sent that is due, and returns it. */
function flush(): Tile[][] {
  vi.advanceTimersByTime(250);
  return sent.splice(0);
}

describe("VideoViews", () => {
  it("sends nothing before anything is viewed: everything is wanted then", () => {
    views.refresh();
    views.restart();
    expect(flush()).toEqual([]);
  });

  it("sends all tiles in device pixels, in one message", () => {
    view(CAMERA, 180);
    view({ ...CAMERA, participant: BOB }, 90);
    expect(flush()).toEqual([
      [
        { track: 11, height: 360 },
        { track: 12, height: 180 },
      ],
    ]);
  });

  it("takes device pixels from the browser where it counts them", () => {
    const { element } = view(CAMERA, 180);
    element.resized(180, 371);
    expect(flush()).toEqual([[{ track: 11, height: 371 }]]);
  });

  it("sends a change only if there is one", () => {
    const { element } = view(CAMERA, 180);
    flush();
    element.resized(180);
    element.scrolled(true);
    views.refresh();
    expect(flush()).toEqual([]);
    element.resized(400);
    expect(flush()).toEqual([[{ track: 11, height: 800 }]]);
  });

  it("sends at most four messages a second while a window is resized", () => {
    const { element } = view(CAMERA, 180);
    flush();
    for (let i = 0; i < 100; i += 1) {
      element.resized(180 + i);
      vi.advanceTimersByTime(10);
    }
    expect(sent.length).toBeLessThanOrEqual(4);
    expect(flush().at(-1)).toEqual([{ track: 11, height: 558 }]);
  });

  it("leaves out what is scrolled away, has no size, or is not published", () => {
    const { element } = view(CAMERA, 180);
    view({ participant: BOB, source: "screen" }, 300);
    flush();
    element.scrolled(false);
    expect(flush()).toEqual([[]]);
    element.scrolled(true);
    element.resized(0);
    expect(flush()).toEqual([]);
    tracks.set("2 screen", 13);
    views.refresh();
    expect(flush()).toEqual([[{ track: 13, height: 600 }]]);
  });

  it("pauses everything while the page is hidden", () => {
    view(CAMERA, 180);
    flush();
    page.become("hidden");
    expect(flush()).toEqual([[{ track: 11, height: 360, paused: true }]]);
    page.become("visible");
    expect(flush()).toEqual([[{ track: 11, height: 360 }]]);
  });

  it("takes a height from an application without elements, with pin and pause", () => {
    const opened = views.open({ ...CAMERA, shown: 720, pinned: true });
    expect(flush()).toEqual([[{ track: 11, height: 720, pinned: true }]]);
    opened.pinned = false;
    opened.paused = true;
    expect(flush()).toEqual([[{ track: 11, height: 720, paused: true }]]);
    expect([opened.pinned, opened.paused]).toEqual([false, true]);
  });

  it("begins with nothing at a server that has forgotten it, since its tracks have other ids", () => {
    view(CAMERA, 180);
    flush();
    views.restart();
    expect(flush()).toEqual([[]]);
    tracks.set("1 camera", 21);
    views.refresh();
    expect(flush()).toEqual([[{ track: 21, height: 360 }]]);
  });

  it("observes nothing of a view that is closed", () => {
    const { element, opened } = view(CAMERA, 180);
    flush();
    opened.close();
    expect(element.observers).toBe(0);
    expect(flush()).toEqual([[]]);
    views.close();
    page.become("hidden");
    expect(flush()).toEqual([]);
  });
});

describe("VideoViews of more than fit", () => {
  it("says which are left out, and takes in who begins to speak", () => {
    for (let participant = 1; participant <= MAX_TILES + 1; participant++) {
      tracks.set(`${participant} camera`, participant);
      views.open({ participant, source: "camera", shown: 500 - participant });
    }
    expect(flush().at(-1)).toHaveLength(MAX_TILES);
    const last = MAX_TILES + 1;
    expect([views.isLeftOut(last, "camera"), views.isLeftOut(1, "camera"), leftOutChanges]).toEqual([true, false, 1]);
    views.speak(new Set([last]));
    expect(
      flush()
        .at(-1)
        ?.map(({ track }) => track),
    ).toContain(last);
    expect([views.isLeftOut(last, "camera"), leftOutChanges]).toEqual([false, 2]);
  });

  it("takes a height that is no number for one that is not laid out yet", () => {
    views.open({ ...CAMERA, shown: Number.NaN });
    views.open({ ...CAMERA, participant: BOB, shown: 360 });
    expect(
      flush()
        .at(-1)
        ?.map(({ height }) => height),
    ).toEqual([360]);
  });
});

describe("tilesOf", () => {
  const viewed = { ...CAMERA, height: 100, pinned: false, paused: false };

  it("joins several views of one track: the largest counts, and one that is not paused", () => {
    const two = [
      { ...viewed, height: 700, paused: true },
      { ...viewed, pinned: true },
    ];
    expect(tilesOf(two, () => 5, [], false).tiles).toEqual([{ track: 5, height: 700, pinned: true }]);
  });

  it("leaves out the least important ones of more than a message takes", () => {
    const many = Array.from({ length: MAX_TILES + 10 }, (_, index) => ({
      ...viewed,
      participant: index,
      height: 100 + index,
      pinned: index === 0,
    }));
    const { tiles, leftOut } = tilesOf(many, (participant) => participant, [], false);
    expect(leftOut).toHaveLength(10);
    expect(tiles).toHaveLength(MAX_TILES);
    expect(tiles[0]).toEqual({ track: 0, height: 100, pinned: true });
    expect(tiles[1]).toEqual({ track: 11, height: 111 });
  });

  it("leaves out no one who speaks or has spoken, and no screen, for larger videos", () => {
    const many = Array.from({ length: MAX_TILES + 10 }, (_, index) => ({
      ...viewed,
      participant: index,
      source: index === 3 ? ("screen" as const) : ("camera" as const),
      height: 100 + index,
    }));
    const { leftOut } = tilesOf(many, (participant) => participant, [5, 8], false);
    expect(leftOut).toEqual([12, 11, 10, 9, 7, 6, 4, 2, 1, 0]);
  });
});

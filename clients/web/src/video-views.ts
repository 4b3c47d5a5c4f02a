// What the application shows of the others' video, and how large: the server sends a layer of that size, or nothing of what
// is not shown.
//
// Each change sends the whole of it, which replaces what the server had before. A client that never sends it receives
// everything, at the highest quality that the server has room for.

import { Coalescer } from "./coalescer.ts";
import { type Layers, MAX_TILES, type ParticipantId, type Tile, type TrackId } from "./protocol/generated.ts";
import type { VideoSource } from "./sources.ts";
import { type ObservedSize, observeSize } from "./view-size.ts";

/** Least time between two messages, and how long changes are gathered after the first. */
const COALESCE = { settle: 40, interval: 250 } as const;
/** Largest height that is wished for. */
const MAX_HEIGHT = 0xffff;

/** What is viewed. There may be a view of something that is not published yet. */
export interface ViewOptions {
  readonly participant: ParticipantId;
  readonly source: VideoSource;
  /**
   * The element in which it is shown: its visible size, of which the view keeps track, selects the layer. It must have its
   * size already while there is no video. Or the height in device pixels, for an application without such an element.
   */
  readonly shown: Element | number;
  /** Whether it is more important than others. */
  readonly pinned?: boolean;
  /** Whether nothing is to be sent of it at present. */
  readonly paused?: boolean;
}

/** A view of a participant's video. */
export interface VideoView {
  pinned: boolean;
  paused: boolean;
  /** Ends the view: nothing more is sent of the video, unless there is another view of it. */
  close(): void;
}

class View implements VideoView {
  readonly participant: ParticipantId;
  readonly source: VideoSource;
  readonly #size: Pick<ObservedSize, "height" | "stop">;
  readonly #changed: () => void;
  readonly #ended: (view: View) => void;
  #pinned: boolean;
  #paused: boolean;

  constructor(options: ViewOptions, changed: () => void, ended: (view: View) => void) {
    const { participant, source, shown, pinned = false, paused = false } = options;
    this.participant = participant;
    this.source = source;
    this.#changed = changed;
    this.#ended = ended;
    this.#pinned = pinned;
    this.#paused = paused;
    this.#size = typeof shown === "number" ? { height: shown, stop() {} } : observeSize(shown, changed);
  }

  get height(): number {
    // What is not laid out yet has no number of pixels in some applications.
    const height = Number.isNaN(this.#size.height) ? 0 : this.#size.height;
    return Math.min(Math.max(Math.round(height), 0), MAX_HEIGHT);
  }

  get pinned(): boolean {
    return this.#pinned;
  }
  set pinned(pinned: boolean) {
    this.#pinned = pinned;
    this.#changed();
  }

  get paused(): boolean {
    return this.#paused;
  }
  set paused(paused: boolean) {
    this.#paused = paused;
    this.#changed();
  }

  close(): void {
    this.#size.stop();
    this.#ended(this);
  }
}

/** Returns the id of a participant's track; `null` if there is none. */
export type TrackOf = (participant: ParticipantId, source: VideoSource) => TrackId | null;

/** The views of a call. */
export class VideoViews {
  readonly #trackOf: TrackOf;
  readonly #send: (layers: Layers) => void;
  readonly #leftOutChanged: () => void;
  readonly #views = new Set<View>();
  readonly #coalescer = new Coalescer(() => this.#update(), COALESCE);
  readonly #onVisibility = (): void => this.refresh();
  /** What the server knows; `null` if that is nothing. */
  #sent: string | null = null;
  #used: boolean;
  #diagnoses = false;
  /** Who has spoken, the latest last. */
  readonly #spoken = new Set<ParticipantId>();
  #leftOut: ReadonlySet<TrackId> = new Set();

  /**
   * @param send informs the server of what is viewed
   * @param leftOutChanged is called when videos are left out, or no longer
   * @param viewedOnly whether nothing is received before the first view
   */
  constructor(
    trackOf: TrackOf,
    send: (layers: Layers) => void,
    leftOutChanged: () => void = () => {},
    viewedOnly = false,
  ) {
    this.#trackOf = trackOf;
    this.#send = send;
    this.#leftOutChanged = leftOutChanged;
    this.#used = viewedOnly;
    globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
  }

  /** Adds a view. */
  open(options: ViewOptions): VideoView {
    this.#used = true;
    const view = new View(
      options,
      () => this.refresh(),
      (ended) => {
        this.#views.delete(ended);
        this.refresh();
      },
    );
    this.#views.add(view);
    this.refresh();
    return view;
  }

  /** Whether the server is asked for what it knows of the path to this client. */
  set diagnoses(diagnoses: boolean) {
    this.#diagnoses = diagnoses;
    this.refresh();
  }

  /** These participants speak now. Those who speak, or have lately, are not left out for others. */
  speak(participants: ReadonlySet<ParticipantId>): void {
    for (const participant of participants) {
      this.#spoken.delete(participant);
      this.#spoken.add(participant);
    }
    if (this.#leftOut.size > 0) this.refresh();
  }

  /** Whether a video is viewed, and left out because too many are. */
  isLeftOut(participant: ParticipantId, source: VideoSource): boolean {
    const track = this.#trackOf(participant, source);
    return track !== null && this.#leftOut.has(track);
  }

  /** What is viewed, or which tracks there are, may have changed. */
  refresh(): void {
    if (this.#used) this.#coalescer.request();
  }

  /** The server knows nothing of the views, nor this client anything of its tracks: receives nothing for now. */
  restart(): void {
    this.#coalescer.stop();
    this.#sent = null;
    if (this.#used) this.#inform([]);
  }

  /** Ends all views. Nothing is sent any more. */
  close(): void {
    this.#used = false;
    this.#coalescer.stop();
    globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
    for (const view of [...this.#views]) view.close();
  }

  #update(): void {
    const hidden = globalThis.document?.visibilityState === "hidden";
    const { tiles, leftOut } = tilesOf([...this.#views], this.#trackOf, [...this.#spoken], hidden);
    this.#inform(tiles);
    const before = this.#leftOut;
    this.#leftOut = new Set(leftOut);
    if (before.size !== leftOut.length || leftOut.some((track) => !before.has(track))) this.#leftOutChanged();
  }

  #inform(tiles: Tile[]): void {
    const layers = { tiles, ...(this.#diagnoses ? { downlink: true } : {}) };
    const next = JSON.stringify(layers);
    if (next === this.#sent) return;
    this.#sent = next;
    this.#send(layers);
  }
}

type Viewed = Pick<View, "participant" | "source" | "height" | "pinned" | "paused">;

/**
 * Returns what the server learns: the tracks that are visible, each with the largest of its views. If there are more than
 * fit into a message, the least important ones are left out. What is pinned comes first, then screens, those who spoke last,
 * and what is large.
 *
 * @param spoken who has spoken, the latest last
 * @param hidden whether the whole page is out of sight
 */
export function tilesOf(
  views: readonly Viewed[],
  trackOf: TrackOf,
  spoken: readonly ParticipantId[],
  hidden: boolean,
): { tiles: Tile[]; leftOut: TrackId[] } {
  const tiles = new Map<TrackId, Required<Tile> & { isScreen: boolean; spoke: number }>();
  const places = new Map(spoken.map((participant, place) => [participant, place]));
  for (const { participant, source, height, pinned, paused } of views) {
    const track = trackOf(participant, source);
    if (track === null || height === 0) continue;
    const before = tiles.get(track) ?? { height: 0, pinned: false, paused: true };
    tiles.set(track, {
      track,
      height: Math.max(before.height, height),
      pinned: before.pinned || pinned,
      paused: before.paused && (paused || hidden),
      isScreen: source === "screen",
      spoke: places.get(participant) ?? -1,
    });
  }
  const ranked = [...tiles.values()].sort(
    (one, other) =>
      Number(other.pinned) - Number(one.pinned) ||
      Number(other.isScreen) - Number(one.isScreen) ||
      other.spoke - one.spoke ||
      other.height - one.height,
  );
  const sent = ranked.slice(0, MAX_TILES).sort((one, other) => one.track - other.track);
  return {
    tiles: sent.map(({ track, height, pinned, paused }) => ({
      track,
      height,
      ...(pinned ? { pinned } : {}),
      ...(paused ? { paused } : {}),
    })),
    leftOut: ranked.slice(MAX_TILES).map(({ track }) => track),
  };
}

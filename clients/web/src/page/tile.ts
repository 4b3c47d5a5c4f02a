// A tile of the stage: video or initials, a name, and what is wrong with what is shown. A fault never blanks a face: the
// last frame of the video stays, dimmed, and a note says what is missing.

import type { ParticipantId } from "../index.ts";
import { h } from "./element.ts";
import { icon } from "./icon.ts";

/** State that a tile shows besides its video. */
export interface TileState {
  readonly muted: boolean;
  readonly speaking: boolean;
  /** What does not arrive, in words; `null` if nothing is missing. */
  readonly note: string | null;
  /** Whether what is shown is old. */
  readonly dimmed: boolean;
}

/** A tile. */
export class Tile {
  readonly element: HTMLElement;
  readonly #video = h("video", { autoplay: true, playsinline: true, muted: true, class: "tile-video" });
  readonly #still = h("canvas", { class: "tile-video tile-still", hidden: true });
  readonly #label = h("bdi", { class: "tile-name" });
  readonly #muted = h("span", { class: "tile-muted", role: "img", "aria-label": "muted" }, icon("microphone-off"));
  readonly #initials = h("span", { class: "tile-initials", "aria-hidden": "true" });
  /** For developers: see `debug.ts`. */
  readonly #layer = h("span", { class: "tile-layer", "data-testid": "tile-layer" });
  readonly #note = h("p", { class: "tile-note", hidden: true, "data-testid": "tile-note" });
  #name = "";
  #track: MediaStreamTrack | null = null;

  /**
   * @param kind the video of `self` is mirrored; that of a `screen` is shown uncropped
   */
  constructor(kind: "self" | "other" | "screen", participant: ParticipantId | null) {
    // The attribute does not mute elements that are created by a script in every browser; the property does.
    this.#video.muted = true;
    this.#video.hidden = true;
    this.element = h(
      "li",
      { class: `tile tile-${kind}`, "data-testid": "tile", "data-kind": kind, "data-participant": participant ?? "" },
      h("div", { class: "tile-avatar" }, this.#initials),
      this.#video,
      this.#still,
      this.#note,
      this.#layer,
      h("div", { class: "tile-caption" }, this.#muted, this.#label, kind === "self" ? yourself() : null),
    );
    this.set({ muted: true, speaking: false, note: null, dimmed: false });
  }

  /** The participant's name. */
  set name(name: string) {
    this.#name = name;
    this.#label.textContent = name;
    this.#initials.textContent = initials(name);
    this.element.style.setProperty("--hue", `${hue(name)}`);
  }

  get name(): string {
    return this.#name;
  }

  /** Names the layer of the video that arrives. */
  set layer(layer: string) {
    this.#layer.textContent = layer;
  }

  /** Shows this video, or the initials if it is `null`. */
  show(track: MediaStreamTrack | null): void {
    if (track === null) this.#dropStill();
    if (track === this.#track) return;
    this.#play(track);
    // The last frame covers the video until the new track has one.
    if (track !== null && !this.#still.hidden) this.#video.requestVideoFrameCallback(() => this.#dropStill());
  }

  /** Shows the last frame of a video whose track is gone. */
  keepFrame(): void {
    if (this.#track === null) return;
    const { videoWidth, videoHeight } = this.#video;
    if (videoWidth > 0) {
      this.#still.width = videoWidth;
      this.#still.height = videoHeight;
      this.#still.getContext("2d")?.drawImage(this.#video, 0, 0);
      this.#still.hidden = false;
    }
    this.#play(null);
  }

  /** Shows the participant's state. */
  set({ muted, speaking, note, dimmed }: TileState): void {
    this.#muted.hidden = !muted;
    this.#note.textContent = note ?? "";
    this.#note.hidden = note === null;
    const { classList, dataset } = this.element;
    classList.toggle("is-speaking", speaking && !muted);
    classList.toggle("is-dimmed", dimmed);
    dataset.muted = String(muted);
    dataset.speaking = String(speaking && !muted);
  }

  #play(track: MediaStreamTrack | null): void {
    this.#track = track;
    this.#video.srcObject = track === null ? null : new MediaStream([track]);
    this.#video.hidden = track === null;
  }

  #dropStill(): void {
    this.#still.hidden = true;
    this.#still.width = 0;
  }
}

/** The mark of this device's user. No name can look like it: it is no text of the name, and stands outside of it. */
function yourself(): HTMLElement {
  return h("span", { class: "tile-you" }, "you");
}

/** Returns the first letters of the first and the last word of a name. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/\s+/u)
    .filter((word) => word !== "");
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toLocaleUpperCase();
}

/** Returns a hue in degrees that is always the same for a name. */
function hue(name: string): number {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return hash;
}

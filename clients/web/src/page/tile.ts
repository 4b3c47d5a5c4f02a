// A tile of the stage: video or initials, a name, and whether the participant is speaking or muted.

import type { ParticipantId } from "../index.ts";
import { h } from "./element.ts";
import { icon } from "./icon.ts";

/** State that a tile shows besides its video. */
export interface TileState {
  readonly muted: boolean;
  readonly speaking: boolean;
}

/** A tile. */
export class Tile {
  readonly element: HTMLElement;
  readonly #video = h("video", { autoplay: true, playsinline: true, muted: true, class: "tile-video" });
  readonly #label = h("span", { class: "tile-name" });
  readonly #muted = h("span", { class: "tile-muted", role: "img", "aria-label": "muted" }, icon("microphone-off"));
  readonly #initials = h("span", { class: "tile-initials", "aria-hidden": "true" });
  #name = "";

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
      h("div", { class: "tile-caption" }, this.#muted, this.#label),
    );
    this.set({ muted: true, speaking: false });
  }

  /** The participant's name. */
  set name(name: string) {
    this.#name = name;
    this.#label.textContent = this.element.dataset.kind === "self" ? `${name} (you)` : name;
    this.#initials.textContent = initials(name);
    this.element.style.setProperty("--hue", `${hue(name)}`);
  }

  get name(): string {
    return this.#name;
  }

  /** The video; `null` shows the initials. */
  set video(track: MediaStreamTrack | null) {
    this.#video.srcObject = track === null ? null : new MediaStream([track]);
    this.#video.hidden = track === null;
  }

  /** Shows whether the participant is muted or speaking. */
  set({ muted, speaking }: TileState): void {
    this.#muted.hidden = !muted;
    this.element.classList.toggle("is-speaking", speaking && !muted);
    this.element.dataset.muted = String(muted);
    this.element.dataset.speaking = String(speaking && !muted);
  }
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

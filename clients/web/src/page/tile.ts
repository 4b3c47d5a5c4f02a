// One participant on the stage: picture or initials, name, and whether it speaks or is muted.

import { h } from "./element.ts";
import { icon } from "./icon.ts";

/** What a tile shows besides its picture. */
export interface TileState {
  readonly muted: boolean;
  readonly speaking: boolean;
}

/** A tile. */
export class Tile {
  readonly element: HTMLElement;
  readonly #video = h("video", { autoplay: true, playsinline: true, muted: true, class: "tile-video" });
  readonly #label = h("span", { class: "tile-name" });
  readonly #muted = h("span", { class: "tile-muted", role: "img", "aria-label": "muted" }, icon("mic-off"));
  readonly #initials = h("span", { class: "tile-initials", "aria-hidden": "true" });
  #name = "";

  /**
   * @param kind `self` is mirrored, as one knows oneself; a `screen` is shown whole
   */
  constructor(kind: "self" | "other" | "screen", participant: number) {
    // Without the property, an element made by script is not muted in every browser.
    this.#video.muted = true;
    this.#video.hidden = true;
    this.element = h(
      "li",
      { class: `tile tile-${kind}`, "data-testid": "tile", "data-kind": kind, "data-participant": participant },
      h("div", { class: "tile-avatar" }, this.#initials),
      this.#video,
      h("div", { class: "tile-caption" }, this.#muted, this.#label),
    );
    this.set({ muted: true, speaking: false });
  }

  /** The name. */
  set name(name: string) {
    this.#name = name;
    this.#label.textContent = this.element.dataset.kind === "self" ? `${name} (you)` : name;
    this.#initials.textContent = initials(name);
    this.element.style.setProperty("--hue", `${hue(name)}`);
  }

  /** The name. */
  get name(): string {
    return this.#name;
  }

  /** The picture, or none. */
  set picture(track: MediaStreamTrack | null) {
    this.#video.srcObject = track === null ? null : new MediaStream([track]);
    this.#video.hidden = track === null;
    this.element.classList.toggle("has-picture", track !== null);
  }

  /** Shows the state. */
  set({ muted, speaking }: TileState): void {
    this.#muted.hidden = !muted;
    this.element.classList.toggle("is-speaking", speaking && !muted);
    this.element.dataset.muted = String(muted);
    this.element.dataset.speaking = String(speaking && !muted);
  }
}

/** Up to two letters of a name. */
export function initials(name: string): string {
  const words = name
    .trim()
    .split(/\s+/u)
    .filter((word) => word !== "");
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? "")][0] ?? "");
  return letters.join("").toLocaleUpperCase();
}

/** A steady hue for a name, in degrees. */
function hue(name: string): number {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 360;
  return hash;
}

// The stage: the tiles of everyone in the room, laid out as large as they fit, and the sound of the others.

import type { Call, ParticipantTrack } from "../call.ts";
import { h } from "./element.ts";
import { layout, type Shapes } from "./grid.ts";
import { icon } from "./icon.ts";
import { notify } from "./notice.ts";
import { Tile } from "./tile.ts";

/** Tiles are shaped like a camera's picture; up to upright where the stage is higher than wide. */
const WIDE: Shapes = { narrowest: 4 / 3, widest: 16 / 9 };
const TALL: Shapes = { narrowest: 3 / 4, widest: 16 / 9 };
/** Part of the stage's height that a shared screen takes; the others stand below it. */
const SCREEN_PART = 0.76;

/** The stage. */
export class Stage {
  readonly element = h("ul", { class: "stage", "aria-label": "Participants" });
  /** One's own tile. */
  readonly self: Tile;
  readonly #call: Call;
  readonly #tiles = new Map<number, Tile>();
  readonly #screens = new Map<number, Tile>();
  readonly #sounds = new Map<string, HTMLAudioElement>();
  readonly #observer = new ResizeObserver(() => this.#arrange());
  readonly #invitation: HTMLElement;
  #speaking: ReadonlySet<number> = new Set();

  /** @param copy copies the room's link */
  constructor(call: Call, name: string, copy: () => void) {
    this.#call = call;
    this.#invitation = invitation(copy);
    this.self = new Tile("self", call.self);
    this.self.name = name;
    this.element.append(this.self.element, this.#invitation);
    call.on("participantJoined", ({ id, name }) => this.#join(id, name));
    call.on("participantLeft", ({ id, name }) => this.#leave(id, name));
    call.on("trackAdded", (track) => this.#add(track));
    call.on("trackRemoved", ({ participant, source }) => this.#remove(participant, source));
    call.on("muted", ({ participant, source }) => {
      if (source === "cam") this.#picture(participant);
      this.#state(participant);
    });
    call.on("speaking", (speaking) => {
      const changed = new Set([...this.#speaking, ...speaking]);
      this.#speaking = speaking;
      for (const participant of changed) this.#state(participant);
    });
    for (const { id, name } of call.participants) this.#join(id, name);
    for (const track of call.tracks) this.#add(track);
    this.#observer.observe(this.element);
  }

  /** Shows the invitation to others, or not. */
  invite(shown: boolean): void {
    this.#invitation.hidden = !shown;
    this.#arrange();
  }

  /** Ends all sound. */
  stop(): void {
    this.#observer.disconnect();
    for (const sound of this.#sounds.values()) sound.srcObject = null;
  }

  #join(participant: number, name: string): void {
    const tile = this.#tiles.get(participant) ?? new Tile("other", participant);
    tile.name = name;
    if (!this.#tiles.has(participant)) {
      this.#tiles.set(participant, tile);
      this.#invitation.before(tile.element);
    }
    this.#state(participant);
    this.#picture(participant);
    this.#arrange();
  }

  #leave(participant: number, name: string): void {
    for (const source of ["mic", "screen-audio", "screen"] as const) this.#remove(participant, source);
    this.#tiles.get(participant)?.element.remove();
    this.#tiles.delete(participant);
    this.#arrange();
    if (this.#call.state === "connected") notify(`${name} left`);
  }

  #add({ participant, source, track }: ParticipantTrack): void {
    if (source === "cam") {
      this.#picture(participant);
    } else if (source === "screen") {
      const tile = new Tile("screen", participant);
      tile.name = `${this.#tiles.get(participant)?.name ?? ""}: screen`;
      tile.picture = track;
      tile.set({ muted: false, speaking: false });
      this.#screens.get(participant)?.element.remove();
      this.#screens.set(participant, tile);
      this.element.prepend(tile.element);
      this.#arrange();
    } else {
      const sound = h("audio", { autoplay: true });
      sound.srcObject = new MediaStream([track]);
      sound.play().catch(() => this.#askForSound());
      this.#sounds.set(`${source} ${participant}`, sound);
    }
  }

  #remove(participant: number, source: ParticipantTrack["source"]): void {
    if (source === "cam") {
      this.#picture(participant);
    } else if (source === "screen") {
      this.#screens.get(participant)?.element.remove();
      this.#screens.delete(participant);
      this.#arrange();
    } else {
      const sound = this.#sounds.get(`${source} ${participant}`);
      if (sound !== undefined) sound.srcObject = null;
      this.#sounds.delete(`${source} ${participant}`);
    }
  }

  /** Browsers that let no page make noise by itself do so after a click. */
  #askForSound(): void {
    notify("Click anywhere to hear the others.");
    const play = (): void => {
      // One that still may not play stays silent; the next one asks again.
      for (const sound of this.#sounds.values()) sound.play().catch(() => {});
    };
    document.addEventListener("click", play, { once: true });
  }

  /** Shows the camera while there is one and it is not muted; a muted one would freeze. */
  #picture(participant: number): void {
    const tile = this.#tiles.get(participant);
    if (tile === undefined) return;
    const shown = this.#call.tracks.find((track) => track.participant === participant && track.source === "cam");
    tile.picture = shown === undefined || this.#call.isMuted(participant, "cam") ? null : shown.track;
  }

  #state(participant: number): void {
    const muted = this.#call.isMuted(participant, "mic");
    this.#tiles.get(participant)?.set({ muted, speaking: this.#speaking.has(participant) });
  }

  #arrange(): void {
    const { clientWidth: width, clientHeight } = this.element;
    const gap = Number.parseFloat(getComputedStyle(this.element).columnGap) || 0;
    const screens = this.#screens.size;
    const screen = Math.floor((clientHeight * SCREEN_PART) / Math.max(1, screens));
    const height = screens === 0 ? clientHeight : clientHeight - screens * (screen + gap);
    const tiles = [...this.element.children].filter((tile) => !(tile as HTMLElement).hidden).length - screens;
    const tile = layout(tiles, width, height, gap, height > width ? TALL : WIDE);
    this.element.style.setProperty("--tile-width", `${tile.width}px`);
    this.element.style.setProperty("--tile-height", `${tile.height}px`);
    this.element.style.setProperty("--screen-height", `${screen}px`);
    this.element.dataset.tiles = String(tiles + screens);
  }
}

/** What stands beside oneself while nobody else is there. */
function invitation(copy: () => void): HTMLElement {
  return h(
    "li",
    { class: "tile invite" },
    h("h2", {}, "You are the only one here"),
    h("p", {}, "Send the link to who should join. It holds the room's secret: treat it like a key."),
    h("button", { type: "button", class: "button primary", onclick: copy }, icon("link"), "Copy link"),
  );
}

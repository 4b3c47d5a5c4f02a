// The stage: a tile for each participant and each shared screen, as large as they fit, and playback of remote audio.

import type {
  Call,
  ParticipantId,
  ParticipantTrack,
  Problem,
  Source,
  VideoLayer,
  VideoSource,
  VideoTrack,
  VideoView,
} from "../index.ts";
import { AudioPlayback } from "./audio-playback.ts";
import { h } from "./element.ts";
import { type AspectRatios, layout } from "./grid.ts";
import { icon } from "./icon.ts";
import { Movements } from "./movements.ts";
import { Tile } from "./tile.ts";
import { layerNote, missingNote } from "./words.ts";

/** Tiles have the shape of a camera's video, down to upright where the stage is higher than wide. */
const LANDSCAPE: AspectRatios = { narrowest: 4 / 3, widest: 16 / 9 };
const PORTRAIT: AspectRatios = { narrowest: 3 / 4, widest: 16 / 9 };
/** Part of the stage's height that shared screens take. The other tiles are below them. */
const SCREEN_HEIGHT = 0.76;
/** How long after a reconnect the last frame of a video stays up while its track is on the way. */
const SETTLE_MS = 5_000;

/** The stage. */
export class Stage {
  readonly element = h("ul", { class: "stage", "aria-label": "Participants" });
  /** The tile of this device's user. */
  readonly self: Tile;
  readonly #call: Call;
  readonly #tiles = new Map<ParticipantId, Tile>();
  readonly #screens = new Map<ParticipantId, Tile>();
  readonly #views = new Map<Tile, VideoView>();
  readonly #audio = new AudioPlayback();
  readonly #observer = new ResizeObserver(() => this.#arrange());
  readonly #invitation: HTMLElement;
  /** Participants in the order in which they were first seen: who comes back stands where they stood. */
  readonly #order: ParticipantId[] = [];
  /** Participants who are cut off, or who were until just now. */
  readonly #returning = new Set<ParticipantId>();
  readonly #movements = new Movements();
  /** Participants whose frames arrive, and whose key does not. */
  readonly #keyless = new Set<ParticipantId>();
  #speaking: ReadonlySet<ParticipantId> = new Set();
  #cutOff = false;

  /** @param copyLink copies the room's link */
  constructor(call: Call, name: string, copyLink: () => void) {
    this.#call = call;
    this.#invitation = invitation(copyLink);
    this.self = new Tile("self", call.self);
    this.self.name = name;
    this.element.append(this.self.element, this.#invitation);
    call.on("participantJoined", ({ id, name, wasHere }) => {
      this.#join(id, name);
      if (!wasHere) this.#movements.joined(name);
    });
    call.on("participantChanged", ({ id, name }) => this.#join(id, name));
    call.on("participantLeft", ({ id, name }) => this.#leave(id, name));
    call.on("trackAdded", (track) => this.#add(track));
    call.on("trackRemoved", ({ participant, source }) => this.#remove(participant, source));
    call.on("muted", ({ participant, source }) => {
      if (source === "camera") this.#updateCamera(participant);
      if (source === "screen") this.#updateScreen(participant);
      this.#updateState(participant);
    });
    call.on("layer", ({ participant }) => this.#updateState(participant));
    call.on("leftOut", () => {
      for (const participant of this.#tiles.keys()) this.#updateState(participant);
    });
    call.on("stalled", ({ participant }) => this.#updateState(participant));
    call.on("problem", ({ code, participant }) => this.#setKeyless(code, participant, true));
    call.on("problemSolved", ({ code, participant }) => this.#setKeyless(code, participant, false));
    call.on("connection", () => {
      for (const participant of this.#tiles.keys()) this.#follow(participant);
    });
    call.on("speaking", (speaking) => {
      const changed = new Set([...this.#speaking, ...speaking]);
      this.#speaking = speaking;
      for (const participant of changed) this.#updateState(participant);
    });
    for (const { id, name } of call.participants) this.#join(id, name);
    for (const track of call.tracks) this.#add(track);
    this.#observer.observe(this.element);
  }

  /** Shows or hides the invitation. */
  set inviting(inviting: boolean) {
    this.#invitation.hidden = !inviting;
    this.#arrange();
  }

  /** Whether this device receives nothing. The others' videos are dimmed then. */
  set cutOff(cutOff: boolean) {
    this.#cutOff = cutOff;
    for (const participant of this.#tiles.keys()) this.#updateState(participant);
  }

  /** Stops playback. */
  stop(): void {
    this.#observer.disconnect();
    this.#movements.stop();
    this.#audio.close();
    for (const view of this.#views.values()) view.close();
  }

  #join(participant: ParticipantId, name: string): void {
    const tile = this.#tiles.get(participant) ?? new Tile("other", participant);
    tile.name = name;
    if (!this.#tiles.has(participant)) {
      this.#tiles.set(participant, tile);
      this.#placeOf(participant).before(tile.element);
      this.#view(tile, participant, "camera");
    }
    this.#follow(participant);
    this.#updateState(participant);
    this.#updateCamera(participant);
    this.#updateScreen(participant);
    this.#arrange();
  }

  /** Asks for the video that belongs into a tile, in the size of the tile. */
  #view(tile: Tile, participant: ParticipantId, source: VideoSource): void {
    this.#views.set(tile, this.#call.view({ participant, source, shown: tile.element }));
  }

  #drop(tile: Tile | undefined): void {
    if (tile === undefined) return;
    tile.element.remove();
    this.#views.get(tile)?.close();
    this.#views.delete(tile);
  }

  /** Returns the element before which a participant's tile stands. */
  #placeOf(participant: ParticipantId): HTMLElement {
    if (!this.#order.includes(participant)) this.#order.push(participant);
    const later = this.#order.slice(this.#order.indexOf(participant) + 1);
    const next = later.find((id) => this.#tiles.has(id));
    return (next === undefined ? undefined : this.#tiles.get(next)?.element) ?? this.#invitation;
  }

  #leave(participant: ParticipantId, name: string): void {
    for (const source of ["microphone", "screen-audio"] as const) this.#audio.stop(participant, source);
    this.#removeScreen(participant);
    this.#keyless.delete(participant);
    this.#drop(this.#tiles.get(participant));
    this.#tiles.delete(participant);
    this.#arrange();
    this.#movements.left(name);
  }

  #setKeyless(code: Problem["code"], participant: ParticipantId | null, keyless: boolean): void {
    if (code !== "key-missing" || participant === null) return;
    if (keyless) this.#keyless.add(participant);
    else this.#keyless.delete(participant);
    this.#updateState(participant);
  }

  #add(track: ParticipantTrack): void {
    if (track.kind === "audio") this.#audio.play(track);
    else this.#updateVideo(track);
  }

  #remove(participant: ParticipantId, source: Source): void {
    if (source === "camera" || source === "screen") this.#updateVideo({ participant, source });
    else this.#audio.stop(participant, source);
  }

  #updateVideo({ participant, source }: Pick<VideoTrack, "participant" | "source">): void {
    if (source === "screen") this.#updateScreen(participant);
    else this.#updateCamera(participant);
    this.#updateState(participant);
  }

  /**
   * Shows a participant's screen while it is shared. There is a tile before its video arrives, which comes in the size of the
   * tile.
   */
  #updateScreen(participant: ParticipantId): void {
    const track = this.#track(participant, "screen");
    const shared = this.#tiles.has(participant) && !this.#call.isMuted(participant, "screen");
    if (track === undefined && !shared) {
      if (this.#isUnknown(participant)) this.#screens.get(participant)?.keepFrame();
      else this.#removeScreen(participant);
      return;
    }
    const tile = this.#screens.get(participant) ?? this.#addScreen(participant);
    const owner = this.#tiles.get(participant)?.name;
    tile.name = owner === undefined ? "Shared screen" : `${owner}'s screen`;
    if (track !== undefined) tile.show(track.track);
    else tile.keepFrame();
  }

  #addScreen(participant: ParticipantId): Tile {
    const tile = new Tile("screen", participant);
    this.#screens.set(participant, tile);
    this.element.prepend(tile.element);
    this.#view(tile, participant, "screen");
    this.#arrange();
    return tile;
  }

  #removeScreen(participant: ParticipantId): void {
    this.#drop(this.#screens.get(participant));
    this.#screens.delete(participant);
    this.#arrange();
  }

  /** Shows a participant's camera, unless there is none or it is muted: a muted one would freeze. */
  #updateCamera(participant: ParticipantId): void {
    const tile = this.#tiles.get(participant);
    if (tile === undefined) return;
    const camera = this.#track(participant, "camera");
    const muted = camera !== undefined && this.#call.isMuted(participant, "camera");
    if (camera !== undefined && !muted) tile.show(camera.track);
    else if (this.#isUnknown(participant) && !(muted && this.#isReached(participant))) tile.keepFrame();
    else tile.show(null);
  }

  #track(participant: ParticipantId, source: Source): ParticipantTrack | undefined {
    return this.#call.tracks.find((track) => track.participant === participant && track.source === source);
  }

  #updateState(participant: ParticipantId): void {
    const away = this.#isAway(participant);
    const camera = this.#layer(participant, "camera");
    const screen = this.#layer(participant, "screen");
    const video = this.#call.isStalled(participant, "camera");
    const audio = this.#call.isStalled(participant, "microphone");
    const keys = this.#keyless.has(participant);
    const leftOut = this.#isLeftOut(participant, "camera");
    const note = missingNote({ keys, away, video, audio, paused: camera.paused, leftOut });
    const dimmed = away || video || camera.paused !== null || this.#cutOff;
    const speaking = this.#speaking.has(participant) && !away && !video && !this.#cutOff;
    const tile = this.#tiles.get(participant);
    if (tile !== undefined) tile.layer = camera.note;
    tile?.set({ muted: this.#call.isMuted(participant, "microphone"), speaking, note, dimmed });
    const shared = this.#screens.get(participant);
    if (shared !== undefined) shared.layer = screen.note;
    const screenLeftOut = this.#isLeftOut(participant, "screen");
    const missing = missingNote({ away, video: false, audio: false, paused: screen.paused, leftOut: screenLeftOut });
    const old = away || screen.paused !== null || this.#cutOff;
    shared?.set({ muted: false, speaking: false, note: missing, dimmed: old });
  }

  #isLeftOut(participant: ParticipantId, source: VideoSource): boolean {
    return this.#call.isLeftOut(participant, source) && !this.#call.isMuted(participant, source);
  }

  /** Returns what to say of the layer that arrives, and why none does, if so. */
  #layer(participant: ParticipantId, source: VideoSource): { note: string; paused: VideoLayer["reason"] | null } {
    const layer = this.#call.layer(participant, source);
    if (layer === null) return { note: "", paused: null };
    // What this device paused itself is no fault.
    return { note: layerNote(layer), paused: layer.paused && layer.reason !== "pause" ? layer.reason : null };
  }

  /** Whether a missing track says nothing about what the participant sends: either end is cut off, or was just now. */
  #isUnknown(participant: ParticipantId): boolean {
    return !this.#isReached(participant) || this.#returning.has(participant);
  }

  #isReached(participant: ParticipantId): boolean {
    return this.#call.connection.state === "connected" && !this.#isAway(participant);
  }

  #isAway(participant: ParticipantId): boolean {
    return this.#call.participants.find(({ id }) => id === participant)?.presence === "away";
  }

  /** Follows whether a participant is reached. After a return, last frames stay until new tracks have had time to come. */
  #follow(participant: ParticipantId): void {
    if (!this.#isReached(participant)) this.#returning.add(participant);
    else if (this.#returning.has(participant)) setTimeout(() => this.#settle(participant), SETTLE_MS);
  }

  #settle(participant: ParticipantId): void {
    if (!this.#isReached(participant)) return;
    this.#returning.delete(participant);
    this.#updateCamera(participant);
    this.#updateScreen(participant);
  }

  #arrange(): void {
    const { clientWidth: width, clientHeight } = this.element;
    const gap = Number.parseFloat(getComputedStyle(this.element).columnGap) || 0;
    const screens = this.#screens.size;
    const screenHeight = Math.floor((clientHeight * SCREEN_HEIGHT) / Math.max(1, screens));
    const height = screens === 0 ? clientHeight : clientHeight - screens * (screenHeight + gap);
    const tiles = [...this.element.children].filter((tile) => !(tile as HTMLElement).hidden).length - screens;
    const tile = layout(tiles, { width, height, gap }, height > width ? PORTRAIT : LANDSCAPE);
    this.element.style.setProperty("--tile-width", `${tile.width}px`);
    this.element.style.setProperty("--tile-height", `${tile.height}px`);
    this.element.style.setProperty("--screen-height", `${screenHeight}px`);
    this.element.dataset.tiles = String(tiles + screens);
  }
}

/** Shown beside the user's own tile while no one else is in the call. */
function invitation(copyLink: () => void): HTMLElement {
  return h(
    "li",
    { class: "tile invite" },
    h("h2", {}, "You're the only one here"),
    h("p", {}, "Send the link to the people you want to join. It contains the room's secret, so treat it like a key."),
    h("button", { type: "button", class: "button primary", onclick: copyLink }, icon("link"), "Copy link"),
  );
}

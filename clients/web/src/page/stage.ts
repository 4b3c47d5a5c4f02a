// The stage: a tile for each participant and each shared screen, as large as they fit, and playback of remote audio.

import type { AudioTrack, Call, ParticipantId, ParticipantTrack, Problem, Source, VideoTrack } from "../index.ts";
import { h } from "./element.ts";
import { type AspectRatios, layout } from "./grid.ts";
import { icon } from "./icon.ts";
import { Movements } from "./movements.ts";
import { notify } from "./notice.ts";
import { Tile } from "./tile.ts";
import { missingNote } from "./words.ts";

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
  readonly #audio = new Map<string, HTMLAudioElement>();
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
      this.#updateState(participant);
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
    for (const element of this.#audio.values()) element.srcObject = null;
  }

  #join(participant: ParticipantId, name: string): void {
    const tile = this.#tiles.get(participant) ?? new Tile("other", participant);
    tile.name = name;
    if (!this.#tiles.has(participant)) {
      this.#tiles.set(participant, tile);
      this.#placeOf(participant).before(tile.element);
    }
    this.#follow(participant);
    this.#updateState(participant);
    this.#updateCamera(participant);
    this.#arrange();
  }

  /** Returns the element before which a participant's tile stands. */
  #placeOf(participant: ParticipantId): HTMLElement {
    if (!this.#order.includes(participant)) this.#order.push(participant);
    const later = this.#order.slice(this.#order.indexOf(participant) + 1);
    const next = later.find((id) => this.#tiles.has(id));
    return (next === undefined ? undefined : this.#tiles.get(next)?.element) ?? this.#invitation;
  }

  #leave(participant: ParticipantId, name: string): void {
    for (const source of ["microphone", "screen-audio"] as const) this.#remove(participant, source);
    this.#removeScreen(participant);
    this.#keyless.delete(participant);
    this.#tiles.get(participant)?.element.remove();
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
    if (track.kind === "audio") this.#play(track);
    else if (track.source === "screen") this.#addScreen(track);
    else this.#updateCamera(track.participant);
  }

  #remove(participant: ParticipantId, source: Source): void {
    if (source === "camera") {
      this.#updateCamera(participant);
    } else if (source === "screen") {
      if (this.#isUnknown(participant)) this.#screens.get(participant)?.keepFrame();
      else this.#removeScreen(participant);
    } else {
      const key = audioKey(participant, source);
      const element = this.#audio.get(key);
      if (element !== undefined) element.srcObject = null;
      this.#audio.delete(key);
    }
  }

  #addScreen({ participant, track }: VideoTrack): void {
    const tile = this.#screens.get(participant) ?? new Tile("screen", participant);
    const owner = this.#tiles.get(participant)?.name;
    tile.name = owner === undefined ? "Shared screen" : `${owner}'s screen`;
    tile.show(track);
    if (!this.#screens.has(participant)) {
      this.#screens.set(participant, tile);
      this.element.prepend(tile.element);
    }
    this.#updateState(participant);
    this.#arrange();
  }

  #removeScreen(participant: ParticipantId): void {
    this.#screens.get(participant)?.element.remove();
    this.#screens.delete(participant);
    this.#arrange();
  }

  #play({ participant, source, track }: AudioTrack): void {
    const element = h("audio", { autoplay: true });
    element.srcObject = new MediaStream([track]);
    element.play().catch(() => this.#playAfterClick());
    this.#audio.set(audioKey(participant, source), element);
  }

  /** Browsers that block autoplay allow playback after a click. */
  #playAfterClick(): void {
    notify("Click anywhere to hear the others.");
    const play = (): void => {
      // An element that is still blocked stays silent until the next track asks again.
      for (const element of this.#audio.values()) element.play().catch(() => {});
    };
    document.addEventListener("click", play, { once: true });
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
    const video = this.#call.isStalled(participant, "camera");
    const audio = this.#call.isStalled(participant, "microphone");
    const note = missingNote({ keys: this.#keyless.has(participant), away, video, audio });
    const dimmed = away || video || this.#cutOff;
    const speaking = this.#speaking.has(participant) && !dimmed;
    const screen = { muted: false, speaking: false, note: away ? note : null, dimmed: away || this.#cutOff };
    this.#screens.get(participant)?.set(screen);
    this.#tiles.get(participant)?.set({ muted: this.#call.isMuted(participant, "microphone"), speaking, note, dimmed });
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
    if (this.#track(participant, "screen") === undefined) this.#removeScreen(participant);
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

function audioKey(participant: ParticipantId, source: Source): string {
  return `${source} ${participant}`;
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

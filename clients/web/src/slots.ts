// Which remote track is in which slot.
//
// The server says which track it puts into a slot, but that is only a hint. The worker knows whose frames arrive there,
// from their authenticated KID. A slot shows a track only while the two agree, so the server cannot show one
// participant's video, or play their audio, under another's name.
//
// In a large call, some slots are for the active speakers: the server puts the audio of one after the other into them and
// names no one. Such a slot takes every microphone; whose it is says the KID alone.

import type { LayerReason, ParticipantId, Slot, SlotLayer, SlotSource, Source } from "./protocol/generated.ts";
import { SOURCES, sourceOfStream } from "./sources.ts";
import type { FrameOrigin } from "./worker/engine.ts";

/** A remote track that is shown in a slot. */
export interface RemoteTrack {
  readonly mid: string;
  readonly participant: ParticipantId;
  readonly source: Source;
  /** Whether the slot is for active speakers: its track may fall silent, and that of another follow, at any time. */
  readonly speaker: boolean;
}

/** Which layer of a video the server sends, as it says. */
export interface VideoLayer {
  /** Whether nothing of it is sent. */
  readonly paused: boolean;
  /** Lines of its frames; `null` if it is paused, or their number is unknown. */
  readonly height: number | null;
  /** Highest temporal layer, where it is known. */
  readonly temporal: number | null;
  /** What it was chosen by: a higher one was not wished for, does not fit, is not sent, or the track is paused here. */
  readonly reason: LayerReason;
}

/** The participant that a slot is for, or `speaker` for any that speaks. */
type Expected = ParticipantId | "speaker";

interface SlotState {
  readonly slot: Slot;
  /** What the server says is in the slot. */
  hinted: Expected | null;
  authenticated: { readonly participant: ParticipantId; readonly source: Source } | null;
  shown: RemoteTrack | null;
  layer: VideoLayer | null;
}

/** A change of the track that a slot shows. */
export interface SlotChange {
  readonly removed: RemoteTrack | null;
  readonly added: RemoteTrack | null;
}

/** The slots of a connection, by MID. */
export class Slots {
  readonly #slots = new Map<string, SlotState>();

  /** Adds an empty slot. A known MID is ignored. */
  add(slot: Slot): void {
    if (this.#slots.has(slot.mid)) return;
    this.#slots.set(slot.mid, { slot, hinted: null, authenticated: null, shown: null, layer: null });
  }

  /** The server put a track, or the audio of speakers, into a slot, or emptied it. */
  hint({ mid, source }: SlotSource): SlotChange | null {
    const state = this.#slots.get(mid);
    if (state === undefined) return null;
    state.layer = null;
    if (source === null) state.hinted = null;
    else state.hinted = "participant" in source ? source.participant : "speaker";
    return update(state);
  }

  /** Frames in a slot were authenticated. A stream that is unknown, or of another kind, is shown under no name. */
  authenticate(mid: string, { participant, stream }: FrameOrigin): SlotChange | null {
    const state = this.#slots.get(mid);
    if (state === undefined) return null;
    const source = sourceOfStream(stream);
    const fits = source !== null && SOURCES[source].kind === state.slot.kind;
    state.authenticated = fits ? { participant, source } : null;
    return update(state);
  }

  /** The server sends another layer in a slot. Returns the track that is shown there, if any. */
  setLayer({ mid, height, temporal, reason }: SlotLayer): RemoteTrack | null {
    const state = this.#slots.get(mid);
    if (state === undefined) return null;
    const paused = height === undefined && reason !== "wish";
    state.layer = { paused, height: height ?? null, temporal: temporal ?? null, reason };
    return state.shown;
  }

  /** Returns the layer in a slot; `null` if the server named none. */
  layer(mid: string): VideoLayer | null {
    return this.#slots.get(mid)?.layer ?? null;
  }

  /** The tracks that are shown, in no particular order. */
  shown(): RemoteTrack[] {
    return [...this.#slots.values()].flatMap(({ shown }) => (shown === null ? [] : [shown]));
  }
}

function update(state: SlotState): SlotChange | null {
  const { authenticated, hinted, shown, slot } = state;
  const speaker = hinted === "speaker";
  const agreed =
    authenticated !== null && (speaker ? authenticated.source === "microphone" : authenticated.participant === hinted);
  const next = agreed ? { mid: slot.mid, ...authenticated, speaker } : null;
  if (isSame(next, shown)) return null;
  state.shown = next;
  return { removed: shown, added: next };
}

function isSame(one: RemoteTrack | null, other: RemoteTrack | null): boolean {
  return one?.participant === other?.participant && one?.source === other?.source && one?.speaker === other?.speaker;
}

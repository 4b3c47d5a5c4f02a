// Which remote track is in which slot.
//
// The server says which track it puts into a slot, but that is only a hint. The worker knows whose frames arrive there,
// from their authenticated KID. A slot shows a track only while the two agree, so the server cannot show one
// participant's video, or play their audio, under another's name.
//
// In a large call, some slots are for the active speakers: the server puts the audio of one after the other into them and
// names no one. Such a slot takes every microphone; whose it is says the KID alone.

import type { ParticipantId, Slot, SlotSource, Source } from "./protocol/generated.ts";
import { SOURCES, sourceOfStream } from "./sources.ts";
import type { FrameOrigin } from "./worker/engine.ts";

/** A remote track that is shown in a slot. */
export interface RemoteTrack {
  readonly mid: string;
  readonly participant: ParticipantId;
  readonly source: Source;
  /** Whether the slot is for active speakers: its track may fall silent at any time. */
  readonly speaker?: true;
}

interface SlotState {
  readonly slot: Slot;
  /** Participant whose track the server says is in the slot, or `speaker` for any that speaks. */
  hinted: ParticipantId | "speaker" | null;
  authenticated: { readonly participant: ParticipantId; readonly source: Source } | null;
  shown: RemoteTrack | null;
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
    this.#slots.set(slot.mid, { slot, hinted: null, authenticated: null, shown: null });
  }

  /** The server put a track into a slot, or emptied it. */
  hint({ mid, source }: SlotSource): SlotChange | null {
    const state = this.#slots.get(mid);
    if (state === undefined) return null;
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

  /** The tracks that are shown, in no particular order. */
  shown(): RemoteTrack[] {
    return [...this.#slots.values()].flatMap(({ shown }) => (shown === null ? [] : [shown]));
  }
}

function update(state: SlotState): SlotChange | null {
  const { authenticated, hinted, shown, slot } = state;
  const speaker = hinted === "speaker";
  const fits = speaker ? authenticated?.source === "microphone" : authenticated?.participant === hinted;
  const agreed = fits ? authenticated : null;
  if (agreed?.participant === shown?.participant && agreed?.source === shown?.source) return null;
  state.shown = agreed === null ? null : { mid: slot.mid, ...agreed, ...(speaker && { speaker }) };
  return { removed: shown, added: state.shown };
}

// Who is in which slot.
//
// The server says which track it put into a slot; that is a hint. Whose frames arrive there the worker knows, from the
// authenticated KID. A slot shows a track only while both agree, so that no server can put one participant's picture
// or voice under another's name.

import type { Slot, SlotSource, Source } from "./protocol/generated.ts";
import { kindOfSource, sourceOfStream } from "./stream.ts";

/** A remote track as it is shown. */
export interface RemoteTrack {
  readonly mid: string;
  readonly participant: number;
  readonly source: Source;
}

interface Content {
  readonly slot: Slot;
  hinted: number | null;
  authenticated: { readonly participant: number; readonly source: Source } | null;
  shown: RemoteTrack | null;
}

/** A change of what is shown. */
export interface SlotChange {
  readonly removed: RemoteTrack | null;
  readonly added: RemoteTrack | null;
}

/** The slots of a connection. */
export class Slots {
  readonly #contents = new Map<string, Content>();

  /** Adds an empty slot. */
  add(slot: Slot): void {
    if (this.#contents.has(slot.mid)) return;
    this.#contents.set(slot.mid, { slot, hinted: null, authenticated: null, shown: null });
  }

  /** The server has put a track into a slot, or emptied it. */
  hint({ mid, source }: SlotSource): SlotChange | null {
    const content = this.#contents.get(mid);
    if (content === undefined) return null;
    content.hinted = source?.participant ?? null;
    return update(content);
  }

  /** Frames in a slot are authentic as this participant's stream. */
  attribute(mid: string, participant: number, stream: number): SlotChange | null {
    const content = this.#contents.get(mid);
    const source = sourceOfStream(stream);
    if (content === undefined || source === null || kindOfSource(source) !== content.slot.kind) return null;
    content.authenticated = { participant, source };
    return update(content);
  }

  /** What is shown, in no order. */
  shown(): RemoteTrack[] {
    return [...this.#contents.values()].flatMap(({ shown }) => (shown === null ? [] : [shown]));
  }
}

function update(content: Content): SlotChange | null {
  const { authenticated, hinted, shown, slot } = content;
  const agreed = authenticated !== null && authenticated.participant === hinted ? authenticated : null;
  if (agreed?.participant === shown?.participant && agreed?.source === shown?.source) return null;
  content.shown = agreed === null ? null : { mid: slot.mid, ...agreed };
  return { removed: shown, added: content.shown };
}

// In which slot each source of a participant is shown: in one at a time. In the slots of active speakers, audio moves from
// slot to slot, and is found in the new one before the old one is known to hold another's.

import type { RemoteTrack, SlotChange } from "./slots.ts";

/** Effect of a change of the slots on what is shown. */
export interface Moves {
  readonly removed: RemoteTrack | null;
  /** Tracks that are shown now, or in another slot than before. */
  readonly added: readonly RemoteTrack[];
}

/** The slots that count. */
export class TrackPlaces {
  readonly #mids = new Map<string, string>();

  /** Applies a change. `shown` are the tracks in all slots after it. */
  apply({ removed, added }: SlotChange, shown: readonly RemoteTrack[]): Moves {
    const moves: RemoteTrack[] = [];
    let gone: RemoteTrack | null = null;
    if (removed !== null && this.#mids.get(key(removed)) === removed.mid) {
      const elsewhere = shown.find((one) => key(one) === key(removed) && one.mid !== removed.mid);
      if (elsewhere === undefined) {
        this.#mids.delete(key(removed));
        gone = removed;
      } else {
        moves.push(elsewhere);
      }
    }
    if (added !== null) moves.push(added);
    for (const moved of moves) this.#mids.set(key(moved), moved.mid);
    return { removed: gone, added: moves };
  }

  /** Whether this is where its track is shown. */
  holds(track: RemoteTrack): boolean {
    return this.#mids.get(key(track)) === track.mid;
  }
}

function key({ participant, source }: RemoteTrack): string {
  return `${source} ${participant}`;
}

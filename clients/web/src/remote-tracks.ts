// What the others publish, as the server lists it. Of it only the mute state is used, which is a hint: the server can
// hide that someone is muted, but neither mute nor unmute anyone's frames.

import type { Source, Track, TrackId, Tracks } from "./protocol/generated.ts";

/** Whether a source of a participant is muted. One that is not published is muted. */
export interface MuteChange {
  readonly participant: number;
  readonly source: Source;
  readonly muted: boolean;
}

/** The list of remote tracks. */
export class RemoteTracks {
  readonly #tracks = new Map<TrackId, Track>();

  /** Applies a change of the list; returns what it changes for those who look. */
  apply({ add, del, upd }: Tracks): MuteChange[] {
    const changes: MuteChange[] = [];
    for (const id of del) {
      const track = this.#tracks.get(id);
      this.#tracks.delete(id);
      if (track !== undefined) changes.push({ participant: track.participant, source: track.source, muted: true });
    }
    for (const track of [...add, ...upd]) {
      this.#tracks.set(track.track, track);
      changes.push({ participant: track.participant, source: track.source, muted: track.muted });
    }
    return changes;
  }

  /** Whether a participant's source is muted or absent. */
  muted(participant: number, source: Source): boolean {
    for (const track of this.#tracks.values()) {
      if (track.participant === participant && track.source === source) return track.muted;
    }
    return true;
  }
}

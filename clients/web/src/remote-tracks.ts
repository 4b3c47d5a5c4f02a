// The tracks of the other participants, as the server lists them. Only their mute state is used, and only as a hint: the
// server can hide that someone is muted, but it can neither mute nor unmute anyone's frames.

import type { ParticipantId, Source, Track, TrackId, Tracks } from "./protocol/generated.ts";

/** Whether a source of a participant is muted. A source that is not published counts as muted. */
export interface MuteChange {
  readonly participant: ParticipantId;
  readonly source: Source;
  readonly muted: boolean;
}

/** The list of remote tracks. */
export class RemoteTracks {
  readonly #tracks = new Map<TrackId, Track>();

  /** Applies a change of the list. Returns the resulting mute states. */
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

  /** Whether a participant's source is muted or not published. */
  muted(participant: ParticipantId, source: Source): boolean {
    for (const track of this.#tracks.values()) {
      if (track.participant === participant && track.source === source) return track.muted;
    }
    return true;
  }
}

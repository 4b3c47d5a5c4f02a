// The tracks of the other participants, as the server lists them. Only their state is used, and only as a hint: the
// server can hide that someone is muted, but it can neither mute nor unmute anyone's frames.

import type { ParticipantId, Source, Track, TrackId, Tracks } from "./protocol/generated.ts";

/** Whether a source of a participant is muted. A source that is not published counts as muted. */
export interface MuteChange {
  readonly participant: ParticipantId;
  readonly source: Source;
  readonly muted: boolean;
}

/** Whether an unmuted source of a participant sends nothing. */
export interface StallChange {
  readonly participant: ParticipantId;
  readonly source: Source;
  readonly stalled: boolean;
}

/** The effect of a change of the list. */
export interface TracksUpdate {
  readonly muted: readonly MuteChange[];
  readonly stalled: readonly StallChange[];
}

/** The list of remote tracks. */
export class RemoteTracks {
  #tracks = new Map<TrackId, Track>();

  /** Replaces the list with that of the answer to `join`. */
  start(tracks: readonly Track[]): TracksUpdate {
    const listed = new Set(tracks.map(({ track }) => track));
    return this.apply({ add: [...tracks], del: [...this.#tracks.keys()].filter((id) => !listed.has(id)), upd: [] });
  }

  /** Applies a change. */
  apply({ add, del, upd }: Tracks): TracksUpdate {
    const muted: MuteChange[] = [];
    const stalled: StallChange[] = [];
    const changed = (track: Track, before: Track | undefined, isMuted: boolean, isStalled: boolean): void => {
      const { participant, source } = track;
      muted.push({ participant, source, muted: isMuted });
      if ((before?.stalled ?? false) !== isStalled) stalled.push({ participant, source, stalled: isStalled });
    };
    for (const id of del) {
      const track = this.#tracks.get(id);
      this.#tracks.delete(id);
      if (track !== undefined) changed(track, track, true, false);
    }
    for (const track of [...add, ...upd]) {
      const before = this.#tracks.get(track.track);
      this.#tracks.set(track.track, track);
      changed(track, before, track.muted, track.stalled ?? false);
    }
    return { muted, stalled };
  }

  /** Returns the id of a participant's track; `null` if the source is not published. */
  id(participant: ParticipantId, source: Source): TrackId | null {
    return this.#find(participant, source)?.track ?? null;
  }

  /** Whether a participant's source is muted or not published. */
  muted(participant: ParticipantId, source: Source): boolean {
    return this.#find(participant, source)?.muted ?? true;
  }

  /** Whether a participant's source is unmuted and sends nothing. */
  stalled(participant: ParticipantId, source: Source): boolean {
    return this.#find(participant, source)?.stalled ?? false;
  }

  #find(participant: ParticipantId, source: Source): Track | undefined {
    for (const track of this.#tracks.values()) {
      if (track.participant === participant && track.source === source) return track;
    }
    return undefined;
  }
}

// Who can be reached. Pure: the time is an argument, monotonic, in milliseconds.
//
// The server says who is away. Media says more: whose frames arrive is present, whatever the server says, and while the
// server is out of reach, all others are away soon. Being away is not leaving: no one disappears by it.

import type { Presence } from "./participant.ts";
import type { ParticipantId } from "./protocol/generated.ts";

/** How long frames prove that their sender is present. */
const MEDIA_MS = 1_500;
/** How long the server may be out of reach before those without media count as away. */
const GRACE_MS = 2_000;

/** What the presence of participants follows from. */
export interface PresenceInput {
  readonly now: number;
  readonly participants: Iterable<ParticipantId>;
  /** Whether the server says that a participant is away. */
  isAway(participant: ParticipantId): boolean;
  /** Since when there is no signaling link; `null` while there is one. */
  readonly detachedSince: number | null;
}

/** The presence of all participants. */
export class Presences {
  readonly #away = new Set<ParticipantId>();
  readonly #lastMedia = new Map<ParticipantId, number>();

  /** Frames of a participant were opened. */
  heard(participant: ParticipantId, now: number): void {
    this.#lastMedia.set(participant, now);
  }

  /** A participant has left. */
  remove(participant: ParticipantId): void {
    this.#away.delete(participant);
    this.#lastMedia.delete(participant);
  }

  /** Returns the presence as of the last update. */
  of(participant: ParticipantId): Presence {
    return this.#away.has(participant) ? "away" : "present";
  }

  /** Returns the participants whose presence changed. */
  update({ now, participants, isAway, detachedSince }: PresenceInput): ParticipantId[] {
    const changed: ParticipantId[] = [];
    const cutOff = detachedSince !== null && now - detachedSince >= GRACE_MS;
    for (const participant of participants) {
      const heard = now - (this.#lastMedia.get(participant) ?? Number.NEGATIVE_INFINITY) <= MEDIA_MS;
      const away = !heard && (cutOff || isAway(participant));
      if (away === this.#away.has(participant)) continue;
      if (away) this.#away.add(participant);
      else this.#away.delete(participant);
      changed.push(participant);
    }
    return changed;
  }
}

// The other participants: who is on the roster, who has proved to have the secret, and who can be reached.
//
// Only verified participants are reported. One that returns with new keys keeps its id: it is verified again, and its keys
// of before being void is no departure. It has left when it is not listed any more, or does not prove itself in time.

import { Emitter } from "./emitter.ts";
import type { Presence } from "./participant.ts";
import { Presences } from "./presences.ts";
import type { Expected, Joined, ParticipantId, Roster as RosterMessage } from "./protocol/generated.ts";
import { Roster } from "./roster.ts";

/** How long a participant may be off the roster before it has left: one that returns is listed again at once. */
const LEAVE_MS = 300;
/** How long a participant that is listed with void keys may take to prove itself with new ones. */
const RETURN_MS = 10_000;
/** How long a server that restarted may gather those who were in the call. */
const GATHERING_MS = 40_000;

/** How long after joining those who were there before may take to prove themselves. */
const FIRST_MS = 10_000;

/** A participant that proved to have the secret. */
export interface Verified {
  readonly participant: ParticipantId;
  readonly name: string;
}

type OthersEvents = {
  /** Repeated when a participant returns with new keys. */
  verified: Verified;
  gone: ParticipantId;
  presence: { readonly participant: ParticipantId; readonly presence: Presence };
  /** The keys of these participants are void. */
  left: readonly ParticipantId[];
};

/** The other participants of a call. */
export class Others extends Emitter<OthersEvents> {
  readonly #roster = new Roster();
  readonly #presences = new Presences();
  readonly #verified = new Set<ParticipantId>();
  /** Verified participants whose keys are void. */
  readonly #returning = new Map<ParticipantId, ReturnType<typeof setTimeout>>();
  /** Those who were on the roster when this device joined. */
  #first: ReadonlySet<ParticipantId> | undefined;
  #startedAt = 0;
  #gathering: ReturnType<typeof setTimeout> | undefined;

  /** The server answered `join`. With new keys of this device, everyone has to be verified again. */
  start(joined: Joined, newKeys: boolean): void {
    if (this.#first === undefined) {
      this.#first = new Set(joined.roster.map(({ participant }) => participant));
      this.#startedAt = performance.now();
    }
    if (newKeys) {
      const known = this.#verified;
      for (const participant of known) this.#await(participant, RETURN_MS);
      if (!joined.gathering) this.#roster.clear();
    }
    const { left } = this.#roster.start(joined);
    this.#left(left);
    if (newKeys) for (const participant of this.#verified) if (!this.#roster.has(participant)) this.#leave(participant);
    this.#endGathering();
    if (!joined.gathering) return;
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined;
      this.#left(this.#roster.giveUpAbsent());
    }, GATHERING_MS);
  }

  /** Applies a change of the roster. Returns whether one before it was missed. */
  apply(message: RosterMessage): boolean {
    if (message.full) this.#endGathering();
    const { left, gap } = this.#roster.apply(message);
    this.#left(left);
    return gap;
  }

  /** A participant whose keys were void has new ones. */
  returned(participant: ParticipantId): void {
    this.#settle(participant);
  }

  /** A participant proved to have the secret. */
  verify(verified: Verified): void {
    const { participant } = verified;
    this.#settle(participant);
    this.#verified.add(participant);
    this.emit("verified", verified);
  }

  /** The session has erased the keys of a participant. */
  remove(participant: ParticipantId): void {
    if (!this.#verified.has(participant)) return;
    if (this.#roster.has(participant)) this.#await(participant, RETURN_MS);
    else this.#leave(participant);
  }

  /** Frames of participants were opened. */
  heard(participants: Iterable<ParticipantId>, now: number): void {
    for (const participant of participants) this.#presences.heard(participant, now);
  }

  /** Updates who can be reached. `detachedSince` is when the signaling link was lost, or `null`. */
  updatePresence(now: number, detachedSince: number | null): void {
    const changed = this.#presences.update({
      now,
      // Who is about to leave or return is as it was.
      participants: [...this.#verified].filter((participant) => !this.#returning.has(participant)),
      isAway: (participant) => this.#roster.isAway(participant),
      detachedSince,
    });
    for (const participant of changed) this.emit("presence", { participant, presence: this.presence(participant) });
  }

  /** Returns whether a participant can be reached. */
  presence(participant: ParticipantId): Presence {
    return this.#presences.of(participant);
  }

  /**
   * Whether a participant that proves itself now was in the call when this device joined. The server's word counts for the
   * first seconds alone, so that no one it named then can join unnoticed later.
   */
  wasHere(participant: ParticipantId): boolean {
    return this.#first?.has(participant) === true && performance.now() - this.#startedAt < FIRST_MS;
  }

  /** Whether the server says that a participant is away. */
  isAway(participant: ParticipantId): boolean {
    return this.#roster.isAway(participant);
  }

  /** The participants on the roster, for a server that has forgotten them. */
  expected(): Expected[] {
    return this.#roster.expected();
  }

  /** Emits nothing any more. */
  close(): void {
    this.#endGathering();
    for (const timer of this.#returning.values()) clearTimeout(timer);
    this.#returning.clear();
  }

  #endGathering(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
  }

  #left(left: readonly ParticipantId[]): void {
    if (left.length === 0) return;
    this.emit("left", left);
    for (const participant of left) this.remove(participant);
  }

  /** A participant is not on the roster. It may be listed again by the next message. */
  #leave(participant: ParticipantId): void {
    this.#await(participant, LEAVE_MS);
  }

  #await(participant: ParticipantId, milliseconds: number): void {
    this.#settle(participant);
    const timer = setTimeout(() => {
      const mayReturn = milliseconds < RETURN_MS || this.#gathering !== undefined;
      if (mayReturn && this.#roster.has(participant)) this.#await(participant, RETURN_MS);
      else this.#gone(participant);
    }, milliseconds);
    this.#returning.set(participant, timer);
  }

  #settle(participant: ParticipantId): void {
    clearTimeout(this.#returning.get(participant));
    this.#returning.delete(participant);
  }

  #gone(participant: ParticipantId): void {
    this.#settle(participant);
    this.#presences.remove(participant);
    if (this.#verified.delete(participant)) this.emit("gone", participant);
  }
}

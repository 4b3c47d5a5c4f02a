// The participants of the call as the server lists them, by revision.
//
// A participant that returns with new keys keeps its id and has another seat: for keys it left and joined. After a restart
// of the server, those who have not returned yet are kept as absent until the server lists everyone who came back.

import type {
  Expected,
  Joined,
  ParticipantId,
  Roster as RosterChange,
  RosterEntry,
  Seat,
} from "./protocol/generated.ts";

/** The effect of a change. */
export interface RosterUpdate {
  /** Participants whose keys of before are void: they left, or returned with new ones. */
  readonly left: readonly ParticipantId[];
  /** Whether a change before this one was missed, so that the whole roster is needed. */
  readonly gap: boolean;
}

interface Member {
  readonly seat: Seat;
  readonly away: boolean;
  /** Not listed by a server that restarted, and expected back. */
  readonly absent: boolean;
}

/** The other participants. */
export class Roster {
  #members = new Map<ParticipantId, Member>();
  #revision = 0;

  /** Starts with the roster of the answer to `join`, and keeps those it lacks as absent while the server gathers them. */
  start({ rev, roster, gathering }: Pick<Joined, "rev" | "roster" | "gathering">): RosterUpdate {
    this.#revision = rev;
    if (!gathering) return { left: this.#replace(roster), gap: false };
    const listed = new Set(roster.map(({ participant }) => participant));
    for (const [participant, member] of this.#members) {
      if (!listed.has(participant)) this.#members.set(participant, { ...member, absent: true });
    }
    return { left: this.#merge(roster), gap: false };
  }

  /** Forgets the participants, for a new session, which knows none yet. */
  clear(): void {
    this.#members = new Map();
  }

  /** Applies a change. */
  apply({ rev, full, add, del, upd = [] }: RosterChange): RosterUpdate {
    const gap = !full && rev !== this.#revision + 1;
    this.#revision = rev;
    // Departures of participants that this client never saw concern its keys too.
    const left = new Set(del);
    if (!full) for (const participant of del) this.#members.delete(participant);
    for (const participant of full ? this.#replace(add) : this.#merge([...add, ...upd])) left.add(participant);
    return { left: [...left], gap };
  }

  /** The server has had time to gather everyone: those who are still absent have left. */
  giveUpAbsent(): ParticipantId[] {
    const left = [...this.#members].flatMap(([participant, { absent }]) => (absent ? [participant] : []));
    for (const participant of left) this.#members.delete(participant);
    return left;
  }

  /** Whether a participant is in the call, or expected back. */
  has(participant: ParticipantId): boolean {
    return this.#members.has(participant);
  }

  /** Whether the server says that a participant is away, or lacks it since it restarted. */
  isAway(participant: ParticipantId): boolean {
    const member = this.#members.get(participant);
    return member !== undefined && (member.away || member.absent);
  }

  /** The participants, for a server that has forgotten them. */
  expected(): Expected[] {
    return [...this.#members].map(([participant, { seat }]) => ({ participant, seat }));
  }

  /** Takes entries in. Returns those that have another seat than before. */
  #merge(entries: readonly RosterEntry[]): ParticipantId[] {
    const left: ParticipantId[] = [];
    for (const { participant, seat, away = false } of entries) {
      const known = this.#members.get(participant);
      if (known !== undefined && known.seat !== seat) left.push(participant);
      this.#members.set(participant, { seat, away, absent: false });
    }
    return left;
  }

  /** Takes the whole roster. Returns those that left or have another seat than before. */
  #replace(entries: readonly RosterEntry[]): ParticipantId[] {
    const listed = new Set(entries.map(({ participant }) => participant));
    const gone = [...this.#members.keys()].filter((participant) => !listed.has(participant));
    for (const participant of gone) this.#members.delete(participant);
    return [...gone, ...this.#merge(entries)];
  }
}

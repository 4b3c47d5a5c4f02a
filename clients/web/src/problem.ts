// What a call reports about its encryption.

import type { ParticipantId } from "./protocol/generated.ts";
import type { ProblemCode } from "./worker/action.ts";

/** A problem with encryption that the user should know about. */
export interface Problem {
  readonly code:
    | ProblemCode
    /** Media bypassed its transform, and was stopped. */
    | "transform-bypassed"
    /** The worker that encrypts crashed, ended or hung. The call is joined again with new keys. */
    | "encryption-stopped";
  /** The participant concerned; `null` for this device. */
  readonly participant: ParticipantId | null;
  /** With `clock-skew` of this device: minutes by which its clock is ahead; negative if it is behind. */
  readonly minutes?: number;
}

/** Epoch of this device's session key: its generation, and the ratchet step in it. */
export interface KeyEpoch {
  readonly generation: number;
  readonly step: number;
}

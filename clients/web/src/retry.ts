// Which errors end a call, and when a lost connection is tried again.

import type { TacetError } from "./errors.ts";

/** Delays before the first attempts. */
const FIRST_DELAYS_MS = [100, 300, 600, 1_200];
/** Longest delay in the first minutes of an outage, and how long those are. */
const SHORT_DELAY_MS = 2_000;
const SHORT_PERIOD_MS = 120_000;
/** Factor from one delay to the next after that, and the longest of all. */
const GROWTH = 1.5;
const LONGEST_DELAY_MS = 10_000;

/** How long one attempt may take, in the first minutes of an outage and later. */
const SHORT_ATTEMPT_MS = 5_000;
const LONG_ATTEMPT_MS = 15_000;

/** The server's word that the call, or this participant's part in it, is over; or a server that must not be obeyed. */
const GONE: ReadonlySet<TacetError["code"]> = new Set([
  "access-refused",
  "no-room",
  "removed",
  "moved",
  "ended",
  "server-violation",
] as const);

/** Errors that another attempt to join would not resolve by itself. */
const FINAL: ReadonlySet<TacetError["code"]> = new Set([
  ...GONE,
  "bad-link",
  "unsupported-browser",
  "room-full",
  "room-locked",
  "encryption",
  "clock-skew",
  "device",
  "message-too-large",
] as const);

/** Whether an error ends a call that goes on. Everything else is repaired for as long as the person stays. */
export function endsCall(error: TacetError): boolean {
  return GONE.has(error.code);
}

/** Whether an error ends an attempt to join, so that no further one is made. */
export function endsJoining(error: TacetError): boolean {
  return FINAL.has(error.code);
}

/** The attempts to repair one outage. Times are monotonic, in milliseconds. */
export class Backoff {
  readonly #start: number;
  readonly #random: () => number;
  #attempts = 0;
  #delay = SHORT_DELAY_MS;

  constructor(start: number, random: () => number = Math.random) {
    this.#start = start;
    this.#random = random;
  }

  /**
   * Returns the delay before the next attempt. Half of it is random, so that the clients of a restarted server do not all
   * return at once.
   */
  next(now: number): number {
    const first = FIRST_DELAYS_MS[this.#attempts];
    this.#attempts += 1;
    if (now - this.#start >= SHORT_PERIOD_MS) this.#delay = Math.min(this.#delay * GROWTH, LONGEST_DELAY_MS);
    const delay = first ?? this.#delay;
    return delay / 2 + (this.#random() * delay) / 2;
  }

  /** Returns how long an attempt that begins now may take. */
  limit(now: number): number {
    return now - this.#start < SHORT_PERIOD_MS ? SHORT_ATTEMPT_MS : LONG_ATTEMPT_MS;
  }
}

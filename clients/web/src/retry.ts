// When a lost connection is opened again.

import type { TacetError } from "./errors.ts";

/** Delays before the first attempts. */
const BACKOFF_MS = [300, 1_000, 2_000, 4_000];
/** Delay before every later attempt. */
const LONGEST_BACKOFF_MS = 8_000;

/** Errors that another attempt would not resolve. */
const FINAL: ReadonlySet<TacetError["code"]> = new Set([
  "access-refused",
  "no-room",
  "room-full",
  "encryption",
  "unsupported-browser",
  "ended",
] as const);

/** Whether an error ends the call, so that no further attempt is made. */
export function isFinal(error: TacetError): boolean {
  return FINAL.has(error.code);
}

/**
 * Returns the delay in milliseconds before an attempt, counted from 0. Half of it is random, so that the clients of a
 * restarted server do not all return at once.
 */
export function retryDelay(attempt: number, random: () => number = Math.random): number {
  const delay = BACKOFF_MS[attempt] ?? LONGEST_BACKOFF_MS;
  return delay / 2 + (random() * delay) / 2;
}

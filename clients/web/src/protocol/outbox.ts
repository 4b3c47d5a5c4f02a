// What waits to be sent, in order of urgency and inside the server's rate.
//
// The server accepts 30 messages in any second and strikes for each one more. The outbox sends at most 25 in any
// second, leaving room for the jitter between two clocks. Keys go first, because no frame can be read without them;
// then control, then state (of which only the latest value of each object matters), then chat.
//
// Pure: time is an argument, sending is the caller's.

import { CLIENT_OUTBOX_PER_SECOND } from "./generated.ts";

/** Urgency of a message, most urgent first. */
export const Priority = { Keys: 0, Control: 1, State: 2, Chat: 3 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** A message as the socket takes it. */
export type Payload = string | Uint8Array<ArrayBuffer>;

interface Entry {
  payload: Payload;
  /** What the message is the state of; a later one of the same object replaces it. */
  readonly object: string | undefined;
}

const WINDOW_MS = 1_000;

/** A prioritised, rate-limited queue. */
export class Outbox {
  readonly #queues: Entry[][] = [[], [], [], []];
  /** Instants of the last sends, oldest first, at most as many as the rate. */
  readonly #sent: number[] = [];
  readonly #rate: number;

  /** @param rate messages in any second */
  constructor(rate: number = CLIENT_OUTBOX_PER_SECOND) {
    this.#rate = rate;
  }

  /** Messages that wait. */
  get length(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.length, 0);
  }

  /**
   * Adds a message. One with the same `object` that still waits in the same queue is replaced and keeps its place.
   */
  push(priority: Priority, payload: Payload, object?: string): void {
    const queue = this.#queues[priority];
    if (queue === undefined) return;
    const waiting = object === undefined ? undefined : queue.find((entry) => entry.object === object);
    if (waiting === undefined) queue.push({ payload, object });
    else waiting.payload = payload;
  }

  /** The next message that may be sent at `now` (milliseconds, monotonic), counted as sent; `null` if none may. */
  take(now: number): Payload | null {
    if (this.delay(now) !== 0) return null;
    const entry = this.#queues.find((queue) => queue.length > 0)?.shift();
    if (entry === undefined) return null;
    if (this.#sent.length === this.#rate) this.#sent.shift();
    this.#sent.push(now);
    return entry.payload;
  }

  /** Milliseconds until `take` gives a message; `null` if nothing waits. */
  delay(now: number): number | null {
    if (this.length === 0) return null;
    const oldest = this.#sent[0];
    if (oldest === undefined || this.#sent.length < this.#rate) return 0;
    return Math.max(0, oldest + WINDOW_MS - now);
  }
}

// Messages that wait to be sent, in order of priority and within the server's rate limit.
//
// The server accepts 30 messages in any second and counts each further one against the client. The outbox sends at most
// 25 in any second, to allow for jitter between the two clocks. Keys go first, because no frame can be opened without
// them; then control messages, then state (of which only the latest value per object matters), then chat.
//
// Pure: the time is an argument, and the caller does the sending.

import { CLIENT_OUTBOX_PER_SECOND } from "./generated.ts";

/** Priority of a message, highest first. */
export const Priority = { Keys: 0, Control: 1, State: 2, Chat: 3 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** A message as passed to the WebSocket. */
export type Payload = string | Uint8Array<ArrayBuffer>;

interface Entry {
  payload: Payload;
  /** The object whose state the message carries. A later message for the same object replaces it. */
  readonly object: string | undefined;
}

const WINDOW_MS = 1_000;

/** A rate-limited priority queue. */
export class Outbox {
  readonly #queues: Entry[][] = [[], [], [], []];
  /** Times of the last sends, oldest first; at most `rate` of them. */
  readonly #sent: number[] = [];
  readonly #rate: number;

  /** @param rate maximum number of messages in any second */
  constructor(rate: number = CLIENT_OUTBOX_PER_SECOND) {
    this.#rate = rate;
  }

  /** Number of waiting messages. */
  get length(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.length, 0);
  }

  /**
   * Adds a message. If one with the same `object` and priority is waiting, its payload is replaced in place.
   */
  push(priority: Priority, payload: Payload, object?: string): void {
    const queue = this.#queues[priority];
    if (queue === undefined) return;
    const waiting = object === undefined ? undefined : queue.find((entry) => entry.object === object);
    if (waiting === undefined) queue.push({ payload, object });
    else waiting.payload = payload;
  }

  /** Takes the next message that may be sent at `now` (milliseconds, monotonic). Returns `null` if none may be sent. */
  take(now: number): Payload | null {
    if (this.delay(now) !== 0) return null;
    const entry = this.#queues.find((queue) => queue.length > 0)?.shift();
    if (entry === undefined) return null;
    if (this.#sent.length === this.#rate) this.#sent.shift();
    this.#sent.push(now);
    return entry.payload;
  }

  /** Milliseconds until `take` returns a message, or `null` if none is waiting. */
  delay(now: number): number | null {
    if (this.length === 0) return null;
    const oldest = this.#sent[0];
    if (oldest === undefined || this.#sent.length < this.#rate) return 0;
    return Math.max(0, oldest + WINDOW_MS - now);
  }
}

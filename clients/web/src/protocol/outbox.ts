// Messages that wait to be sent, in order of priority and within the server's rate limits.
//
// The server accepts 30 messages in any second and counts each further one against the client. The outbox sends at most
// 25 in any second, to allow for jitter between the two clocks. Keys go first, because no frame can be opened without
// them; then control messages, then state (of which only the latest value per object matters), then chat. A message of a
// type that is used up waits, and those of other types behind it do not.
//
// Pure: the time is an argument, and the caller does the sending.

import type { Allowances, MessageType } from "./allowances.ts";
import { CLIENT_OUTBOX_PER_SECOND } from "./generated.ts";

/** Priority of a message, highest first. */
export const Priority = { Keys: 0, Control: 1, State: 2, Chat: 3 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** A message as passed to the WebSocket. */
export type Payload = string | Uint8Array<ArrayBuffer>;

/** A message that waits. */
export interface Waiting {
  readonly type: MessageType;
  readonly payload: Payload;
  readonly priority: Priority;
  /** The object whose state the message carries. A later message for the same object replaces it. */
  readonly object?: string | undefined;
}

const WINDOW_MS = 1_000;

/** A rate-limited priority queue. */
export class Outbox {
  readonly #queues: Waiting[][] = [[], [], [], []];
  /** Times of the last sends, oldest first; at most `rate` of them. */
  readonly #sent: number[] = [];
  readonly #allowances: Allowances;
  readonly #rate: number;

  /** @param rate maximum number of messages in any second */
  constructor(allowances: Allowances, rate: number = CLIENT_OUTBOX_PER_SECOND) {
    this.#allowances = allowances;
    this.#rate = rate;
  }

  /** Number of waiting messages. */
  get length(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Adds a message. It takes the place of one with the same `object` and priority that is waiting. */
  push(message: Waiting): void {
    const queue = this.#queues[message.priority];
    if (queue === undefined) return;
    const { object } = message;
    const index = object === undefined ? -1 : queue.findIndex((one) => one.object === object);
    if (index < 0) queue.push(message);
    else queue[index] = message;
  }

  /** Takes the next message that may be sent at `now` (milliseconds, monotonic). Returns `null` if none may be sent. */
  take(now: number): Payload | null {
    if (this.#windowDelay(now) !== 0) return null;
    for (const queue of this.#queues) {
      const index = queue.findIndex(({ type }) => this.#allowances.delay(type, now) === 0);
      const [message] = index < 0 ? [] : queue.splice(index, 1);
      if (message === undefined) continue;
      if (this.#sent.length === this.#rate) this.#sent.shift();
      this.#sent.push(now);
      this.#allowances.spend(message.type, now);
      return message.payload;
    }
    return null;
  }

  /** Milliseconds until `take` returns a message, or `null` if none is waiting. */
  delay(now: number): number | null {
    if (this.length === 0) return null;
    const types = new Set(this.#queues.flat().map(({ type }) => type));
    const soonest = Math.min(...[...types].map((type) => this.#allowances.delay(type, now)));
    return Math.max(this.#windowDelay(now), soonest);
  }

  #windowDelay(now: number): number {
    const oldest = this.#sent[0];
    if (oldest === undefined || this.#sent.length < this.#rate) return 0;
    return Math.max(0, oldest + WINDOW_MS - now);
  }
}

// How often this client sends messages of each type, so that it stays inside the server's rates. Pure: the time is an
// argument, monotonic, in milliseconds.
//
// The server's allowance belongs to the session and not to its connection, so this one outlives sockets. It leaves a part
// of each burst unused: what the network delays arrives in closer succession than it was sent.

import { TYPE_RATES } from "./generated.ts";

/** Type of a message, as limits tell them apart. */
export type MessageType = keyof typeof TYPE_RATES;

/** Part of the server's burst that is used. */
const USED = 0.75;

/** What may still be sent of each type. */
export class Allowances {
  /** When everything that was sent is paid for, by type (GCRA). */
  readonly #paid = new Map<MessageType, number>();

  /** Returns after how many milliseconds a message of this type may be sent. */
  delay(type: MessageType, now: number): number {
    // One for each connection, before it is known whether the session goes on.
    if (type === "hello") return 0;
    const { burst, every_ms: interval } = TYPE_RATES[type];
    const ahead = Math.max(1, Math.floor(burst * USED)) - 1;
    return Math.max(0, (this.#paid.get(type) ?? now) - ahead * interval - now);
  }

  /** A message of this type is sent. */
  spend(type: MessageType, now: number): void {
    this.#paid.set(type, Math.max(this.#paid.get(type) ?? now, now) + TYPE_RATES[type].every_ms);
  }
}

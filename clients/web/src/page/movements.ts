// Says who joined and who left. What happens at once is said at once: a notice for each of a hundred people helps no one.

import { notify } from "./notice.ts";
import { movementSentence } from "./words.ts";

/** How long further ones are awaited. */
const GATHER_MS = 700;

/** The notices of one call. */
export class Movements {
  readonly #gathered = { joined: new Set<string>(), left: new Set<string>() };
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** A participant of this name joined. */
  joined(name: string): void {
    this.#add("joined", name);
  }

  /** A participant of this name left. */
  left(name: string): void {
    this.#add("left", name);
  }

  /** Says nothing any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #add(what: "joined" | "left", name: string): void {
    this.#gathered[what].add(name);
    this.#timer ??= setTimeout(() => this.#say(), GATHER_MS);
  }

  #say(): void {
    this.#timer = undefined;
    for (const what of ["joined", "left"] as const) {
      const names = this.#gathered[what];
      if (names.size > 0) notify(movementSentence(what, [...names]));
      names.clear();
    }
  }
}

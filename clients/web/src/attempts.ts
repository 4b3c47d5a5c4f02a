// When the next attempt to enter a call begins, while it is lost.
//
// An outage has its own sequence of delays. One that begins soon after the last one continues it, so that its attempts
// become no more frequent.

import { Backoff } from "./retry.ts";

/** An outage that begins sooner after the last one continues it. */
const STABLE_MS = 10_000;

/** The attempts of one connection. */
export class Attempts {
  readonly #run: (limit: number) => void;
  readonly #changed: () => void;
  #backoff: Backoff | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #next: number | null = null;
  #enteredAt = Number.NEGATIVE_INFINITY;

  /**
   * @param run makes an attempt that may take this many milliseconds
   * @param changed is called when `next` has changed
   */
  constructor(run: (limit: number) => void, changed: () => void) {
    this.#run = run;
    this.#changed = changed;
  }

  /** When the next attempt begins; `null` while one is in progress or none is needed. */
  get next(): number | null {
    return this.#next;
  }

  /** An attempt succeeded. */
  entered(): void {
    this.#enteredAt = performance.now();
  }

  /** The call is lost: the first attempt follows soon. */
  lost(): void {
    const now = performance.now();
    if (this.#backoff === undefined || now - this.#enteredAt >= STABLE_MS) this.#backoff = new Backoff(now);
    this.again();
  }

  /** An attempt failed: the next one follows after its delay. */
  again(): void {
    const now = performance.now();
    this.#schedule(this.#outage(now).next(now));
  }

  /** The next attempt shows the server something else, and waits for nothing. */
  atOnce(): void {
    this.#schedule(0);
  }

  /** The next attempt, if there is one, waits no longer. */
  hurry(): void {
    if (this.#timer !== undefined) this.#schedule(0);
  }

  /** No further attempt is made. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #outage(now: number): Backoff {
    this.#backoff ??= new Backoff(now);
    return this.#backoff;
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    this.#next = performance.now() + delay;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#next = null;
      this.#changed();
      const now = performance.now();
      this.#run(this.#outage(now).limit(now));
    }, delay);
    this.#changed();
  }
}

// Runs work for changes that come in bursts: soon after the first one, and not more often than once in an interval.

/** Work that is requested often and done rarely. */
export class Coalescer {
  readonly #work: () => void;
  readonly #settle: number;
  readonly #interval: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = Number.NEGATIVE_INFINITY;

  /**
   * @param settle milliseconds from a request to the work, so that changes which come together are one
   * @param interval least number of milliseconds from work to work
   */
  constructor(work: () => void, { settle, interval }: { settle: number; interval: number }) {
    this.#work = work;
    this.#settle = settle;
    this.#interval = interval;
  }

  /** Asks for the work to be done. It covers all requests before it. */
  request(): void {
    if (this.#timer !== undefined) return;
    const delay = Math.max(this.#settle, this.#last + this.#interval - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#last = performance.now();
      this.#work();
    }, delay);
  }

  /** Does nothing any more that was requested before. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

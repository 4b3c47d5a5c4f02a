// Notices that a worker is dead, or hangs. It reports neither by itself: `terminate` and a crash raise no event.
//
//   dead    The worker holds a Web Lock for as long as it lives, and the page waits for the same lock. The browser grants
//           it to the page when the worker is gone, at once and at no other time: a worker that is merely busy holds its
//           lock, and so does one that is frozen together with its page.
//   hangs   Nothing has come from the worker for many ticks of a timer of the page, although each tick asks it for a sign of
//           life. Ticks are counted and not time, and a late tick starts the count again: it ran in a page that was frozen,
//           throttled or short of time, and so was its worker.

/** Time between two ticks. */
export const TICK_MS = 1_000;
/** A tick that is late by this much says nothing about the worker. */
export const LATE_MS = 500;
/** Ticks without a sign of life after which a worker hangs. Long, since it may be busy with what the page sent it. */
export const HUNG_TICKS = 10;

/** Counts ticks without a sign of life. Pure: the time is an argument, monotonic, in milliseconds. */
export class Silence {
  #last: number;
  #ticks = 0;

  constructor(now: number) {
    this.#last = now;
  }

  /** The worker gave a sign of life. */
  heard(): void {
    this.#ticks = 0;
  }

  /** A tick. Returns whether the worker hangs. */
  tick(now: number): boolean {
    const late = now - this.#last >= TICK_MS + LATE_MS;
    this.#last = now;
    this.#ticks = late ? 0 : this.#ticks + 1;
    return this.#ticks >= HUNG_TICKS;
  }
}

/** What is done with a worker that is watched. */
export interface WatchedWorker {
  /** Asks for a sign of life. */
  ask(): void;
  /** It is dead, or hangs. Called at most once. */
  lost(how: "died" | "hangs"): void;
}

/** Watches one worker. */
export class WorkerLife {
  readonly #silence = new Silence(performance.now());
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #abort = new AbortController();
  readonly #worker: WatchedWorker;

  /** @param lock the name of the lock that the worker holds already; `null` if it holds none */
  constructor(lock: string | null, worker: WatchedWorker) {
    this.#worker = worker;
    this.#timer = setInterval(() => {
      if (this.#silence.tick(performance.now())) this.#lost("hangs");
      else worker.ask();
    }, TICK_MS);
    // Without the lock, the timer alone watches.
    if (lock === null) return;
    // Rejects when it is aborted.
    globalThis.navigator?.locks
      ?.request(lock, { signal: this.#abort.signal }, () => this.#lost("died"))
      .catch(() => {});
  }

  /** A message of the worker arrived. */
  heard(): void {
    this.#silence.heard();
  }

  /** Watches no longer. */
  stop(): void {
    clearInterval(this.#timer);
    this.#abort.abort();
  }

  #lost(how: "died" | "hangs"): void {
    if (this.#abort.signal.aborted) return;
    this.stop();
    this.#worker.lost(how);
  }
}

/** Returns a name for the lock of a worker that no other worker of this origin has. */
export function lockName(): string {
  const random = crypto.getRandomValues(new Uint32Array(4));
  return `tacet-worker-${random.join("-")}`;
}

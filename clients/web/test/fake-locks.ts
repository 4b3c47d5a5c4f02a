// Web Locks of one origin, for tests: exclusive locks alone.

interface Request {
  run(): void;
}

/** `navigator.locks`, whose holders end when the test says so. */
export class FakeLocks {
  readonly #held = new Set<string>();
  readonly #waiting = new Map<string, Request[]>();

  request(
    name: string,
    options: { signal?: AbortSignal } | (() => unknown),
    callback: () => unknown = options as () => unknown,
  ): Promise<unknown> {
    const { signal } = typeof options === "function" ? {} : options;
    return new Promise((resolve, reject) => {
      const request: Request = {
        run: () => {
          this.#held.add(name);
          Promise.resolve(callback()).then((result) => {
            this.endHolder(name);
            resolve(result);
          }, reject);
        },
      };
      if (!this.#held.has(name)) {
        request.run();
        return;
      }
      const waiting = this.#waiting.get(name) ?? [];
      waiting.push(request);
      this.#waiting.set(name, waiting);
      signal?.addEventListener("abort", () => {
        waiting.splice(waiting.indexOf(request), 1);
        reject(new DOMException("", "AbortError"));
      });
    });
  }

  /** The holder of a lock is gone, as when its worker ends. */
  endHolder(name: string): void {
    if (!this.#held.delete(name)) return;
    this.#waiting.get(name)?.shift()?.run();
  }
}

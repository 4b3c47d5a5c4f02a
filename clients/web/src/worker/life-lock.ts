// The lock by which the page knows that the worker lives: see `worker-life.ts`.

/** Takes the lock of a worker, in the worker, until the worker ends. Resolves when it is taken, or cannot be. */
export function holdLock(name: string): Promise<void> {
  return new Promise((resolve) => {
    const locks = globalThis.navigator?.locks;
    if (locks === undefined) {
      resolve();
      return;
    }
    const held = (): Promise<never> => {
      resolve();
      return new Promise(() => {});
    };
    locks.request(name, held).catch(() => resolve());
  });
}

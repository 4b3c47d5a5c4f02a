// The lock by which the page knows that the worker lives: see `worker-life.ts`.

/** Takes the lock of a worker, in the worker, until the worker ends. Resolves with whether it could be taken. */
export function holdLock(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const locks = globalThis.navigator?.locks;
    if (locks === undefined) {
      resolve(false);
      return;
    }
    const held = (): Promise<never> => {
      resolve(true);
      return new Promise(() => {});
    };
    locks.request(name, held).catch(() => resolve(false));
  });
}

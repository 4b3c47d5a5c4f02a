// Bounds how long something is awaited that may never answer: a worker that is dead, or a browser's connection that is
// closed.

/** Resolves as `work` does, and rejects with `error` if that takes longer than `milliseconds`. */
export function withinTime<T>(work: Promise<T>, milliseconds: number, error: Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(error), milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

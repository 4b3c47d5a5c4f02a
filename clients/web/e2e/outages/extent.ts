// How long the tests of outages run: briefly with all other tests, long by `make chaos`.

/** Whether this is the long run. */
export const CHAOS = process.env.CHAOS !== undefined;

/** Lets an outage last for this time. Only the length of an outage is waited for; everything else is a condition. */
export function last(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
}

/** Returns the value below which this part (0 to 1) of the samples lies. */
export function percentile(samples: readonly number[], part: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN;
}

// The difference between this device's clock and the server's. Announces carry the time of their maker's clock, and others
// refuse those that are ten minutes or more from their own.

/** Difference from which a device is warned: a minute less than what others refuse, since their clocks differ too. */
const MAX_SKEW_MS = 9 * 60_000;
const MINUTE_MS = 60_000;

/**
 * Returns the minutes by which a clock is ahead of the server's, negative if it is behind, or `null` if the difference does
 * no harm. Both are in milliseconds since 1970.
 */
export function clockSkewMinutes(server: number, device: number): number | null {
  const skew = device - server;
  return Math.abs(skew) < MAX_SKEW_MS ? null : Math.round(skew / MINUTE_MS);
}

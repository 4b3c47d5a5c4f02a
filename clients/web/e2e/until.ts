/** Much longer than any condition needs, so that only a hang reaches it. */
const LIMIT_MS = 60_000;
const INTERVAL_MS = 100;

/**
 * Waits for a condition.
 *
 * @param condition returns `true` when it holds; any other value describes the current state for the error message
 * @throws {Error} with `what` and the last state, if it does not hold in time
 */
export async function until(what: string, condition: () => Promise<true | string | false>): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const seen = await condition();
    if (seen === true) return;
    if (Date.now() > end) throw new Error(`timed out: ${what}; last state: ${seen || "none"}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

/** Far beyond what any condition needs, so that only a hang meets it. */
const LIMIT_MS = 60_000;
const INTERVAL_MS = 100;

/**
 * Waits for a condition.
 *
 * @param condition `true` when it holds; anything else is what was seen instead, for the message
 * @throws {Error} naming `what` and the last thing seen, if it never holds
 */
export async function until(what: string, condition: () => Promise<true | string | false>): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    const seen = await condition();
    if (seen === true) return;
    if (Date.now() > end) throw new Error(`never: ${what}; last seen: ${seen || "nothing"}`);
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}

// What the page remembers on this device: the name and the chosen devices. Never a link: it holds the secret.

/** What is remembered. */
export type Preference = "name" | "microphone" | "camera";

const PREFIX = "tacet.";

/** A remembered value, or an empty text. Browsers that forbid storage remember nothing. */
export function recall(preference: Preference): string {
  try {
    return localStorage.getItem(PREFIX + preference) ?? "";
  } catch {
    return "";
  }
}

/** Remembers a value. */
export function remember(preference: Preference, value: string): void {
  try {
    localStorage.setItem(PREFIX + preference, value);
  } catch {
    // Asked again next time.
  }
}

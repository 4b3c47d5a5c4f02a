// Preferences that the page stores on this device: the name and the selected devices. Links are never stored, because
// they contain the secret.

/** A stored preference. */
export type Preference = "name" | "microphone" | "camera";

const PREFIX = "tacet.";

/** Returns a stored value, or an empty string if there is none or the browser blocks storage. */
export function recall(preference: Preference): string {
  try {
    return localStorage.getItem(PREFIX + preference) ?? "";
  } catch {
    return "";
  }
}

/** Stores a value. */
export function remember(preference: Preference, value: string): void {
  try {
    localStorage.setItem(PREFIX + preference, value);
  } catch {
    // The browser blocks storage. The user is asked again next time.
  }
}

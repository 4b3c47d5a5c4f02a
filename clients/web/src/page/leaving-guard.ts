// Keeps a call from being left by accident: closing the tab, the back button, and an edited address.

/** What the guard asks and reports. */
export interface Leaving {
  /** Whether leaving would be noticed: someone else is in the call. */
  others(): boolean;
  /** The back button was pressed. The page stays where it is until the person has answered. */
  back(): void;
  /** The address was edited. The call goes on under its own address. */
  addressChanged(): void;
}

/** How long after the keys for a reload the browser's question is left out: a reload comes back by itself. */
const RELOAD_KEY_MS = 2_000;

/** Guards the call at the current address. Returns a function that ends the guard. */
export function guardLeaving(leaving: Leaving): () => void {
  const address = location.href;
  const path = location.pathname;
  const entries = history.length;
  let reloadKey = Number.NEGATIVE_INFINITY;

  const onKey = (event: KeyboardEvent): void => {
    const reload = event.key === "F5" || ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "r");
    if (reload) reloadKey = performance.now();
  };
  const onUnload = (event: BeforeUnloadEvent): void => {
    if (leaving.others() && performance.now() - reloadKey > RELOAD_KEY_MS) event.preventDefault();
  };
  const onHistory = (): void => {
    if (location.href === address) return;
    // An edited `#` stays on the path of the call; the back button leads to another one.
    if (location.pathname === path) {
      // The edit usually made an entry, which must not stand between the call and where the back button leads.
      if (history.length > entries) history.back();
      else history.replaceState(history.state, "", address);
      leaving.addressChanged();
      return;
    }
    history.pushState(null, "", address);
    leaving.back();
  };

  addEventListener("keydown", onKey, { capture: true });
  addEventListener("beforeunload", onUnload);
  // An edited `#` also moves the history, so this event covers both.
  addEventListener("popstate", onHistory);
  return () => {
    removeEventListener("keydown", onKey, { capture: true });
    removeEventListener("beforeunload", onUnload);
    removeEventListener("popstate", onHistory);
  };
}

// What the browser says about the device: its network, and whether the page runs.

/** Notifications about the device. */
export interface EnvironmentListener {
  /** The page is visible again, or was restored: what was slow or stopped meanwhile goes on. */
  awake(): void;
  /** The device has a network again, or another one. */
  networkChanged(): void;
  /** The device has no network. */
  offline(): void;
}

/** Network Information API. Chromium implements it, Firefox does not. */
interface NetworkInformation extends EventTarget {
  /** Kind of network, such as `wifi`. Unknown on desktops. */
  readonly type?: string;
}

/** Listens to the browser. Returns a function that ends it. */
export function watchEnvironment(listener: EnvironmentListener): () => void {
  const network = networkInformation();
  let type = network?.type;
  const subscriptions: [target: EventTarget | undefined, event: string, handler: () => void][] = [
    [globalThis.window, "online", () => listener.networkChanged()],
    [globalThis.window, "offline", () => listener.offline()],
    [globalThis.window, "pageshow", () => listener.awake()],
    [globalThis.document, "resume", () => listener.awake()],
    [
      globalThis.document,
      "visibilitychange",
      () => {
        if (document.visibilityState === "visible") listener.awake();
      },
    ],
    [
      network,
      "change",
      () => {
        // The event also reports other estimates of the same network.
        if (network?.type === type) return;
        type = network?.type;
        listener.networkChanged();
      },
    ],
  ];
  for (const [target, event, handler] of subscriptions) target?.addEventListener(event, handler);
  return () => {
    for (const [target, event, handler] of subscriptions) target?.removeEventListener(event, handler);
  };
}

function networkInformation(): NetworkInformation | undefined {
  return (globalThis.navigator as (Navigator & { connection?: NetworkInformation }) | undefined)?.connection;
}

// What the page shows of its inner state, for end-to-end tests and for whoever opens the console: counters and the SDK,
// never a key or a secret.

import type { Call } from "../call.ts";
import * as sdk from "../index.ts";
import type { TransformCounters } from "../worker/messages.ts";

/** Counters of all transforms together. */
export interface Summary {
  readonly framesSealed: number;
  readonly framesOpened: number;
  /** Dropped frames by `ROLE/REASON`. */
  readonly failures: Record<string, number>;
}

/** The present call, as `window.tacet`. */
export interface DebugHandle {
  readonly call: Call;
  /** The key generation that this device uses. */
  generation: { readonly generation: number; readonly step: number } | null;
  counters(): Promise<Summary & { readonly transforms: readonly TransformCounters[] }>;
}

declare global {
  interface Window {
    /** The present call, if there is one. */
    tacet?: DebugHandle;
    /** The SDK, as a page of one's own would import it. */
    tacetSdk?: typeof sdk;
  }
}

/** Adds up what the transforms did. */
export function summarise(transforms: readonly TransformCounters[]): Summary {
  const failures: Record<string, number> = {};
  let framesSealed = 0;
  let framesOpened = 0;
  for (const { role, framesOut, failures: reasons } of transforms) {
    if (role === "seal") framesSealed += framesOut;
    else framesOpened += framesOut;
    for (const [reason, frames] of Object.entries(reasons)) {
      failures[`${role}/${reason}`] = (failures[`${role}/${reason}`] ?? 0) + frames;
    }
  }
  return { framesSealed, framesOpened, failures };
}

/** Puts the SDK on the window. */
export function exposeSdk(): void {
  window.tacetSdk = sdk;
}

/** Puts a call on the window. */
export function exposeCall(call: Call): void {
  const handle: DebugHandle = {
    call,
    generation: null,
    counters: async () => {
      const transforms = await call.counters();
      return { ...summarise(transforms), transforms };
    },
  };
  call.on("generation", (generation) => {
    handle.generation = generation;
  });
  window.tacet = handle;
}

// Exposes the SDK and the current call on `window`, for end-to-end tests and for the browser's console: counters, never
// a key or a secret.

import * as sdk from "../index.ts";
import { h } from "./element.ts";
import { downlinkNote } from "./words.ts";

/** Counters of all transforms together. */
export interface Summary {
  readonly framesSealed: number;
  readonly framesOpened: number;
  /** Dropped frames by `ROLE/REASON`. */
  readonly failures: Record<string, number>;
}

/** The current call, as `window.tacet`. */
export interface DebugHandle {
  readonly call: sdk.Call;
  /** Epoch of this device's session key. */
  generation: sdk.KeyEpoch | null;
  /** Numbers of new keys and of ratchet steps so far: rotations after a leave or for age, ratchets after a join. */
  readonly keyChanges: { rotations: number; ratchets: number };
  /** Whether each tile names the layer of its video, and the page what the path to this device carries. */
  showsLayers: boolean;
  counters(): Promise<Summary & { readonly transforms: readonly sdk.TransformCounters[] }>;
}

declare global {
  interface Window {
    /** The current call, if there is one. */
    tacet?: DebugHandle;
    /** The SDK, as another page would import it. */
    tacetSdk?: typeof sdk;
  }
}

/** Adds up the counters of all transforms. */
export function summarize(transforms: readonly sdk.TransformCounters[]): Summary {
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

/** Exposes the SDK. */
export function exposeSdk(): void {
  window.tacetSdk = sdk;
}

/** Exposes a call. */
export function exposeCall(call: sdk.Call): void {
  const handle: DebugHandle = {
    call,
    generation: null,
    keyChanges: { rotations: 0, ratchets: 0 },
    get showsLayers() {
      return document.body.classList.contains("shows-layers");
    },
    set showsLayers(shows) {
      document.body.classList.toggle("shows-layers", shows);
      call.diagnoses = shows;
    },
    counters: async () => {
      const transforms = await call.counters();
      return { ...summarize(transforms), transforms };
    },
  };
  document.querySelector(".downlink-note")?.remove();
  const note = h("output", { class: "downlink-note", "data-testid": "downlink" });
  document.body.append(note);
  call.on("downlink", (downlink) => {
    note.textContent = downlinkNote(downlink);
  });
  call.on("generation", (generation) => {
    const before = handle.generation?.generation;
    if (before !== undefined) handle.keyChanges[before === generation.generation ? "ratchets" : "rotations"] += 1;
    handle.generation = generation;
  });
  window.tacet = handle;
}

// What page and worker say to each other. Plain data; secrets go only from page to worker.

import type { Codec } from "../protocol/generated.ts";
import type { Action } from "./action.ts";

/** Options of a transform, given to `RTCRtpScriptTransform` and read in the worker. */
export type TransformOptions =
  | { readonly id: string; readonly role: "seal"; readonly codec: Codec; readonly stream: number }
  | { readonly id: string; readonly role: "open"; readonly codec: Codec };

/** What a transform has done, from its beginning. */
export interface TransformCounters {
  readonly id: string;
  readonly role: "seal" | "open";
  /** Frames that came in. */
  framesIn: number;
  /** Frames that were sealed or opened, and went on. */
  framesOut: number;
  /** Frames that were dropped, by reason. */
  readonly failures: Record<string, number>;
}

/** Page to worker. */
export type ToWorker =
  | { readonly t: "load"; readonly wasm: string; readonly invite: Uint8Array }
  | { readonly t: "start"; readonly room: Uint8Array; readonly call: Uint8Array; readonly name: string }
  | { readonly t: "event"; readonly kind: number; readonly body: Uint8Array }
  | { readonly t: "counters"; readonly request: number };

/** Worker to page. */
export type FromWorker =
  | { readonly t: "loaded"; readonly access: Uint8Array<ArrayBuffer> }
  | { readonly t: "failed"; readonly detail: string }
  | { readonly t: "action"; readonly action: Action }
  /** The transform exists and takes every frame. */
  | { readonly t: "attached"; readonly id: string }
  /** Frames of this receiver are now authenticated as this participant's. */
  | { readonly t: "attributed"; readonly id: string; readonly participant: number; readonly stream: number }
  | { readonly t: "counters"; readonly request: number; readonly transforms: readonly TransformCounters[] };

// Messages between the page and the worker: plain data. Secrets go only from the page to the worker.

import type { ResumeStatement } from "../e2ee/wasm.ts";
import type { Codec } from "../protocol/generated.ts";
import type { StreamNumber } from "../sources.ts";
import type { Action, EventKind } from "./action.ts";
import type { FrameOrigin } from "./engine.ts";

/** Options of a transform, passed to `RTCRtpScriptTransform` and read in the worker. `id` is unique in the worker. */
export type TransformOptions =
  | { readonly id: string; readonly role: "seal"; readonly codec: Codec; readonly stream: StreamNumber }
  | {
      readonly id: string;
      readonly role: "open";
      readonly codec: Codec;
      /** The streams whose frames may be passed on. Those of all others are dropped, although they are authentic. */
      readonly streams: readonly StreamNumber[];
    };

/** Counters of a transform since its start. */
export interface TransformCounters {
  readonly id: string;
  readonly role: "seal" | "open";
  /** Frames received from the browser. */
  framesIn: number;
  /** Empty audio frames: those of silence, which are not sent. */
  framesEmpty: number;
  /** Frames sealed or opened, and passed on. */
  framesOut: number;
  /** Bytes of the frames that were passed on. */
  bytesOut: number;
  /** Dropped frames, by reason. */
  readonly failures: Record<string, number>;
}

/** What a session is created for. */
export interface SessionOptions {
  /** Room id, 16 bytes. */
  readonly room: Uint8Array;
  /** Call id, 16 bytes. */
  readonly call: Uint8Array;
  /** Name to show to the others, at most 256 bytes of UTF-8. */
  readonly name: string;
}

/** Page to worker. */
export type ToWorker =
  | {
      readonly t: "load";
      readonly module: WebAssembly.Module;
      readonly invite: Uint8Array;
      /** Name of the lock that the worker is to hold for as long as it lives. */
      readonly lock: string;
    }
  | ({ readonly t: "start" } & SessionOptions)
  | { readonly t: "event"; readonly kind: EventKind; readonly body: Uint8Array }
  | { readonly t: "prove"; readonly request: number; readonly statement: ResumeStatement }
  /** These transforms belong to a media path that is closed. */
  | { readonly t: "forget"; readonly ids: readonly string[] }
  | { readonly t: "counters"; readonly request: number }
  /** Asks for a sign of life. */
  | { readonly t: "ask" };

/** What the worker did since its last pulse. */
export interface Pulse {
  /** Whether a frame was sealed. */
  readonly sealed: boolean;
  /** The receiving transforms in which a frame was opened. */
  readonly opened: readonly string[];
}

/** Worker to page. */
export type FromWorker =
  /** `locked`: the worker holds its lock. */
  | { readonly t: "loaded"; readonly guestAccess: Uint8Array<ArrayBuffer>; readonly locked: boolean }
  | { readonly t: "failed"; readonly detail: string }
  | { readonly t: "action"; readonly action: Action }
  /** The signature of a resume statement, 64 bytes; `null` if there is no session, or the statement is malformed. */
  | { readonly t: "proof"; readonly request: number; readonly proof: Uint8Array<ArrayBuffer> | null }
  /** The transform is attached and receives every frame. */
  | { readonly t: "attached"; readonly id: string }
  /** The frames of this receiver are now authenticated as this participant's stream. */
  | { readonly t: "authenticated"; readonly id: string; readonly origin: FrameOrigin }
  /** Sent while the session runs, also without frames: a page that is frozen, or a dead worker, has no pulse. */
  | ({ readonly t: "pulse" } & Pulse)
  /** The answer to `ask`. */
  | { readonly t: "alive" }
  | { readonly t: "counters"; readonly request: number; readonly transforms: readonly TransformCounters[] };

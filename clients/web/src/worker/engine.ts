// The frame-encryption session as the worker uses it. `Frames` implements it; tests use fakes.

import { CIPHER_FAILED } from "../e2ee/frames.ts";
import type { CodecNumber, StreamNumber } from "../sources.ts";
import type { EventKind } from "./action.ts";

/** Why a frame was not sealed. It is dropped: nothing is sent in the clear. */
export const SEAL_FAILURES: Readonly<Record<number, string>> = {
  [-1]: "no-key",
  [-2]: "stream-closed",
  [-3]: "buffer",
  [-4]: "unsupported",
  [-5]: "exhausted",
  [-7]: "ended",
  [CIPHER_FAILED]: "cipher",
};

/** Why a frame was not opened. It is dropped: nothing unauthenticated is played. */
export const OPEN_FAILURES: Readonly<Record<number, string>> = {
  [-1]: "missing-key",
  [-2]: "not-authentic",
  [-3]: "replay",
  [-4]: "malformed",
  [-5]: "unknown-sender",
  [-6]: "buffer",
  [-7]: "ended",
  [CIPHER_FAILED]: "cipher",
};

/** The failure of `open` after which the frame may be held until its key arrives. */
export const MISSING_KEY = -1;

/** Where a frame comes from, by its authenticated KID. */
export interface FrameOrigin {
  readonly participant: number;
  readonly stream: number;
}

/** An opened frame and its origin. */
export interface OpenedFrame extends FrameOrigin {
  readonly data: ArrayBuffer;
}

/** A value, or a promise of it that never rejects. */
export type Soon<T> = T | Promise<T>;

/** Seals and opens frames, and exchanges keys. Times are milliseconds: `now` monotonic, `wall` since 1970. */
export interface FrameEngine {
  /** Handles an event. Returns `false` if its body is malformed; nothing has changed then. */
  event(kind: EventKind, now: number, wall: number, body: Uint8Array): boolean;
  /** Returns the next action, or `null`. */
  poll(): Uint8Array | null;
  /** Returns when the next tick is due, or `null`. */
  deadline(): number | null;
  /** Returns the sealed frame in a new buffer, or a code of `SEAL_FAILURES`. Large frames are sealed asynchronously. */
  seal(
    now: number,
    stream: StreamNumber,
    codec: CodecNumber,
    key: boolean,
    frame: ArrayBuffer,
  ): Soon<ArrayBuffer | number>;
  /** Returns the opened frame in a new buffer, or a code of `OPEN_FAILURES`. Large frames are opened asynchronously. */
  open(now: number, codec: CodecNumber, frame: ArrayBuffer): Soon<OpenedFrame | number>;
}

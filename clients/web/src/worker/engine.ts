// The frame-encryption session as the worker uses it. `Frames` implements it; tests use fakes.

import { type CodecNumber, OpenRefusal, SealRefusal } from "../e2ee/abi.ts";
import { CIPHER_FAILED } from "../e2ee/frames.ts";
import type { Clock } from "../e2ee/wasm.ts";
import type { StreamNumber } from "../sources.ts";
import type { EventKind } from "./action.ts";

/** Why a frame was not sealed. It is dropped: nothing is sent in the clear. */
export const SEAL_FAILURES: Readonly<Record<number, string>> = {
  [SealRefusal.NoKey]: "no-key",
  [SealRefusal.StreamNotOpen]: "stream-closed",
  [SealRefusal.Buffer]: "buffer",
  [SealRefusal.Unsupported]: "unsupported",
  [SealRefusal.Exhausted]: "exhausted",
  [SealRefusal.Ended]: "ended",
  [CIPHER_FAILED]: "cipher",
};

/** Why a frame was not opened. It is dropped: nothing unauthenticated is played. */
export const OPEN_FAILURES: Readonly<Record<number, string>> = {
  [OpenRefusal.MissingKey]: "missing-key",
  [OpenRefusal.NotAuthentic]: "not-authentic",
  [OpenRefusal.Replay]: "replay",
  [OpenRefusal.Malformed]: "malformed",
  [OpenRefusal.UnknownSender]: "unknown-sender",
  [OpenRefusal.Buffer]: "buffer",
  [OpenRefusal.Ended]: "ended",
  [CIPHER_FAILED]: "cipher",
};

/** The failure of `open` after which the frame may be held until its key arrives. */
export const MISSING_KEY = OpenRefusal.MissingKey;

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

/** Seals and opens frames, and exchanges keys. */
export interface FrameEngine {
  /** Handles an event. Returns `false` if its body is malformed; nothing has changed then. */
  event(kind: EventKind, clock: Clock, body: Uint8Array): boolean;
  /** Returns the next action, or `null`. */
  poll(): Uint8Array | null;
  /** Returns when the next tick is due, or `null`. */
  deadline(): number | null;
  /** Returns the sealed frame in a new buffer, or a code of `SEAL_FAILURES`. Large frames are sealed asynchronously. */
  seal(
    clock: Clock,
    stream: StreamNumber,
    codec: CodecNumber,
    key: boolean,
    frame: ArrayBuffer,
  ): Soon<ArrayBuffer | number>;
  /** Returns the opened frame in a new buffer, or a code of `OPEN_FAILURES`. Large frames are opened asynchronously. */
  open(clock: Clock, codec: CodecNumber, frame: ArrayBuffer): Soon<OpenedFrame | number>;
}

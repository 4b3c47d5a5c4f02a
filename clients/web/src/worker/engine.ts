// The frame-encryption session as the worker uses it. The implementation is `Frames`; tests have their own.

import { CIPHER_FAILED } from "../e2ee/frames.ts";

/** Why a frame is not sealed. It is dropped: nothing leaves in the clear. */
export const SEAL_FAILURES: Readonly<Record<number, string>> = {
  [-1]: "no-key",
  [-2]: "stream-closed",
  [-3]: "buffer",
  [-4]: "unsupported",
  [-5]: "exhausted",
  [-7]: "ended",
  [CIPHER_FAILED]: "cipher",
};

/** Why a frame is not opened. It is dropped: nothing is shown or played that is not authentic. */
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

/** The failure after which a frame may be held until its key arrives. */
export const MISSING_KEY = -1;

/** An opened frame and whose it is. */
export interface OpenedFrame {
  readonly data: ArrayBuffer;
  readonly participant: number;
  readonly stream: number;
}

/** At once, or later; never rejected. */
export type Soon<T> = T | Promise<T>;

/** Seals, opens, and runs the key exchange. Times are milliseconds: `now` monotonic, `wall` since 1970. */
export interface FrameEngine {
  /** Feeds an event; `false` if its body is malformed, which changes nothing. */
  event(kind: number, now: number, wall: number, body: Uint8Array): boolean;
  /** The next action, or `null`. */
  poll(): Uint8Array | null;
  /** When a tick is wanted next, or `null`. */
  deadline(): number | null;
  /** A sealed frame in a buffer of its own, or a negative number of `SEAL_FAILURES`. Large frames take a while. */
  seal(now: number, stream: number, codec: number, key: boolean, frame: ArrayBuffer): Soon<ArrayBuffer | number>;
  /** An opened frame in a buffer of its own, or a negative number of `OPEN_FAILURES`. Large frames take a while. */
  open(now: number, codec: number, frame: ArrayBuffer): Soon<OpenedFrame | number>;
}

// Opens streams in the frame-encryption session and waits until each has a key.

import { TacetError } from "./errors.ts";
import type { StreamGate } from "./local-track.ts";
import type { StreamNumber } from "./sources.ts";
import { type SessionEvent, streamEvent } from "./worker/event.ts";

/** How long a stream may wait for its key. The longest switch window is 5 s. */
const KEY_TIMEOUT_MS = 15_000;

/** The streams of this device. */
export class StreamKeys implements StreamGate {
  readonly #waiting = new Map<number, () => void>();
  readonly #send: (event: SessionEvent) => void;

  /** @param send passes an event to the session */
  constructor(send: (event: SessionEvent) => void) {
    this.#send = send;
  }

  /**
   * Opens a stream. Resolves when a key for it is in use.
   *
   * @throws {TacetError} `encryption` if that takes too long
   */
  open(stream: StreamNumber): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(stream);
        this.close(stream);
        reject(new TacetError("encryption", "No encryption key was ready in time."));
      }, KEY_TIMEOUT_MS);
      this.#waiting.set(stream, () => {
        clearTimeout(timer);
        this.#waiting.delete(stream);
        resolve();
      });
      this.#send(streamEvent("opened", stream));
    });
  }

  /** Closes a stream. It needs no new keys until it is opened again. */
  close(stream: StreamNumber): void {
    this.#send(streamEvent("closed", stream));
  }

  /** The session reports that a stream has a key. */
  ready(stream: number): void {
    this.#waiting.get(stream)?.();
  }
}

// Opens streams in the frame-encryption session and waits until each has a key.

import { TacetError } from "./errors.ts";
import type { StreamGate } from "./local-track.ts";
import type { StreamNumber } from "./sources.ts";
import { type SessionEvent, streamEvent } from "./worker/event.ts";

/** How long a stream may wait for its key on an attached link. The longest switch window is 5 s. */
const KEY_TIMEOUT_MS = 15_000;

interface Waiting {
  timer: ReturnType<typeof setTimeout> | undefined;
  resolve(): void;
  reject(error: TacetError): void;
}

/** The streams of this device. */
export class StreamKeys implements StreamGate {
  readonly #waiting = new Map<StreamNumber, Waiting>();
  readonly #send: (event: SessionEvent) => void;
  #attached = true;

  /** @param send passes an event to the session */
  constructor(send: (event: SessionEvent) => void) {
    this.#send = send;
  }

  /** Whether keys can be exchanged. While they cannot, no stream waits in vain. */
  set attached(attached: boolean) {
    this.#attached = attached;
    for (const [stream, waiting] of this.#waiting) this.#setTimer(stream, waiting);
  }

  /**
   * Opens a stream. Resolves when a key for it is in use.
   *
   * @throws {TacetError} `encryption` if that takes too long
   */
  open(stream: StreamNumber): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { timer: undefined, resolve, reject };
      this.#waiting.set(stream, waiting);
      this.#setTimer(stream, waiting);
      this.#send(streamEvent("opened", stream));
    });
  }

  /** Closes a stream. It needs no new keys until it is opened again. */
  close(stream: StreamNumber): void {
    this.#remove(stream)?.reject(new TacetError("ended"));
    this.#send(streamEvent("closed", stream));
  }

  /** The session reports that a stream has a key. */
  ready(stream: number): void {
    this.#remove(stream as StreamNumber)?.resolve();
  }

  /** The session is over: no stream gets a key any more. */
  end(error: TacetError): void {
    for (const stream of [...this.#waiting.keys()]) this.#remove(stream)?.reject(error);
  }

  #setTimer(stream: StreamNumber, waiting: Waiting): void {
    clearTimeout(waiting.timer);
    if (!this.#attached) return;
    waiting.timer = setTimeout(() => {
      this.#remove(stream);
      this.close(stream);
      waiting.reject(new TacetError("encryption", "No encryption key was ready in time."));
    }, KEY_TIMEOUT_MS);
  }

  #remove(stream: StreamNumber): Waiting | undefined {
    const waiting = this.#waiting.get(stream);
    clearTimeout(waiting?.timer);
    this.#waiting.delete(stream);
    return waiting;
  }
}

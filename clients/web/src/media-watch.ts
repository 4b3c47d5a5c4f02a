// Decides from what arrives whether the media path works, and when to restart ICE. Pure: the time is an argument.
//
// A path is broken if the browser or the server says so, if it does not get connected, or if media that should arrive does
// not. It counts as repaired only when media flows again, so that a path that is connected and carries nothing does not
// flicker between the two.

/** State of the media path. */
export type MediaState =
  /** It is being set up for the first time. */
  | "connecting"
  | "connected"
  /** It was connected and is not any more, or carries nothing. */
  | "interrupted"
  /** It was never connected, although there was time: something blocks it. */
  | "blocked";

/** How long the first connection may take before the path counts as blocked. */
const CONNECT_MS = 5_000;
/** How long media that flowed and should go on flowing may stay away. */
const SILENCE_MS = 1_000;
/** Delays between restarts of ICE; the last one repeats. */
const RESTART_DELAYS_MS = [2_000, 3_000, 5_000, 10_000];

/** What is known at one moment. */
export interface MediaObservation {
  /** Monotonic time in milliseconds. */
  readonly now: number;
  /** State of the peer connection. */
  readonly state: RTCPeerConnectionState;
  /** Whether the server misses this client's connectivity checks. */
  readonly lost: boolean;
  /** Whether anything arrived from the server since the last observation: frames, or feedback for what is sent. */
  readonly received: boolean;
  /** Whether media that flowed before should arrive now. */
  readonly expected: boolean;
}

/** Watches one media path. */
export class MediaWatch {
  readonly #start: number;
  #state: MediaState;
  #lastReceived: number;
  #expected = false;
  #restarts = 0;
  /** When the next restart is due at the earliest. */
  #restartAt = 0;

  /**
   * @param now when the path was created
   * @param before state of the path that it replaces: what was connected is interrupted, and stays so until media flows
   */
  constructor(now: number, before: MediaState = "connecting") {
    this.#start = now;
    this.#lastReceived = now;
    this.#state = before === "connected" ? "interrupted" : before;
    // The new path is being connected already.
    this.#restartAt = now + CONNECT_MS;
  }

  /** State as of the last observation. */
  get state(): MediaState {
    return this.#state;
  }

  /** Takes an observation. Returns whether ICE has to be restarted now. */
  observe({ now, state, lost, received, expected }: MediaObservation): boolean {
    // What was not expected before cannot have been missed.
    if (received || (expected && !this.#expected)) this.#lastReceived = now;
    this.#expected = expected;
    const silent = expected && now - this.#lastReceived >= SILENCE_MS;
    const broken = silent || lost || state === "disconnected" || state === "failed";
    if (state === "connected" && !broken) {
      if (this.#state === "connected" || this.#state === "connecting" || received || !expected) this.#repaired();
    } else if (broken && this.#state === "connected") {
      this.#state = "interrupted";
    } else if (this.#state === "connecting" && (state === "failed" || now - this.#start >= CONNECT_MS)) {
      this.#state = "blocked";
    }
    return (this.#state === "interrupted" || this.#state === "blocked") && this.#isDue(now);
  }

  /** The network changed, or the device woke up: the next restart waits for nothing. */
  hurry(): void {
    this.#restarts = 0;
    this.#restartAt = 0;
  }

  #repaired(): void {
    this.#state = "connected";
    this.hurry();
  }

  #isDue(now: number): boolean {
    if (now < this.#restartAt) return false;
    const delay = RESTART_DELAYS_MS[this.#restarts] ?? RESTART_DELAYS_MS.at(-1) ?? 0;
    this.#restarts += 1;
    this.#restartAt = now + delay;
    return true;
  }
}

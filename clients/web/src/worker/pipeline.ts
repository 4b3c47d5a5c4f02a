// The pipelines between codec and network: encoded frames are sealed on the way out and opened on the way in. They fail
// closed: a frame leaves a pipeline sealed or opened, or not at all. A pipeline handles one frame at a time, so frames
// keep their order. A receiver takes only the streams that it is for: an authentic frame of any other is dropped too.

import type { CodecNumber } from "../e2ee/abi.ts";
import type { Clock } from "../e2ee/wasm.ts";
import type { Codec } from "../protocol/generated.ts";
import { CODEC_NUMBER, type StreamNumber } from "../sources.ts";
import { type FrameEngine, type FrameOrigin, MISSING_KEY, OPEN_FAILURES, SEAL_FAILURES } from "./engine.ts";
import type { TransformCounters } from "./messages.ts";

/** The members of `RTCEncodedVideoFrame` and `RTCEncodedAudioFrame` that are used. */
export interface EncodedFrame {
  data: ArrayBuffer;
  /** Video only: `key`, `delta` or `empty`. */
  readonly type?: string;
}

/** How long a frame is held while its key is missing. */
export const HOLD_MS = 300;
/** Maximum number of held frames. */
export const HOLD_FRAMES = 64;

function count(counters: TransformCounters, reason: string, frames = 1): void {
  counters.failures[reason] = (counters.failures[reason] ?? 0) + frames;
}

/**
 * Seals the frames of one sender. All encodings of a track pass through one sealer, and so share one stream and one frame
 * counter: a receiver of one of them sees gaps in it, and never a repetition.
 *
 * Empty audio frames are dropped: in silence, an encoder with DTX (RFC 7587 section 3.1.3) delivers them at its usual rate to
 * say that nothing is to be sent, and sealed they would not be empty.
 */
export class Sealer {
  readonly counters: TransformCounters;
  readonly #engine: FrameEngine;
  readonly #codec: CodecNumber;
  readonly #stream: StreamNumber;

  constructor(engine: FrameEngine, id: string, codec: Codec, stream: StreamNumber) {
    this.#engine = engine;
    this.#codec = CODEC_NUMBER[codec];
    this.#stream = stream;
    this.counters = { id, role: "seal", framesIn: 0, framesEmpty: 0, framesOut: 0, bytesOut: 0, failures: {} };
  }

  /** Seals a frame in place. Returns `false` if it must be dropped. To be awaited before the next call. */
  async push(frame: EncodedFrame, clock: Clock): Promise<boolean> {
    this.counters.framesIn += 1;
    if (this.#codec === CODEC_NUMBER.opus && frame.data.byteLength === 0) {
      this.counters.framesEmpty += 1;
      return false;
    }
    const sealed = await this.#engine.seal(clock, this.#stream, this.#codec, frame.type === "key", frame.data);
    if (typeof sealed === "number") {
      count(this.counters, SEAL_FAILURES[sealed] ?? "unknown");
      return false;
    }
    frame.data = sealed;
    this.counters.framesOut += 1;
    this.counters.bytesOut += sealed.byteLength;
    return true;
  }
}

/** Receives the results of an opener. */
export interface OpenerOutput {
  /** Passes an opened frame on. */
  frame(frame: EncodedFrame): void;
  /** Frames are from this origin from now on. Called before the first of them is passed on, or dropped for its stream. */
  authenticated(origin: FrameOrigin): void;
  /** Frames were lost, so the decoder needs a key frame. */
  needsKeyFrame(): void;
}

interface Held {
  readonly frame: EncodedFrame;
  readonly since: number;
}

/** Opens the frames of one receiver. */
export class Opener {
  readonly counters: TransformCounters;
  readonly #engine: FrameEngine;
  readonly #codec: CodecNumber;
  readonly #streams: ReadonlySet<number>;
  readonly #output: OpenerOutput;
  #held: Held[] = [];
  /** Settles when the queued work has ended. */
  #queue: Promise<void> = Promise.resolve();
  /** Origin of the last opened frame. */
  #origin: FrameOrigin | null = null;
  /** Whether frames were lost to a missing key since the last opened frame. */
  #starved = false;

  /** @param streams the streams whose frames are passed on */
  constructor(engine: FrameEngine, id: string, codec: Codec, streams: readonly StreamNumber[], output: OpenerOutput) {
    this.#engine = engine;
    this.#codec = CODEC_NUMBER[codec];
    this.#streams = new Set(streams);
    this.#output = output;
    this.counters = { id, role: "open", framesIn: 0, framesEmpty: 0, framesOut: 0, bytesOut: 0, failures: {} };
  }

  /** Opens a frame and passes it on, or holds it while its key is missing, or drops it. */
  push(frame: EncodedFrame, clock: Clock): Promise<void> {
    this.counters.framesIn += 1;
    return this.#enqueue(() => this.#receive(frame, clock));
  }

  /** A key has arrived: opens held frames in order, up to the first one whose key is still missing. */
  retry(clock: Clock): Promise<void> {
    return this.#enqueue(() => this.#retry(clock));
  }

  /** Runs work after the work queued before it: keys can arrive while a frame is being opened. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #receive(frame: EncodedFrame, clock: Clock): Promise<void> {
    switch (await this.#open(frame, clock)) {
      case "passed":
        // A later frame was passed on, so the held ones would reach the decoder out of order.
        this.#dropHeld(this.#held.length);
        this.#recover();
        break;
      case "missing-key":
        this.#hold(frame, clock.now);
        break;
      case "dropped":
        break;
    }
  }

  async #retry(clock: Clock): Promise<void> {
    this.#dropExpired(clock.now);
    const held = this.#held;
    this.#held = [];
    for (const [index, { frame }] of held.entries()) {
      const outcome = await this.#open(frame, clock);
      if (outcome === "passed") {
        this.#recover();
      } else if (outcome === "missing-key") {
        this.#held = held.slice(index);
        return;
      }
    }
  }

  async #open(frame: EncodedFrame, clock: Clock): Promise<"passed" | "missing-key" | "dropped"> {
    const opened = await this.#engine.open(clock, this.#codec, frame.data);
    if (typeof opened === "number") {
      if (opened === MISSING_KEY) return "missing-key";
      count(this.counters, OPEN_FAILURES[opened] ?? "unknown");
      return "dropped";
    }
    const { data, participant, stream } = opened;
    if (participant !== this.#origin?.participant || stream !== this.#origin.stream) {
      this.#origin = { participant, stream };
      this.#output.authenticated(this.#origin);
    }
    if (!this.#streams.has(stream)) {
      count(this.counters, "unexpected-stream");
      return "dropped";
    }
    frame.data = data;
    this.counters.framesOut += 1;
    this.counters.bytesOut += data.byteLength;
    this.#output.frame(frame);
    return "passed";
  }

  /** Frames can be opened again after some were lost: the next ones may depend on frames that the decoder never got. */
  #recover(): void {
    if (!this.#starved) return;
    this.#starved = false;
    this.#output.needsKeyFrame();
  }

  #hold(frame: EncodedFrame, now: number): void {
    this.#dropExpired(now);
    this.#dropHeld(this.#held.length + 1 - HOLD_FRAMES);
    this.#held.push({ frame, since: now });
  }

  #dropExpired(now: number): void {
    this.#dropHeld(this.#held.filter(({ since }) => now - since > HOLD_MS).length);
  }

  /** Drops the oldest held frames. */
  #dropHeld(frames: number): void {
    if (frames <= 0) return;
    this.#held.splice(0, frames);
    this.#starved = true;
    count(this.counters, "missing-key", frames);
  }
}

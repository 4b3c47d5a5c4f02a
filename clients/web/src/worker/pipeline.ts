// What happens to an encoded frame between codec and network. It fails closed: a frame leaves a pipeline sealed or
// opened, or not at all. Frames of one pipeline are worked on one after the other, so they keep their order.

import type { Codec } from "../protocol/generated.ts";
import { CODEC_NUMBER } from "../stream.ts";
import { type FrameEngine, MISSING_KEY, OPEN_FAILURES, SEAL_FAILURES } from "./engine.ts";
import type { TransformCounters } from "./messages.ts";

/** `RTCEncodedVideoFrame` or `RTCEncodedAudioFrame`, as far as it matters. */
export interface EncodedFrame {
  data: ArrayBuffer;
  /** Video only: `key`, `delta` or `empty`. */
  readonly type?: string;
}

/** Frames whose key is missing wait for it this long at most, … */
export const HOLD_MS = 300;
/** … and this many of them. */
export const HOLD_FRAMES = 64;

function count(counters: TransformCounters, reason: string, frames = 1): void {
  counters.failures[reason] = (counters.failures[reason] ?? 0) + frames;
}

/** Seals the frames of one sender. */
export class Sealer {
  readonly counters: TransformCounters;
  readonly #engine: FrameEngine;
  readonly #codec: number;
  readonly #stream: number;

  constructor(engine: FrameEngine, id: string, codec: Codec, stream: number) {
    this.#engine = engine;
    this.#codec = CODEC_NUMBER[codec];
    this.#stream = stream;
    this.counters = { id, role: "seal", framesIn: 0, framesOut: 0, failures: {} };
  }

  /** Seals a frame in place; `false` means that it must be dropped. To be awaited before the next one. */
  async push(frame: EncodedFrame, now: number): Promise<boolean> {
    this.counters.framesIn += 1;
    const sealed = await this.#engine.seal(now, this.#stream, this.#codec, frame.type === "key", frame.data);
    if (typeof sealed === "number") {
      count(this.counters, SEAL_FAILURES[sealed] ?? "unknown");
      return false;
    }
    frame.data = sealed;
    this.counters.framesOut += 1;
    return true;
  }
}

/** What an opener does with what it opened. */
export interface OpenerOutput {
  /** Passes an opened frame on. */
  frame(frame: EncodedFrame): void;
  /** Frames from here on are this participant's. Called before the first of them passes. */
  attributed(participant: number, stream: number): void;
  /** The decoder lacks frames and needs a key frame to go on. */
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
  readonly #codec: number;
  readonly #output: OpenerOutput;
  #held: Held[] = [];
  /** Ends when what is under way has ended. */
  #turn: Promise<void> = Promise.resolve();
  #participant = -1;
  #stream = -1;
  /** Whether frames were lost to a missing key since the last one that opened. */
  #starved = false;

  constructor(engine: FrameEngine, id: string, codec: Codec, output: OpenerOutput) {
    this.#engine = engine;
    this.#codec = CODEC_NUMBER[codec];
    this.#output = output;
    this.counters = { id, role: "open", framesIn: 0, framesOut: 0, failures: {} };
  }

  /** Opens a frame and passes it on, holds it while its key is missing, or drops it. */
  push(frame: EncodedFrame, now: number): Promise<void> {
    this.counters.framesIn += 1;
    return this.#inTurn(() => this.#take(frame, now));
  }

  /** A key has arrived: opens what was held, in order, as far as the keys reach. */
  retry(now: number): Promise<void> {
    return this.#inTurn(() => this.#retry(now));
  }

  /** Keys arrive while frames are opened: what is begun is ended first. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(step);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #take(frame: EncodedFrame, now: number): Promise<void> {
    switch (await this.#open(frame, now)) {
      case "passed":
        // A later frame opened, so those held can only come too late for the decoder.
        this.#dropHeld(this.#held.length);
        this.#recover();
        break;
      case "keyless":
        this.#hold(frame, now);
        break;
      case "dropped":
        break;
    }
  }

  async #retry(now: number): Promise<void> {
    this.#dropExpired(now);
    const held = this.#held;
    this.#held = [];
    for (const [index, { frame }] of held.entries()) {
      const outcome = await this.#open(frame, now);
      if (outcome === "passed") {
        this.#recover();
      } else if (outcome === "keyless") {
        this.#held = held.slice(index);
        return;
      }
    }
  }

  async #open(frame: EncodedFrame, now: number): Promise<"passed" | "keyless" | "dropped"> {
    const opened = await this.#engine.open(now, this.#codec, frame.data);
    if (typeof opened === "number") {
      if (opened === MISSING_KEY) return "keyless";
      count(this.counters, OPEN_FAILURES[opened] ?? "unknown");
      return "dropped";
    }
    if (opened.participant !== this.#participant || opened.stream !== this.#stream) {
      this.#participant = opened.participant;
      this.#stream = opened.stream;
      this.#output.attributed(opened.participant, opened.stream);
    }
    frame.data = opened.data;
    this.counters.framesOut += 1;
    this.#output.frame(frame);
    return "passed";
  }

  /** Frames open again after some were lost: what the decoder gets now may build on what it never got. */
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

  /** Drops the oldest. */
  #dropHeld(frames: number): void {
    if (frames <= 0) return;
    this.#held.splice(0, frames);
    this.#starved = true;
    count(this.counters, "missing-key", frames);
  }
}

// Seeded random values, so that a failed test can be repeated: SEED=… npm test.

import { createHash } from "node:crypto";
import { onTestFailed } from "vitest";
import type { Bytes } from "./peer/bytes.ts";

/** A stream of bytes that is determined by a seed. */
export class Seeded {
  #blocks = 0;

  constructor(readonly seed: string) {}

  readonly bytes = (length: number): Bytes => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 64) {
      const block = createHash("sha512")
        .update(`${this.seed}/${this.#blocks++}`)
        .digest();
      bytes.set(block.subarray(0, Math.min(64, length - at)), at);
    }
    return bytes;
  };

  /** Returns an integer from 0 to `limit`, exclusive. */
  below(limit: number): number {
    return new DataView(this.bytes(4).buffer).getUint32(0) % limit;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** Returns a stream with a new seed for every run, which is printed if the test fails. To be called in a test. */
export function seeded(): Seeded {
  const seed = process.env.SEED ?? crypto.randomUUID().slice(0, 8);
  onTestFailed(() => void process.stderr.write(`to repeat it: SEED=${seed}\n`));
  return new Seeded(seed);
}

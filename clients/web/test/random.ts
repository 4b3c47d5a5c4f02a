// Random tests that can be repeated: SEED=… npm test.

import { createHash } from "node:crypto";
import { onTestFailed } from "vitest";
import type { Bytes } from "./peer/bytes.ts";

/** A stream of bytes that a seed determines. */
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

  /** A whole number of 0..limit. */
  below(limit: number): number {
    return new DataView(this.bytes(4).buffer).getUint32(0) % limit;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}

/** Another seed at each run, printed if the test fails. To be called inside a test. */
export function seeded(): Seeded {
  const seed = process.env.SEED ?? crypto.randomUUID().slice(0, 8);
  onTestFailed(() => void process.stderr.write(`to repeat it: SEED=${seed}\n`));
  return new Seeded(seed);
}

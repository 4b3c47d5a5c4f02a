// Seals and opens frames: small ones inside the module, large ones by WebCrypto, which is many times faster with them.
//
//   seal:  begin (envelope, header, counter) ─► WebCrypto ─► finish (escaping)
//   open:  begin (found, screened)           ─► WebCrypto ─► finish (replay window) ─► the frame
//
// Keys, counters and replay windows stay in the module either way. It fails closed: an error outside the module is a
// failure code, and a frame opened outside is released only after the module has recorded its counter, so that of two
// copies in flight one is dropped. Nothing in the module's buffers is relied on across an `await`.

import { OpenRefusal } from "./abi.ts";
import type { CipherJob, Clock, FrameCryptoSession, OpenedFrame } from "./wasm.ts";

/**
 * Minimum length in bytes of frames that go to WebCrypto. `make bench-browsers` measures where it becomes faster: well
 * below this in Chromium, somewhat above in Firefox. Audio frames are always smaller, so audio never waits.
 */
export const LARGE_FRAME_BYTES = 1_500;

/** The key of a frame was erased while the frame was in flight; the same as a missing key. */
const NO_KEY = OpenRefusal.MissingKey;
const NOT_AUTHENTIC = OpenRefusal.NotAuthentic;
/** The browser's cipher failed. Not a code of the module. */
export const CIPHER_FAILED = -100;

const TAG_BITS = 128;

function parameters({ nonce, additional }: CipherJob): AesGcmParams {
  return { name: "AES-GCM", iv: nonce, additionalData: additional, tagLength: TAG_BITS };
}

/** Imported WebCrypto keys. They cannot be exported, and are kept no longer than the session keeps its own. */
class CipherKeys {
  readonly #session: FrameCryptoSession;
  readonly #keys = new Map<number, { readonly job: CipherJob; readonly imported: Promise<CryptoKey> }>();

  constructor(session: FrameCryptoSession) {
    this.#session = session;
  }

  /** Returns the key of a job, or `null` if it has been erased. Rejects if the browser does not import it. */
  get(job: CipherJob): Promise<CryptoKey> | null {
    const known = this.#keys.get(job.key);
    if (known !== undefined) return known.imported;
    const bytes = this.#session.cipherKey(job);
    if (bytes === null) return null;
    this.prune();
    const usage = job.key % 2 === 1 ? "decrypt" : "encrypt";
    const imported = crypto.subtle.importKey("raw", bytes, "AES-GCM", false, [usage]).finally(() => void bytes.fill(0));
    this.#keys.set(job.key, { job, imported });
    // A failed import is retried with the next frame.
    imported.catch(() => void this.#keys.delete(job.key));
    return imported;
  }

  /** Drops the keys that the session has erased. */
  prune(): void {
    for (const [number, { job }] of this.#keys) if (!this.#session.hasKey(job)) this.#keys.delete(number);
  }

  /** The number of keys. */
  get size(): number {
    return this.#keys.size;
  }

  clear(): void {
    this.#keys.clear();
  }
}

/** The frames of one session. */
export class Frames {
  readonly #session: FrameCryptoSession;
  readonly #keys: CipherKeys;
  readonly #large: number;

  /** @param large minimum length in bytes of frames that go to WebCrypto */
  constructor(session: FrameCryptoSession, large = LARGE_FRAME_BYTES) {
    this.#session = session;
    this.#keys = new CipherKeys(session);
    this.#large = large;
  }

  /** The number of keys that WebCrypto holds now. */
  get cipherKeys(): number {
    return this.#keys.size;
  }

  /** Handles an event. Returns `false` if it is refused; nothing has changed then. */
  event(kind: number, clock: Clock, body: Uint8Array): boolean {
    const accepted = this.#session.event(kind, clock, body);
    this.#keys.prune();
    return accepted;
  }

  /** Returns the next action, or `null`. To be drained after every other call. */
  poll(): Uint8Array<ArrayBuffer> | null {
    return this.#session.poll();
  }

  /** Returns when the next `Tick` is due, or `null`. */
  deadline(): number | null {
    return this.#session.deadline();
  }

  /** Returns the sealed frame in a new buffer, or a code of `SealRefusal`: the frame must then be dropped. */
  seal(
    clock: Clock,
    stream: number,
    codec: number,
    key: boolean,
    frame: ArrayBuffer,
  ): ArrayBuffer | number | Promise<ArrayBuffer | number> {
    return frame.byteLength < this.#large
      ? this.#session.seal(clock, stream, codec, key, frame)
      : this.#sealLarge(clock, stream, codec, key, frame).catch(() => CIPHER_FAILED);
  }

  /** Returns the opened frame in a new buffer, or a code of `OpenRefusal`: the frame must then be dropped or held. */
  open(clock: Clock, codec: number, frame: ArrayBuffer): OpenedFrame | number | Promise<OpenedFrame | number> {
    return frame.byteLength < this.#large
      ? this.#session.open(clock, codec, frame)
      : this.#openLarge(clock, codec, frame).catch(() => CIPHER_FAILED);
  }

  /** Erases the keys, and the frames still in the module's buffers. */
  free(): void {
    this.#keys.clear();
    this.#session.free();
  }

  async #sealLarge(
    clock: Clock,
    stream: number,
    codec: number,
    kind: boolean,
    frame: ArrayBuffer,
  ): Promise<ArrayBuffer | number> {
    const sealing = this.#session.sealBegin(clock, stream, codec, kind, frame.byteLength);
    if (typeof sealing === "number") return sealing;
    const key = await this.#keys.get(sealing.job);
    if (key === null) return NO_KEY;
    const sealed = await crypto.subtle.encrypt(parameters(sealing.job), key, frame);
    return this.#session.sealFinish(codec, sealing, sealed);
  }

  async #openLarge(clock: Clock, codec: number, frame: ArrayBuffer): Promise<OpenedFrame | number> {
    const opening = this.#session.openBegin(clock, codec, frame);
    if (typeof opening === "number") return opening;
    if (opening === null) return this.#session.open(clock, codec, frame);
    const key = await this.#keys.get(opening.job);
    if (key === null) return NO_KEY;
    let data: ArrayBuffer;
    try {
      data = await crypto.subtle.decrypt(parameters(opening.job), key, opening.sealed);
    } catch {
      return NOT_AUTHENTIC;
    }
    const finished = this.#session.openFinish(clock, opening.job);
    return finished < 0 ? finished : { data, ...opening.whose };
  }
}

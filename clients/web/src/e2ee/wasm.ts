// The frame-encryption library in wasm: loads the module and gives its C exports types.
//
// Bytes cross in two buffers inside the module's memory, one in and one out, which grow and are used again. The memory
// may move when it grows, so views of it are made anew for every use and never kept.
//
// The contract of the exports stands in `e2ee-frames/ffi/include/e2ee_frames.h`, that of those for a cipher outside the
// module in `e2ee-frames/ffi/src/external.rs`.

/** What the module exports. Pointers and lengths are numbers, 64-bit times are BigInts. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  ef_alloc(length: number): number;
  ef_free(pointer: number, length: number): void;
  ef_access_token(invite: number, out: number): number;
  ef_session_new(
    room: number,
    call: number,
    invite: number,
    name: number,
    nameLength: number,
    now: bigint,
    wall: bigint,
  ): number;
  ef_session_free(session: number): void;
  ef_session_event(session: number, kind: number, now: bigint, wall: bigint, body: number, bodyLength: number): number;
  ef_session_poll(session: number, out: number, capacity: number): number;
  ef_session_deadline(session: number): bigint;
  ef_seal(
    session: number,
    now: bigint,
    stream: number,
    codec: number,
    kind: number,
    frame: number,
    frameLength: number,
    out: number,
    capacity: number,
  ): number;
  ef_open(
    session: number,
    now: bigint,
    codec: number,
    frame: number,
    frameLength: number,
    out: number,
    capacity: number,
    info: number,
  ): number;
  ef_seal_begin(
    session: number,
    now: bigint,
    stream: number,
    codec: number,
    kind: number,
    frameLength: number,
    out: number,
    capacity: number,
    job: number,
  ): number;
  ef_seal_finish(codec: number, envelope: number, end: number, out: number, capacity: number): number;
  ef_open_begin(session: number, now: bigint, codec: number, buffer: number, length: number, job: number): number;
  ef_open_finish(session: number, now: bigint, job: number): number;
  ef_cipher_key(session: number, job: number, out: number): number;
}

/** An opened frame and whose it is, by its key and not by any label of the server. */
export interface OpenedFrame {
  readonly data: ArrayBuffer;
  readonly participant: number;
  readonly seat: number;
  readonly stream: number;
  readonly key: boolean;
}

/** What AES-256-GCM with a tag of 16 bytes is to be given, beside the data, when it runs outside the module. */
export interface CipherJob {
  /** Names the key among all of the session. */
  readonly key: number;
  readonly nonce: Uint8Array<ArrayBuffer>;
  readonly additional: Uint8Array<ArrayBuffer>;
  /** As the module wrote it, and takes it back. */
  readonly bytes: Uint8Array;
}

/** A frame to be sealed outside. Its counter is used up, whatever becomes of it. */
export interface Sealing {
  readonly job: CipherJob;
  /** Envelope and SFrame header. Ciphertext and tag follow. */
  readonly prefix: Uint8Array;
  /** Bytes of the envelope in it. */
  readonly envelope: number;
}

/** A frame to be opened outside. Nothing of it is authentic before `openFinish`. */
export interface Opening {
  readonly job: CipherJob;
  /** Ciphertext and tag. */
  readonly sealed: Uint8Array<ArrayBuffer>;
  /** Whose it is and what, if it authenticates. */
  readonly whose: Omit<OpenedFrame, "data">;
}

const ROOM_BYTES = 16;
const CALL_BYTES = 16;
const SECRET_BYTES = 32;
const INFO_BYTES = 16;
/** Holds every action. */
const ACTION_BYTES = 17_000;
/** Most bytes that random numbers are drawn for at once. */
const RANDOM_BYTES = 65_536;
const NEVER = 2n ** 64n - 1n;
const JOB_BYTES = 88;
const KEY_BYTES = 32;
const H264 = 4;
/** Holds the longest envelope and SFrame header. */
const PREFIX_BYTES = 96;
/** Bytes behind a frame and its half that suffice to seal it with any codec. */
const SEAL_MARGIN = 96;

/** Memory inside the module that grows and is used again. */
class Scratch {
  #pointer = 0;
  #capacity = 0;

  constructor(private readonly exports: Exports) {}

  /** Makes room for so many bytes and tells where. What was there is lost when it grows. */
  reserve(bytes: number): number {
    if (bytes > this.#capacity) {
      const capacity = Math.max(bytes, 2 * this.#capacity, 4_096);
      const pointer = this.exports.ef_alloc(capacity);
      if (pointer === 0) throw new RangeError("no memory for a frame");
      this.release();
      this.#pointer = pointer;
      this.#capacity = capacity;
    }
    return this.#pointer;
  }

  /** Copies bytes in and tells where they are. */
  put(...parts: readonly Uint8Array[]): number {
    let at = this.reserve(parts.reduce((sum, part) => sum + part.length, 0));
    const memory = new Uint8Array(this.exports.memory.buffer);
    for (const part of parts) {
      memory.set(part, at);
      at += part.length;
    }
    return this.#pointer;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Overwrites what is there, and gives the memory back. */
  release(): void {
    if (this.#capacity === 0) return;
    new Uint8Array(this.exports.memory.buffer, this.#pointer, this.#capacity).fill(0);
    this.exports.ef_free(this.#pointer, this.#capacity);
    this.#pointer = 0;
    this.#capacity = 0;
  }
}

function milliseconds(time: number): bigint {
  return BigInt(Math.max(0, Math.floor(time)));
}

function demand(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new RangeError(`${what} has ${length} bytes, not ${bytes.length}`);
}

/** A loaded module. */
export class FrameCrypto {
  private constructor(private readonly exports: Exports) {}

  /** Loads the module from its bytes. */
  static async fromBytes(bytes: BufferSource): Promise<FrameCrypto> {
    let memory: WebAssembly.Memory | null = null;
    const fillRandom = (pointer: number, length: number): void => {
      if (memory === null) throw new Error("random bytes before memory");
      for (let done = 0; done < length; done += RANDOM_BYTES) {
        const part = Math.min(RANDOM_BYTES, length - done);
        crypto.getRandomValues(new Uint8Array(memory.buffer, pointer + done, part) as Uint8Array<ArrayBuffer>);
      }
    };
    const module = await WebAssembly.compile(bytes);
    const instance = await WebAssembly.instantiate(module, { env: { random_fill: fillRandom } });
    const exports = instance.exports as unknown as Exports;
    memory = exports.memory;
    return new FrameCrypto(exports);
  }

  /** Loads the module from a URL. */
  static async fromUrl(url: string | URL): Promise<FrameCrypto> {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`the frame encryption did not load: ${response.status}`);
    return FrameCrypto.fromBytes(await response.arrayBuffer());
  }

  /** What a client shows the server to be let in, from the invite secret of the link. */
  accessToken(invite: Uint8Array): Uint8Array<ArrayBuffer> {
    demand(invite, SECRET_BYTES, "an invite secret");
    const scratch = new Scratch(this.exports);
    const at = scratch.put(invite, new Uint8Array(SECRET_BYTES));
    const result = this.exports.ef_access_token(at, at + SECRET_BYTES);
    const token = new Uint8Array(this.exports.memory.buffer).slice(at + SECRET_BYTES, at + 2 * SECRET_BYTES);
    scratch.release();
    if (result !== 0) throw new Error("no access token");
    return token as Uint8Array<ArrayBuffer>;
  }

  /** A new device in a call. Its announce is the first action. The name has at most 256 bytes of UTF-8. */
  session(
    room: Uint8Array,
    call: Uint8Array,
    invite: Uint8Array,
    name: string,
    now: number,
    wall: number,
  ): FrameCryptoSession {
    demand(room, ROOM_BYTES, "a room id");
    demand(call, CALL_BYTES, "a call id");
    demand(invite, SECRET_BYTES, "an invite secret");
    const nameBytes = new TextEncoder().encode(name);
    const scratch = new Scratch(this.exports);
    const at = scratch.put(room, call, invite, nameBytes);
    const [callAt, inviteAt] = [at + ROOM_BYTES, at + ROOM_BYTES + CALL_BYTES];
    const nameAt = inviteAt + SECRET_BYTES;
    const [nowAt, wallAt] = [milliseconds(now), milliseconds(wall)];
    const pointer = this.exports.ef_session_new(at, callAt, inviteAt, nameAt, nameBytes.length, nowAt, wallAt);
    scratch.release();
    if (pointer === 0) throw new RangeError("the name is too long");
    return new FrameCryptoSession(this.exports, pointer);
  }
}

/** One device in one call. Times are milliseconds: `now` monotonic, `wall` since 1970. Not to be used after `free`. */
export class FrameCryptoSession {
  readonly #exports: Exports;
  readonly #in: Scratch;
  readonly #out: Scratch;
  #pointer: number;

  /** Made by `FrameCrypto.session`. */
  constructor(exports: Exports, pointer: number) {
    this.#exports = exports;
    this.#pointer = pointer;
    this.#in = new Scratch(exports);
    this.#out = new Scratch(exports);
  }

  /** Feeds an event; `false` if it is refused, which changes nothing. */
  event(kind: number, now: number, wall: number, body: Uint8Array): boolean {
    const at = this.#in.put(body);
    const [nowAt, wallAt] = [milliseconds(now), milliseconds(wall)];
    return this.#exports.ef_session_event(this.#pointer, kind, nowAt, wallAt, at, body.length) === 0;
  }

  /** The next action, or `null`. To be drained after every other call. */
  poll(): Uint8Array<ArrayBuffer> | null {
    let at = this.#out.reserve(ACTION_BYTES);
    let length = this.#exports.ef_session_poll(this.#pointer, at, this.#out.capacity);
    if (length < 0) {
      at = this.#out.reserve(-length);
      length = this.#exports.ef_session_poll(this.#pointer, at, this.#out.capacity);
    }
    return length > 0 ? new Uint8Array(this.#copy(at, length)) : null;
  }

  /** When an event of kind Tick is wanted, or `null`. */
  deadline(): number | null {
    const deadline = BigInt.asUintN(64, this.#exports.ef_session_deadline(this.#pointer));
    return deadline === NEVER ? null : Number(deadline);
  }

  /** A sealed frame in a buffer of its own, or a negative error code: the frame must then be dropped. */
  seal(now: number, stream: number, codec: number, key: boolean, frame: ArrayBuffer): ArrayBuffer | number {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const capacity = bytes.length + (bytes.length >> 1) + SEAL_MARGIN;
    const to = this.#out.reserve(capacity);
    const [nowAt, kind] = [milliseconds(now), key ? 1 : 0];
    const sealed = this.#exports.ef_seal(
      this.#pointer,
      nowAt,
      stream,
      codec,
      kind,
      from,
      bytes.length,
      to,
      this.#out.capacity,
    );
    return sealed < 0 ? sealed : this.#copy(to, sealed);
  }

  /** An opened frame in a buffer of its own, or a negative error code: the frame must then be dropped or held. */
  open(now: number, codec: number, frame: ArrayBuffer): OpenedFrame | number {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const info = this.#out.reserve(INFO_BYTES + bytes.length);
    const to = info + INFO_BYTES;
    const opened = this.#exports.ef_open(
      this.#pointer,
      milliseconds(now),
      codec,
      from,
      bytes.length,
      to,
      bytes.length,
      info,
    );
    if (opened < 0) return opened;
    const view = new DataView(this.#exports.memory.buffer, info, INFO_BYTES);
    return {
      data: this.#copy(to, opened),
      participant: view.getUint32(0, true),
      seat: view.getUint32(4, true),
      stream: view.getUint32(8, true),
      key: view.getUint32(12, true) === 1,
    };
  }

  /** Starts to seal a frame of so many bytes outside the module, or a negative error code: it must then be dropped. */
  sealBegin(now: number, stream: number, codec: number, key: boolean, frameLength: number): Sealing | number {
    const at = this.#out.reserve(JOB_BYTES + PREFIX_BYTES);
    const to = at + JOB_BYTES;
    const [nowAt, kind] = [milliseconds(now), key ? 1 : 0];
    const written = this.#exports.ef_seal_begin(
      this.#pointer,
      nowAt,
      stream,
      codec,
      kind,
      frameLength,
      to,
      PREFIX_BYTES,
      at,
    );
    if (written < 0) return written;
    const { job, view } = this.#job(at);
    return { job, prefix: new Uint8Array(this.#copy(to, written)), envelope: view.getUint32(36, true) };
  }

  /** A frame sealed outside, complete, or a negative error code. `sealed` is ciphertext and tag. */
  sealFinish(codec: number, { prefix, envelope }: Sealing, sealed: ArrayBuffer): ArrayBuffer | number {
    const parts = [prefix, new Uint8Array(sealed)] as const;
    const end = prefix.length + sealed.byteLength;
    if (codec !== H264) {
      const frame = new Uint8Array(end);
      frame.set(parts[0]);
      frame.set(parts[1], prefix.length);
      return frame.buffer;
    }
    // Only escaping needs the module.
    this.#out.reserve(end + (end >> 1) + SEAL_MARGIN);
    const at = this.#out.put(...parts);
    const length = this.#exports.ef_seal_finish(codec, envelope, end, at, this.#out.capacity);
    return length < 0 ? length : this.#copy(at, length);
  }

  /**
   * Starts to open a frame outside the module. `null` if it is to be opened by `open`; a negative error code if it must
   * be dropped or held. The frame is not changed, and must not be until it is opened.
   */
  openBegin(now: number, codec: number, frame: ArrayBuffer): Opening | number | null {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const at = this.#out.reserve(JOB_BYTES);
    const begun = this.#exports.ef_open_begin(this.#pointer, milliseconds(now), codec, from, bytes.length, at);
    if (begun <= 0) return begun === 0 ? null : begun;
    const { job, view } = this.#job(at);
    const [start, length] = [view.getUint32(28, true), view.getUint32(32, true)];
    return {
      job,
      // In the module's memory the escaping of H.264 is gone; other frames are as they came.
      sealed: codec === H264 ? new Uint8Array(this.#copy(from + start, length)) : bytes.subarray(start, start + length),
      whose: {
        participant: view.getUint32(40, true),
        seat: view.getUint32(44, true),
        stream: view.getUint32(48, true),
        key: view.getUint32(52, true) === 1,
      },
    };
  }

  /** The tag of a frame opened outside was valid. 0, or a negative error code: the frame must be dropped even so. */
  openFinish(now: number, { bytes }: CipherJob): number {
    return this.#exports.ef_open_finish(this.#pointer, milliseconds(now), this.#in.put(bytes));
  }

  /** The key of a job, to be overwritten once it is imported; `null` if it has been erased. */
  cipherKey({ bytes }: CipherJob): Uint8Array<ArrayBuffer> | null {
    const job = this.#in.put(bytes);
    const at = this.#out.reserve(KEY_BYTES);
    const lives = this.#exports.ef_cipher_key(this.#pointer, job, at) === 0;
    const key = lives ? new Uint8Array(this.#copy(at, KEY_BYTES)) : null;
    new Uint8Array(this.#exports.memory.buffer, at, KEY_BYTES).fill(0);
    return key;
  }

  /** Whether the key of a job has not been erased. */
  hasKey({ bytes }: CipherJob): boolean {
    return this.#exports.ef_cipher_key(this.#pointer, this.#in.put(bytes), 0) === 0;
  }

  /** Erases the keys, and the frames still in the buffers. */
  free(): void {
    if (this.#pointer === 0) return;
    this.#exports.ef_session_free(this.#pointer);
    this.#pointer = 0;
    this.#in.release();
    this.#out.release();
  }

  /** Reads the job that the module wrote here. */
  #job(at: number): { job: CipherJob; view: DataView } {
    const bytes = new Uint8Array(this.#copy(at, JOB_BYTES));
    const view = new DataView(bytes.buffer);
    const additional = bytes.slice(68, 68 + view.getUint32(24, true));
    // Numbers of sealing and of opening keys are counted apart.
    const key = 2 * view.getUint32(16, true) + view.getUint32(20, true);
    return { job: { key, nonce: bytes.slice(56, 68), additional, bytes }, view };
  }

  #copy(at: number, length: number): ArrayBuffer {
    return this.#exports.memory.buffer.slice(at, at + length) as ArrayBuffer;
  }
}

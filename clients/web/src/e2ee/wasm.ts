// Loads the frame-encryption library as a wasm module, and types its C exports.
//
// Bytes are exchanged in buffers inside the module's memory, which grow and are reused. The memory may move when it
// grows, so a view of it is created for each use and never kept.
//
// The contract of the exports is in `e2ee-frames/ffi/include/e2ee_frames.h`, of those for an external cipher in
// `e2ee-frames/ffi/src/external.rs`. `abi.ts` has the numbers and offsets.

import { ClockLayout, CodecNumber, FrameKindNumber, JobLayout, OriginLayout } from "./abi.ts";

/** What the module exports. Pointers, also to a clock, and lengths are numbers; 64-bit times are BigInts. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  ef_alloc(length: number): number;
  ef_free(pointer: number, length: number): void;
  ef_access_token(invite: number, out: number): number;
  ef_session_new(room: number, call: number, invite: number, name: number, nameLength: number, clock: number): number;
  ef_session_free(session: number): void;
  ef_session_event(session: number, kind: number, clock: number, body: number, bodyLength: number): number;
  ef_session_poll(session: number, out: number, capacity: number): number;
  ef_session_deadline(session: number): bigint;
  ef_prove_resume(
    session: number,
    origin: number,
    originLength: number,
    serverSession: number,
    participant: number,
    token: number,
    tokenLength: number,
    nonce: number,
    nonceLength: number,
    out: number,
  ): number;
  ef_seal(
    session: number,
    clock: number,
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
    clock: number,
    codec: number,
    frame: number,
    frameLength: number,
    out: number,
    capacity: number,
    origin: number,
  ): number;
  ef_seal_begin(
    session: number,
    clock: number,
    stream: number,
    codec: number,
    kind: number,
    frameLength: number,
    out: number,
    capacity: number,
    job: number,
  ): number;
  ef_seal_finish(codec: number, envelope: number, end: number, out: number, capacity: number): number;
  ef_open_begin(session: number, clock: number, codec: number, buffer: number, length: number, job: number): number;
  ef_open_finish(session: number, clock: number, job: number): number;
  ef_cipher_key(session: number, job: number, out: number): number;
}

/** One reading of both clocks, in milliseconds. They must be independent: a session compares how far each has moved. */
export interface Clock {
  /** Monotonic, from any start. */
  readonly now: number;
  /** Time of day, since 1970. */
  readonly wall: number;
}

/** What a device signs to continue its session with the server over a new connection, besides room and call. */
export interface ResumeStatement {
  /** The server's origin as the page reached it, such as `https://call.example`. */
  readonly origin: string;
  /** The session that the server named in `welcome`, 16 bytes. */
  readonly session: Uint8Array;
  readonly participant: number;
  /** The token that is shown with the proof. */
  readonly token: Uint8Array;
  /** The challenge of the new connection, 32 bytes. */
  readonly nonce: Uint8Array;
}

/** An opened frame and its origin, from its key and not from any label of the server. */
export interface OpenedFrame {
  readonly data: ArrayBuffer;
  readonly participant: number;
  readonly seat: number;
  readonly stream: number;
  readonly key: boolean;
}

/** The inputs of AES-256-GCM with a 16-byte tag, besides the data, when the cipher runs outside the module. */
export interface CipherJob {
  /** Number of the key in the session. */
  readonly key: number;
  readonly nonce: Uint8Array<ArrayBuffer>;
  readonly additional: Uint8Array<ArrayBuffer>;
  /** The job as the module wrote it, to be passed back. */
  readonly bytes: Uint8Array;
}

/** A frame to be sealed outside the module. Its counter is used up, even if sealing fails. */
export interface Sealing {
  readonly job: CipherJob;
  /** Envelope and SFrame header. Ciphertext and tag follow. */
  readonly prefix: Uint8Array;
  /** Bytes of the envelope in the prefix. */
  readonly envelope: number;
}

/** A frame to be opened outside the module. Nothing of it is authentic before `openFinish`. */
export interface Opening {
  readonly job: CipherJob;
  /** Ciphertext and tag. */
  readonly sealed: Uint8Array<ArrayBuffer>;
  /** Its origin, if it authenticates. */
  readonly whose: Omit<OpenedFrame, "data">;
}

const ROOM_BYTES = 16;
const CALL_BYTES = 16;
const SECRET_BYTES = 32;
/** Large enough for every action. */
const ACTION_BYTES = 17_000;
/** Maximum number of bytes in one call of `getRandomValues`. */
const RANDOM_BYTES = 65_536;
const NEVER = 2n ** 64n - 1n;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const PROOF_BYTES = 64;
const SERVER_SESSION_BYTES = 16;
/** Large enough for every envelope and SFrame header. */
const PREFIX_BYTES = 96;
/** A sealed frame of any codec has at most half more bytes than the frame, and this many. */
const SEAL_MARGIN = 96;

/** A reusable buffer inside the module's memory that grows as needed. */
class Scratch {
  #pointer = 0;
  #capacity = 0;

  constructor(private readonly exports: Exports) {}

  /** Reserves bytes and returns their address. Growing loses the contents. */
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

  /** Copies bytes in and returns their address. */
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

  /** Overwrites the contents and frees the memory. */
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

/** A clock as the module reads it: an `ef_clock`. */
function clockBytes({ now, wall }: Clock): Uint8Array {
  const bytes = new Uint8Array(ClockLayout.bytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(ClockLayout.now, milliseconds(now), true);
  view.setBigUint64(ClockLayout.wall, milliseconds(wall), true);
  return bytes;
}

function demand(bytes: Uint8Array, length: number, what: string): void {
  if (bytes.length !== length) throw new RangeError(`${what} has ${length} bytes, not ${bytes.length}`);
}

/** A loaded module. */
export class FrameCrypto {
  private constructor(private readonly exports: Exports) {}

  /** Loads the module from its bytes. */
  static async fromBytes(bytes: BufferSource): Promise<FrameCrypto> {
    return FrameCrypto.fromModule(await WebAssembly.compile(bytes));
  }

  /** Makes an instance of the compiled module. */
  static async fromModule(module: WebAssembly.Module): Promise<FrameCrypto> {
    let memory: WebAssembly.Memory | null = null;
    const fillRandom = (pointer: number, length: number): void => {
      if (memory === null) throw new Error("random bytes before memory");
      for (let done = 0; done < length; done += RANDOM_BYTES) {
        const part = Math.min(RANDOM_BYTES, length - done);
        crypto.getRandomValues(new Uint8Array(memory.buffer, pointer + done, part) as Uint8Array<ArrayBuffer>);
      }
    };
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

  /** Derives the guest access, which a client shows the server, from the invite secret of the link. */
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
  session(room: Uint8Array, call: Uint8Array, invite: Uint8Array, name: string, clock: Clock): FrameCryptoSession {
    demand(room, ROOM_BYTES, "a room id");
    demand(call, CALL_BYTES, "a call id");
    demand(invite, SECRET_BYTES, "an invite secret");
    const nameBytes = new TextEncoder().encode(name);
    const scratch = new Scratch(this.exports);
    const clockAt = scratch.put(clockBytes(clock), room, call, invite, nameBytes);
    const roomAt = clockAt + ClockLayout.bytes;
    const callAt = roomAt + ROOM_BYTES;
    const inviteAt = callAt + CALL_BYTES;
    const nameAt = inviteAt + SECRET_BYTES;
    const pointer = this.exports.ef_session_new(roomAt, callAt, inviteAt, nameAt, nameBytes.length, clockAt);
    scratch.release();
    if (pointer === 0) throw new RangeError("the name is too long");
    return new FrameCryptoSession(this.exports, pointer);
  }
}

/** One device in one call. Not to be used after `free`. */
export class FrameCryptoSession {
  readonly #exports: Exports;
  readonly #in: Scratch;
  readonly #out: Scratch;
  readonly #clock: Scratch;
  #pointer: number;

  /** Made by `FrameCrypto.session`. */
  constructor(exports: Exports, pointer: number) {
    this.#exports = exports;
    this.#pointer = pointer;
    this.#in = new Scratch(exports);
    this.#out = new Scratch(exports);
    this.#clock = new Scratch(exports);
  }

  /** Handles an event. Returns `false` if it is refused; nothing has changed then. */
  event(kind: number, clock: Clock, body: Uint8Array): boolean {
    const clockAt = this.#clock.put(clockBytes(clock));
    const at = this.#in.put(body);
    return this.#exports.ef_session_event(this.#pointer, kind, clockAt, at, body.length) === 0;
  }

  /** Returns the next action, or `null`. To be drained after every other call. */
  poll(): Uint8Array<ArrayBuffer> | null {
    let at = this.#out.reserve(ACTION_BYTES);
    let length = this.#exports.ef_session_poll(this.#pointer, at, this.#out.capacity);
    if (length < 0) {
      at = this.#out.reserve(-length);
      length = this.#exports.ef_session_poll(this.#pointer, at, this.#out.capacity);
    }
    return length > 0 ? new Uint8Array(this.#copy(at, length)) : null;
  }

  /** Returns when the next `Tick` is due, or `null`. */
  deadline(): number | null {
    const deadline = BigInt.asUintN(64, this.#exports.ef_session_deadline(this.#pointer));
    return deadline === NEVER ? null : Number(deadline);
  }

  /**
   * Signs the statement by which this device continues its session with the server, also after the session has ended.
   * Returns `null` if the session id or the nonce does not have its length; nothing is signed then.
   */
  proveResume(statement: ResumeStatement): Uint8Array<ArrayBuffer> | null {
    const { session, participant, token, nonce } = statement;
    if (session.length !== SERVER_SESSION_BYTES) return null;
    const origin = new TextEncoder().encode(statement.origin);
    const originAt = this.#in.put(origin, session, token, nonce);
    const sessionAt = originAt + origin.length;
    const tokenAt = sessionAt + session.length;
    const nonceAt = tokenAt + token.length;
    const out = this.#out.reserve(PROOF_BYTES);
    const result = this.#exports.ef_prove_resume(
      this.#pointer,
      originAt,
      origin.length,
      sessionAt,
      participant,
      tokenAt,
      token.length,
      nonceAt,
      nonce.length,
      out,
    );
    return result === 0 ? new Uint8Array(this.#copy(out, PROOF_BYTES)) : null;
  }

  /** Returns the sealed frame in a new buffer, or a code of `SealRefusal`: the frame must then be dropped. */
  seal(clock: Clock, stream: number, codec: number, key: boolean, frame: ArrayBuffer): ArrayBuffer | number {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const capacity = bytes.length + (bytes.length >> 1) + SEAL_MARGIN;
    const to = this.#out.reserve(capacity);
    const clockAt = this.#clock.put(clockBytes(clock));
    const kind = key ? FrameKindNumber.Key : FrameKindNumber.Delta;
    const sealed = this.#exports.ef_seal(
      this.#pointer,
      clockAt,
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

  /** Returns the opened frame in a new buffer, or a code of `OpenRefusal`: the frame must then be dropped or held. */
  open(clock: Clock, codec: number, frame: ArrayBuffer): OpenedFrame | number {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const origin = this.#out.reserve(OriginLayout.bytes + bytes.length);
    const to = origin + OriginLayout.bytes;
    const opened = this.#exports.ef_open(
      this.#pointer,
      this.#clock.put(clockBytes(clock)),
      codec,
      from,
      bytes.length,
      to,
      bytes.length,
      origin,
    );
    if (opened < 0) return opened;
    const view = new DataView(this.#exports.memory.buffer, origin, OriginLayout.bytes);
    return {
      data: this.#copy(to, opened),
      participant: view.getUint32(OriginLayout.participant, true),
      seat: view.getUint32(OriginLayout.seat, true),
      stream: view.getUint32(OriginLayout.stream, true),
      key: view.getUint32(OriginLayout.kind, true) === FrameKindNumber.Key,
    };
  }

  /** Starts to seal a frame outside the module. Returns a code of `SealRefusal` if it must be dropped. */
  sealBegin(clock: Clock, stream: number, codec: number, key: boolean, frameLength: number): Sealing | number {
    const at = this.#out.reserve(JobLayout.bytes + PREFIX_BYTES);
    const to = at + JobLayout.bytes;
    const clockAt = this.#clock.put(clockBytes(clock));
    const kind = key ? FrameKindNumber.Key : FrameKindNumber.Delta;
    const written = this.#exports.ef_seal_begin(
      this.#pointer,
      clockAt,
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
    return { job, prefix: new Uint8Array(this.#copy(to, written)), envelope: view.getUint32(JobLayout.envelope, true) };
  }

  /** Completes a frame sealed outside: `sealed` is ciphertext and tag. Returns the frame, or a code of `SealRefusal`. */
  sealFinish(codec: number, { prefix, envelope }: Sealing, sealed: ArrayBuffer): ArrayBuffer | number {
    const parts = [prefix, new Uint8Array(sealed)] as const;
    const end = prefix.length + sealed.byteLength;
    if (codec !== CodecNumber.H264) {
      const frame = new Uint8Array(end);
      frame.set(parts[0]);
      frame.set(parts[1], prefix.length);
      return frame.buffer;
    }
    // Only the escaping of H.264 needs the module.
    this.#out.reserve(end + (end >> 1) + SEAL_MARGIN);
    const at = this.#out.put(...parts);
    const length = this.#exports.ef_seal_finish(codec, envelope, end, at, this.#out.capacity);
    return length < 0 ? length : this.#copy(at, length);
  }

  /**
   * Starts to open a frame outside the module. Returns `null` if `open` must open it, or a code of `OpenRefusal` if it
   * must be dropped or held. Does not change the frame, which must stay unchanged until it is opened.
   */
  openBegin(clock: Clock, codec: number, frame: ArrayBuffer): Opening | number | null {
    const bytes = new Uint8Array(frame);
    const from = this.#in.put(bytes);
    const at = this.#out.reserve(JobLayout.bytes);
    const clockAt = this.#clock.put(clockBytes(clock));
    const begun = this.#exports.ef_open_begin(this.#pointer, clockAt, codec, from, bytes.length, at);
    if (begun <= 0) return begun === 0 ? null : begun;
    const { job, view } = this.#job(at);
    const [start, length] = [view.getUint32(JobLayout.start, true), view.getUint32(JobLayout.length, true)];
    return {
      job,
      // For H.264, escaping was removed in the module's memory; other frames are unchanged.
      sealed:
        codec === CodecNumber.H264
          ? new Uint8Array(this.#copy(from + start, length))
          : bytes.subarray(start, start + length),
      whose: {
        participant: view.getUint32(JobLayout.participant, true),
        seat: view.getUint32(JobLayout.seat, true),
        stream: view.getUint32(JobLayout.stream, true),
        key: view.getUint32(JobLayout.kind, true) === FrameKindNumber.Key,
      },
    };
  }

  /** Reports that the tag of a frame was valid. Returns 0, or a code of `OpenRefusal`: the frame must be dropped. */
  openFinish(clock: Clock, { bytes }: CipherJob): number {
    const clockAt = this.#clock.put(clockBytes(clock));
    return this.#exports.ef_open_finish(this.#pointer, clockAt, this.#in.put(bytes));
  }

  /** Returns the key of a job, to be overwritten once it is imported, or `null` if it has been erased. */
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
    this.#clock.release();
  }

  /** Reads the job that the module wrote here. */
  #job(at: number): { job: CipherJob; view: DataView } {
    const bytes = new Uint8Array(this.#copy(at, JobLayout.bytes));
    const view = new DataView(bytes.buffer);
    const nonce = bytes.slice(JobLayout.nonce, JobLayout.nonce + NONCE_BYTES);
    const additionalEnd = JobLayout.additional + view.getUint32(JobLayout.additionalLength, true);
    const additional = bytes.slice(JobLayout.additional, additionalEnd);
    // Sealing and opening keys are numbered separately.
    const key = 2 * view.getUint32(JobLayout.key, true) + view.getUint32(JobLayout.opens, true);
    return { job: { key, nonce, additional, bytes }, view };
  }

  #copy(at: number, length: number): ArrayBuffer {
    return this.#exports.memory.buffer.slice(at, at + length) as ArrayBuffer;
  }
}

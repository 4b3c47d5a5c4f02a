// An independent implementation of a device, written from the protocol's description with WebCrypto and a nacl.box
// library. It interoperates with the wasm module. It has neither a replay window nor a clock, and is for tests only.

import { type Announced, deviceKey, readAnnounce, sealName, writeAnnounce } from "./announce.ts";
import { openEntry, readHeader, writeEntry, writeHeader } from "./batch.ts";
import { type Bytes, hex, join } from "./bytes.ts";
import { type CodecName, metadata, unwrap, wrap } from "./envelope.ts";
import type { NaclBox } from "./nacl-box.ts";
import { type Call, joinId, kidFields, kidOf, SessionKey } from "./schedule.ts";
import { open, parseHeader, seal } from "./sframe.ts";

const VALIDITY_MS = 15 * 60_000;

/** Source of random bytes; a seeded one makes a failure repeatable. */
export type Random = (length: number) => Bytes;

/** An opened frame and its origin, by its KID. */
export interface PeerOpened {
  readonly frame: Bytes;
  readonly key: boolean;
  readonly seat: number;
  readonly stream: number;
}

/** Another device, after its announce was verified. */
export interface Other extends Announced {
  readonly seat: number;
}

export class Peer {
  /** Latest keys of the other devices, by seat. */
  readonly #keys = new Map<number, SessionKey>();
  readonly #others = new Map<string, Other>();
  readonly #counters = new Map<bigint, bigint>();
  #own: SessionKey | null = null;

  private constructor(
    readonly box: NaclBox,
    readonly call: Call,
    private readonly invite: Bytes,
    readonly seat: number,
    private readonly random: Random,
    private readonly secret: Bytes,
    readonly announce: Bytes,
    readonly display: Bytes,
    private readonly self: Announced,
    private readonly wall: number,
  ) {}

  static async make(
    box: NaclBox,
    call: Call,
    invite: Bytes,
    name: string,
    seat: number,
    random: Random,
    wall: number,
  ): Promise<Peer> {
    const [seed, incarnation, secret] = [random(32), random(16), random(32)];
    const id = await joinId(call, deviceKey(seed).publicKey, incarnation);
    const display = await sealName(invite, id, name, random(12));
    const announce = await writeAnnounce(call, invite, {
      seed,
      incarnation,
      ephemeral: box.publicKey(secret),
      display,
      seq: 1,
      notBefore: wall,
      notAfter: wall + VALIDITY_MS,
    });
    const self = await readAnnounce(call, invite, announce, display, wall);
    return new Peer(box, call, invite, seat, random, secret, announce, display, self, wall);
  }

  /** Verifies another device's announce and remembers the device. @throws if the announce is invalid */
  async meet(seat: number, announce: Bytes, display: Bytes): Promise<Other> {
    const other = { ...(await readAnnounce(this.call, this.invite, announce, display, this.wall)), seat };
    this.#others.set(hex(other.joinId.subarray(0, 16)), other);
    return other;
  }

  /** This device's session key; generated at first use. */
  get key(): SessionKey {
    this.#own ??= new SessionKey(this.random(32), { generation: 0, step: 0 }, this.self.joinId, this.call);
    return this.#own;
  }

  async ratchet(): Promise<void> {
    this.#own = await this.key.ratcheted();
  }

  rotate(): void {
    const epoch = { generation: this.key.epoch.generation + 1, step: 0 };
    this.#own = new SessionKey(this.random(32), epoch, this.self.joinId, this.call);
  }

  /** Seals this device's key to another. Returns header and entry of the batch. */
  async sealKey(other: Other): Promise<{ header: Bytes; entry: Bytes }> {
    const nonce = this.random(24);
    const header = writeHeader(
      {
        call: this.call,
        seat: this.seat,
        joinId: this.self.joinId.slice(0, 16),
        announceSeq: this.self.seq,
        epoch: this.key.epoch,
        reason: 1,
        created: this.wall,
        rosterHash: this.random(32),
        commitment: await this.key.commitment(),
        nonce,
      },
      1,
    );
    const ends = {
      sender: this.self.joinId,
      recipient: other.joinId,
      senderAnnounce: this.self.hash,
      recipientAnnounce: other.hash,
    };
    const keys = { box: this.box, theirs: other.ephemeral, secret: this.secret };
    const recipient = { seat: other.seat, announceSeq: other.seq };
    return { header, entry: await writeEntry(header, nonce, recipient, ends, keys, this.key) };
  }

  /** Opens a key that was sealed to this device. @throws if the batch is invalid */
  async takeKey(header: Uint8Array, entry: Uint8Array): Promise<SessionKey> {
    const { joinId, seat, announceSeq } = readHeader(header);
    const sender = this.#others.get(hex(joinId));
    if (sender === undefined || sender.seq !== announceSeq) throw new Error("unknown sender");
    const ends = {
      sender: sender.joinId,
      recipient: this.self.joinId,
      senderAnnounce: sender.hash,
      recipientAnnounce: this.self.hash,
    };
    const key = await openEntry(header, entry, ends, { box: this.box, theirs: sender.ephemeral, secret: this.secret });
    this.#keys.set(seat, key);
    return key;
  }

  /** Seals the next frame of a stream. */
  async seal(codec: CodecName, key: boolean, stream: number, frame: Bytes): Promise<ArrayBuffer> {
    const kid = kidOf(this.key.epoch, this.seat, stream);
    const ctr = this.#counters.get(kid) ?? 0n;
    this.#counters.set(kid, ctr + 1n);
    const sealed = await seal(await this.key.baseKey(), { kid, ctr }, metadata(codec, key), frame);
    return join(wrap(codec, key, sealed)).buffer;
  }

  /** Opens a frame, ratcheting to its step. @throws if it is not authentic, or its sender has no key here */
  async open(codec: CodecName, sealed: ArrayBuffer): Promise<PeerOpened> {
    const { key, content } = unwrap(codec, new Uint8Array(sealed));
    const { kid } = parseHeader(content).header;
    const { seat, stream, step, generation } = kidFields(kid);
    const held = this.#keys.get(seat);
    if (held === undefined || held.epoch.generation % 8 !== generation) throw new Error("no key");
    const baseKey = await (await held.at(step)).baseKey();
    return { frame: await open(baseKey, metadata(codec, key), content), key, seat, stream };
  }
}

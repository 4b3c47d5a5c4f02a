// An independent implementation of e2ee-messages/1 that opens: prekeys, sessions, ratchet, outers, rooms, files. X25519 and
// Ed25519 are TweetNaCl's, the rest Node's. Node has no ML-KEM: its secrets are given.

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import nacl from "tweetnacl";
import { type Bytes, equal, hex, join, Reader, text, toNumber, u8, u16, u32, u64 } from "./bytes.ts";

export const KINDS = ["signed prekey", "one-time prekey", "one-time kem", "last-resort kem", "sealing prekey"] as const;
const OPENING_BYTES = 1133;

const bytes = (data: Uint8Array | ArrayBuffer): Bytes => join(new Uint8Array(data));
const label = (purpose: string): Bytes => text(`e2ee-messages/1 ${purpose}`);

export const sha256 = (...parts: readonly Uint8Array[]): Bytes =>
  bytes(
    createHash("sha256")
      .update(join(...parts))
      .digest(),
  );
const hmac = (key: Bytes, message: Bytes): Bytes => bytes(createHmac("sha256", key).update(message).digest());
const hkdf = (salt: Uint8Array, secret: Uint8Array, info: Uint8Array, length = 32): Bytes =>
  bytes(hkdfSync("sha512", secret, salt, info, length));

export const publicKey = (seed: Bytes): Bytes => bytes(nacl.scalarMult.base(seed));
const agree = (seed: Bytes, peer: Bytes): Bytes => bytes(nacl.scalarMult(seed, peer));
export const deviceKey = (seed: Bytes): Bytes => bytes(nacl.sign.keyPair.fromSeed(seed).publicKey);
export const sign = (seed: Bytes, purpose: string, message: Bytes): Bytes =>
  bytes(nacl.sign.detached(join(label(purpose), message), nacl.sign.keyPair.fromSeed(seed).secretKey));

function verify(key: Bytes, purpose: string, message: Bytes, signature: Bytes): void {
  if (!nacl.sign.detached.verify(join(label(purpose), message), signature, key))
    throw new Error(`signature: ${purpose}`);
}

/** AES-256-GCM under 44 bytes of key and nonce. */
function seal(keyAndNonce: Bytes, plain: Bytes, aad: Bytes): Bytes {
  const cipher = createCipheriv("aes-256-gcm", keyAndNonce.slice(0, 32), keyAndNonce.slice(32)).setAAD(aad);
  return join(cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

function open(keyAndNonce: Bytes, sealed: Bytes, aad: Bytes = new Uint8Array(0)): Bytes {
  const decipher = createDecipheriv("aes-256-gcm", keyAndNonce.slice(0, 32), keyAndNonce.slice(32)).setAAD(aad);
  decipher.setAuthTag(sealed.slice(-16));
  return join(decipher.update(sealed.slice(0, -16)), decipher.final());
}

export interface Prekey {
  readonly kind: number;
  readonly id: Bytes;
  readonly key: Bytes;
}

/** Reads a prekey, alone or at the front of a bundle, and verifies its signature. */
export function readPrekey(reader: Reader, device: Bytes): Prekey {
  const [version, kind] = [reader.number(1), reader.number(1)];
  const [id, day] = [reader.take(4), reader.take(4)];
  const key = reader.take(kind === 3 || kind === 4 ? 1184 : 32);
  const purpose = KINDS[kind - 1];
  if (version !== 1 || purpose === undefined) throw new RangeError("prekey");
  verify(device, purpose, join(u8(version), u8(kind), id, day, key), reader.take(64));
  return { kind, id, key };
}

export function openBlob(key: Bytes, blob: Bytes): { id: Bytes; body: Bytes } {
  const plain = open(join(key, new Uint8Array(12)), blob, label("blob"));
  const reader = new Reader(plain);
  const [id, length] = [reader.take(16), reader.number(4)];
  const body = reader.take(length);
  if (plain.slice(20 + length).some((byte) => byte !== 0)) throw new RangeError("padding");
  return { id, body };
}

export function sealBlob(key: Bytes, id: Bytes, body: Bytes): Bytes {
  let size = 256;
  while (size < body.length + 20) size *= 2;
  const padded = new Uint8Array(size);
  padded.set(join(id, u32(body.length), body));
  return seal(join(key, new Uint8Array(12)), padded, label("blob"));
}

/** The message key, and the next key of the chain. */
export const chainStep = (key: Bytes): [Bytes, Bytes] => [hmac(key, u8(1)), hmac(key, u8(2))];

/** The receiving half of a ratchet, and as much of the sending half as that needs. */
class Ratchet {
  #chain: { key: Bytes; next: number } | undefined;
  #peer: Bytes | undefined;
  readonly #skipped = new Map<string, Bytes>();

  constructor(
    private root: Bytes,
    private own: Bytes,
    peer?: Bytes,
  ) {
    this.#peer = peer;
  }

  #step(peer: Bytes): Bytes {
    const secret = join(this.root, agree(this.own, peer));
    this.root = hkdf(label("root"), secret, text("root"));
    return hkdf(label("root"), secret, text("chain"));
  }

  /** This side writes under a new ratchet key. */
  write(own: Bytes): void {
    if (this.#peer === undefined) throw new Error("nothing to answer");
    this.own = own;
    this.#step(this.#peer);
  }

  #skipTo(n: number): void {
    while (this.#chain !== undefined && this.#chain.next < n) {
      const [message, key] = chainStep(this.#chain.key);
      this.#skipped.set(`${hex(this.#peer ?? u8(0))} ${this.#chain.next}`, message);
      this.#chain = { key, next: this.#chain.next + 1 };
    }
  }

  open(prefix: Bytes, sealed: Bytes): Bytes {
    const header = sealed.slice(0, 56);
    const reader = new Reader(header);
    const [ratchet, previous, n, salt] = [reader.take(32), reader.number(4), reader.number(4), reader.take(16)];
    const name = `${hex(ratchet)} ${n}`;
    let message = this.#skipped.get(name);
    this.#skipped.delete(name);
    if (message === undefined) {
      if (this.#peer === undefined || !equal(ratchet, this.#peer)) {
        this.#skipTo(previous);
        this.#chain = { key: this.#step(ratchet), next: 0 };
        this.#peer = ratchet;
      }
      this.#skipTo(n);
      if (this.#chain?.next !== n) throw new Error("consumed");
      const [key, next] = chainStep(this.#chain.key);
      this.#chain = { key: next, next: n + 1 };
      message = key;
    }
    return open(hkdf(salt, message, label("message"), 44), sealed.slice(56), join(prefix, header));
  }
}

export interface Certificate {
  readonly account: Bytes;
  readonly identity: Bytes;
  readonly device: Bytes;
  readonly agreement: Bytes;
  readonly hash: Bytes;
}

const party = ({ account, identity, device, agreement }: Certificate): Bytes =>
  join(account, identity, device, agreement);

interface Session {
  readonly id: Bytes;
  readonly number: number;
  readonly ratchet: Ratchet;
}

/** A seed of a prekey's private half, with its public half. */
export interface Half extends Prekey {
  readonly seed: Bytes;
}

export interface Opened {
  readonly id: Bytes;
  readonly body: Bytes;
  readonly checkpoint: Bytes;
  readonly replaces: boolean;
}

/** A device that opens what comes. Of what it writes it needs the draws only. */
export class Device {
  readonly #sessions: Session[] = [];

  constructor(
    private readonly origin: string,
    private readonly cert: Certificate,
    private readonly agreementSeed: Bytes,
    private readonly halves: readonly Half[],
  ) {}

  #half(kind: number, id?: Bytes): Half {
    const half = this.halves.find((one) => one.kind === kind && (id === undefined || equal(one.id, id)));
    if (half === undefined) throw new Error("no such prekey");
    return half;
  }

  #add(number: number, secrets: readonly Bytes[], transcript: Bytes, ratchet: (root: Bytes) => Ratchet): Session {
    const id = sha256(label("transcript"), u16(this.origin.length), text(this.origin), transcript);
    const root = hkdf(label("pqxdh"), join(new Uint8Array(32).fill(0xff), ...secrets), id);
    const session = { id, number, ratchet: ratchet(root) };
    this.#sessions.push(session);
    return session;
  }

  /** This device has opened a session with a bundle: `ephemeral` and `ratchet` are its draws. */
  initiated(peer: Certificate, bundle: Bytes, slip: Bytes, kemSecret: Bytes, ephemeral: Bytes, ratchet: Bytes): void {
    const reader = new Reader(bundle);
    const signed = readPrekey(reader, peer.device);
    let next = readPrekey(reader, peer.device);
    const oneTime = next.kind === 2 ? next : undefined;
    if (oneTime !== undefined) next = readPrekey(reader, peer.device);
    const kem = next;
    readPrekey(reader, peer.device);
    reader.end();
    const shared = [
      agree(this.agreementSeed, signed.key),
      agree(ephemeral, peer.agreement),
      agree(ephemeral, signed.key),
    ];
    if (oneTime !== undefined) shared.push(agree(ephemeral, oneTime.key));
    const keys = join(
      join(signed.id, signed.key),
      oneTime === undefined ? new Uint8Array(36) : join(oneTime.id, oneTime.key),
      join(u8(kem.kind), kem.id, kem.key),
    );
    const ciphertext = slip.slice(6 + 45, 6 + OPENING_BYTES);
    const transcript = join(party(this.cert), party(peer), publicKey(ephemeral), keys, ciphertext);
    const number = 1 + Math.max(0, ...this.#sessions.map((session) => session.number));
    const session = this.#add(
      number,
      [...shared, kemSecret],
      transcript,
      (root) => new Ratchet(root, ephemeral, signed.key),
    );
    session.ratchet.write(ratchet);
  }

  /** This device has written under a ratchet key that it drew. */
  wrote(ratchet: Bytes): void {
    this.#sessions.at(-1)?.ratchet.write(ratchet);
  }

  #respond(peer: Certificate, number: number, opening: Bytes, kemSecret: Bytes): Session {
    const reader = new Reader(opening);
    const [ephemeral, signed] = [reader.take(32), this.#half(1, reader.take(4))];
    const oneTimeId = reader.take(4);
    const oneTime = toNumber(oneTimeId) === 0n ? undefined : this.#half(2, oneTimeId);
    const kem = this.#half(reader.number(1), reader.take(4));
    const shared = [
      agree(signed.seed, peer.agreement),
      agree(this.agreementSeed, ephemeral),
      agree(signed.seed, ephemeral),
    ];
    if (oneTime !== undefined) shared.push(agree(oneTime.seed, ephemeral));
    const keys = join(
      join(signed.id, signed.key),
      oneTime === undefined ? new Uint8Array(36) : join(oneTime.id, oneTime.key),
      join(u8(kem.kind), kem.id, kem.key),
    );
    const transcript = join(party(peer), party(this.cert), ephemeral, keys, reader.take(1088));
    return this.#add(number, [...shared, kemSecret], transcript, (root) => new Ratchet(root, signed.seed));
  }

  /** The slip in an outer, whose sender is proven to be this one. */
  openOuter(peer: Certificate, name: string, listSeq: number, outer: Bytes): Bytes {
    const sealing = this.#half(5);
    const [ephemeral, c1, c2] = [outer.slice(0, 32), outer.slice(32, 80), outer.slice(80)];
    const { agreement, account, device } = this.cert;
    const context = join(ephemeral, sealing.key, agreement, account, device);
    const fresh = agree(sealing.seed, ephemeral);
    const sender = open(hkdf(label("outer"), fresh, join(text("key"), context), 44), c1);
    const secret = join(fresh, agree(sealing.seed, sender));
    const plain = open(hkdf(label("outer"), secret, join(text("slip"), context, sha256(c1)), 44), c2);
    const expected = join(peer.account, peer.hash, u8(name.length), text(name), u64(listSeq));
    if (!equal(sender, peer.agreement) || !equal(plain.slice(0, expected.length), expected)) throw new Error("sender");
    return plain.slice(expected.length);
  }

  /** Opens a slip and the blob that it names. `kemSecret` is of the session that it may open. */
  open(peer: Certificate, slip: Bytes, blob: Bytes, kemSecret: Bytes): Opened {
    const head = slip.slice(0, 6);
    const reader = new Reader(head);
    const [version, form, number] = [reader.number(1), reader.number(1), reader.number(4)];
    if (version !== 1 || (form !== 1 && form !== 2)) throw new RangeError("slip");
    const sealed = slip.slice(form === 1 ? 6 + OPENING_BYTES : 6);
    let session = this.#sessions.find((one) => one.number === number);
    session ??= this.#respond(peer, number, slip.slice(6, 6 + OPENING_BYTES), kemSecret);
    const payload = new Reader(session.ratchet.open(join(session.id, head), sealed));
    const [flags, key, digest, checkpoint] = [payload.number(1), payload.take(32), payload.take(32), payload.take(40)];
    if ((flags & 2) !== 0 && readPrekey(payload, peer.device).kind !== 5) throw new RangeError("prekey");
    payload.end();
    if (!equal(digest, sha256(blob))) throw new Error("another blob");
    return { ...openBlob(key, blob), checkpoint, replaces: (flags & 1) !== 0 };
  }
}

/** The body of a room message under a message key. */
export function openRoom(messageKey: Bytes, verifyKey: Bytes, message: Bytes): Bytes {
  const [header, sealed, signature] = [message.slice(0, 125), message.slice(125, -64), message.slice(-64)];
  verify(verifyKey, "room message", join(header, sha256(sealed)), signature);
  const key = hkdf(header.slice(-16), messageKey, label("room key"), 44);
  return open(key, sealed, join(label("room message"), header));
}

export function paddedSize(size: number): number {
  const step = Math.max(size === 0 ? 0 : Math.floor(2 ** Math.floor(Math.log2(size)) / 16), 256);
  return Math.ceil(Math.max(size, 1) / step) * step;
}

/** The sealed chunks of a file, and its key. */
export function sealFile(key: Bytes, prefix: Bytes, file: Bytes): { chunks: Bytes[]; fileKey: Bytes } {
  const padded = new Uint8Array(paddedSize(file.length));
  padded.set(file);
  const chunks: Bytes[] = [];
  let digest: Bytes = new Uint8Array(32);
  for (let at = 0; at < padded.length; at += 65_536) {
    const nonce = join(prefix, u32(chunks.length), u8(at + 65_536 >= padded.length ? 1 : 0));
    chunks.push(seal(join(key, nonce), padded.slice(at, at + 65_536), label("file")));
    digest = sha256(label("file"), digest, file.slice(at, at + 65_536));
  }
  return { chunks, fileKey: join(u8(1), key, prefix, u64(file.length), digest) };
}

export const openRow = (key: Bytes, row: Bytes, sealed: Bytes): Bytes =>
  open(join(key, sealed.slice(1, 13)), sealed.slice(13), join(label("state"), row));

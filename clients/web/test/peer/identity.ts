// An independent implementation of e2ee-identity/1: the derivations of passwords, codes and passkeys, the sealed archive,
// device lists. Argon2id is hash-wasm's, Ed25519 and X25519 TweetNaCl's, the rest Node's.

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from "node:crypto";
import { argon2id } from "hash-wasm";
import nacl from "tweetnacl";
import { type Bytes, fromHex, hex, join, Reader, text, u8, u16, u32, u64 } from "./bytes.ts";

export interface Account {
  readonly id: Bytes;
  readonly origin: string;
  readonly name: string;
}

const label = (purpose: string): Bytes => text(`e2ee-identity/1 ${purpose}`);
const bytes = (data: Uint8Array | ArrayBuffer): Bytes => join(new Uint8Array(data));

export const sha256 = (...parts: readonly Uint8Array[]): Bytes =>
  bytes(
    createHash("sha256")
      .update(join(...parts))
      .digest(),
  );

const hkdf = (salt: Uint8Array, secret: Uint8Array, info: Uint8Array, length = 32): Bytes =>
  bytes(hkdfSync("sha512", secret, salt, info, length));

/** The one form of a name. */
export const canonicalName = (typed: string): string => typed.normalize("NFKC").toLowerCase().normalize("NFKC");

export const normalPassword = (typed: string): Bytes => text(typed.normalize("NFKC"));

/** By which derivations end: `len2 origin len1 name`. */
export function encodedName({ origin, name }: Pick<Account, "origin" | "name">): Bytes {
  const [from, named] = [text(origin), text(name)];
  return join(u16(from.length), from, u8(named.length), named);
}

export const originHash = (origin: string): Bytes => sha256(text(origin)).slice(0, 8);

export const argon2Salt = (account: Account, salt: Bytes): Bytes => sha256(label("salt"), encodedName(account), salt);

export async function stretch(
  typed: string,
  account: Account,
  salt: Bytes,
  memoryKib: number,
  passes: number,
): Promise<Record<"root" | "auth" | "wrapKey", Bytes>> {
  const root = bytes(
    await argon2id({
      password: normalPassword(typed),
      salt: argon2Salt(account, salt),
      memorySize: memoryKib,
      iterations: passes,
      parallelism: 1,
      hashLength: 32,
      outputType: "binary",
    }),
  );
  const key = (purpose: string): Bytes => hkdf(label("password"), root, join(label(purpose), encodedName(account)));
  return { root, auth: key("auth"), wrapKey: key("vault") };
}

/** The keys of a backup code. */
export function codeKeys(typed: string, account: Account): Record<"id" | "auth" | "wrapKey", Bytes> {
  const code = typed.toUpperCase().replaceAll(/[- ]/gu, "").replaceAll("O", "0").replaceAll(/[IL]/gu, "1");
  if (!/^[0-9A-HJKMNP-TV-Z]{20}$/u.test(code)) throw new RangeError("not a code");
  const salt = join(label("code"), account.id);
  const key = (purpose: string, length: number): Bytes =>
    hkdf(salt, text(code), join(text(purpose), encodedName(account)), length);
  return { id: key("id", 8), auth: key("auth", 32), wrapKey: key("wrap", 32) };
}

export const codeSlot = (id: Bytes): Bytes => join(id, new Uint8Array(8));

export const prfInput = (origin: string): Bytes => sha256(label("prf"), text(origin));
export const passkeyKey = (prf: Bytes, account: Account): Bytes =>
  hkdf(label("passkey"), prf, join(account.id, encodedName(account)));
export const passkeySlot = (credential: Bytes): Bytes => sha256(label("credential"), credential).slice(0, 16);

function seal(key: Bytes, nonce: Bytes, aad: Bytes, plain: Bytes): Bytes {
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
  return join(cipher.update(plain), cipher.final(), cipher.getAuthTag());
}

function open(key: Bytes, nonce: Bytes, aad: Bytes, sealed: Bytes): Bytes {
  const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(aad).setAuthTag(sealed.slice(-16));
  return join(decipher.update(sealed.slice(0, -16)), decipher.final());
}

export interface Vault {
  readonly key: Bytes;
  readonly version: number;
}

const wrapAad = (account: Account, head: Bytes): Bytes => join(label("wrap"), account.id, head);

export function wrapVault(vault: Vault, account: Account, kind: number, slot: Bytes, key: Bytes, nonce: Bytes): Bytes {
  const head = join(u8(kind), slot, u32(vault.version));
  return join(u8(1), head, nonce, seal(key, nonce, wrapAad(account, head), vault.key));
}

export function openVault(wrap: Bytes, account: Account, key: Bytes): Vault {
  const reader = new Reader(wrap);
  if (reader.number(1) !== 1) throw new RangeError("version");
  const head = reader.take(21);
  const [nonce, sealed] = [reader.take(12), reader.take(48)];
  reader.end();
  const version = new Reader(head.slice(17)).number(4);
  return { key: open(key, nonce, wrapAad(account, head), sealed), version };
}

export const blobKey = (vault: Vault, account: Account, name: string): Bytes =>
  hkdf(label("archive"), vault.key, join(account.id, text(name)));

const blobAad = (vault: Vault, account: Account, name: string, version: number): Bytes =>
  join(label("blob"), account.id, text(name), u64(version), u32(vault.version));

export function sealBlob(
  vault: Vault,
  account: Account,
  { name, version, contents, nonce }: { name: string; version: number; contents: Bytes; nonce: Bytes },
): Bytes {
  const aad = blobAad(vault, account, name, version);
  return join(u8(1), nonce, seal(blobKey(vault, account, name), nonce, aad, contents));
}

export function openBlob(vault: Vault, account: Account, name: string, version: number, sealed: Bytes): Bytes {
  const aad = blobAad(vault, account, name, version);
  return open(blobKey(vault, account, name), sealed.slice(1, 13), aad, sealed.slice(13));
}

export function writeIndex(blobs: readonly { name: string; version: number; sealed: Bytes }[]): Bytes {
  const sorted = [...blobs].sort((one, other) => (one.name < other.name ? -1 : 1));
  const entries = sorted.map(({ name, version, sealed }) =>
    join(u8(name.length), text(name), u64(version), sha256(sealed)),
  );
  return join(u8(1), u8(blobs.length), ...entries);
}

export const indexMark = (vault: Vault, version: number, sealed: Bytes): Bytes =>
  join(u32(vault.version), u64(version), sha256(sealed));

const signer = (seed: Bytes): nacl.SignKeyPair => nacl.sign.keyPair.fromSeed(seed);
export const publicKey = (seed: Bytes): Bytes => bytes(signer(seed).publicKey);
export const agreementKey = (seed: Bytes): Bytes => bytes(nacl.scalarMult.base(seed));

const sign = (seed: Bytes, purpose: string, message: Bytes): Bytes =>
  bytes(nacl.sign.detached(join(label(purpose), message), signer(seed).secretKey));

export const deviceNameHash = (salt: Bytes, name: string): Bytes => sha256(label("name"), salt, text(name));

export interface Device {
  readonly signingSeed: Bytes;
  readonly agreementSeed: Bytes;
  readonly addedDay: number;
  readonly kind: number;
  readonly labelHash: Bytes;
}

export function writeCert(account: Account, identity: Bytes, device: Device): Bytes {
  const signed = join(
    u8(1),
    account.id,
    identity,
    publicKey(device.signingSeed),
    agreementKey(device.agreementSeed),
    u32(device.addedDay),
    u8(device.kind),
    device.labelHash,
  );
  return join(signed, sign(device.signingSeed, "device", signed));
}

export function writeList(account: Account, seed: Bytes, seq: number, previous: Bytes, certs: readonly Bytes[]): Bytes {
  const name = text(account.name);
  const signed = join(
    u8(1),
    account.id,
    publicKey(seed),
    originHash(account.origin),
    u8(name.length),
    name,
    u64(seq),
    previous,
    u8(certs.length),
    ...certs.map(hex).sort().map(fromHex),
  );
  return join(signed, sign(seed, "list", signed));
}

export function writeSuccession(account: Account, old: Bytes, next: Bytes, seq: number): Bytes {
  const signed = join(u8(1), publicKey(old), publicKey(next), account.id, u64(seq));
  return join(signed, sign(old, "succession", signed), sign(next, "succession", signed));
}

export const writeStatement = (account: Account, identity: Bytes, seq: number, hash: Bytes, closed: number): Bytes =>
  join(u8(1), account.id, identity, u64(seq), hash, u8(closed));

export function prove(
  account: Account,
  seed: Bytes,
  { operation, token, time, nonce }: { operation: number; token: Bytes; time: number; nonce: Bytes },
): Bytes {
  const origin = sha256(text(account.origin));
  return sign(seed, "proof", join(u8(operation), origin, account.id, sha256(token), u64(time), nonce));
}

export function safetyNumber(people: readonly { identity: Bytes; encoded: Bytes }[]): { digits: string; qr: Bytes } {
  const sorted = people.map(({ identity, encoded }) => hex(join(identity, encoded))).sort();
  const number = hkdf(label("safety"), fromHex(sorted.join("")), text("number"), 64);
  const groups = Array.from({ length: 12 }, (_, group) => new Reader(number.slice(5 * group)).number(5) % 100_000);
  return { digits: groups.map((group) => String(group).padStart(5, "0")).join(" "), qr: number.slice(0, 32) };
}

/** RFC 6238 with SHA-1, six digits and steps of 30 seconds. */
export function totp(secret: Bytes, time: number): string {
  const mac = createHmac("sha1", secret)
    .update(u64(Math.floor(time / 30)))
    .digest();
  const number = mac.readUInt32BE((mac[19] ?? 0) & 15) % 2 ** 31;
  return String(number % 1_000_000).padStart(6, "0");
}

// The join announce and the sealed name: Ed25519 by node, MAC, hash and AES-GCM by WebCrypto.

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Bytes, equal, fromHex, join, Reader, text, u32, u64 } from "./bytes.ts";
import { type Call, inviteKey, joinId, sha256 } from "./schedule.ts";

export const ANNOUNCE_BYTES = 298;
const SIGNED_BYTES = 202;
const MACED_BYTES = 266;
const CONTEXT = text("e2ee-frames/1 announce");
const NONCE_BYTES = 12;

/** DER prefixes of an Ed25519 seed and public key (RFC 8410). */
const PKCS8 = fromHex("302e020100300506032b657004220420");
const SPKI = fromHex("302a300506032b6570032100");

/** Returns a device's signing key. */
export function deviceKey(seed: Bytes): { key: KeyObject; publicKey: Bytes } {
  const key = createPrivateKey({ key: Buffer.from(join(PKCS8, seed)), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { key, publicKey: new Uint8Array(spki.subarray(SPKI.length)) };
}

export async function sealName(invite: Bytes, id: Bytes, name: string, nonce: Bytes): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", await inviteKey(invite, "display"), "AES-GCM", false, ["encrypt"]);
  const params = { name: "AES-GCM", iv: nonce, additionalData: id };
  return join(nonce, new Uint8Array(await crypto.subtle.encrypt(params, key, text(name))));
}

export async function openName(invite: Bytes, id: Bytes, display: Bytes): Promise<string> {
  const key = await crypto.subtle.importKey("raw", await inviteKey(invite, "display"), "AES-GCM", false, ["decrypt"]);
  const params = { name: "AES-GCM", iv: display.slice(0, NONCE_BYTES), additionalData: id };
  const name = await crypto.subtle.decrypt(params, key, display.slice(NONCE_BYTES));
  return new TextDecoder("utf-8", { fatal: true }).decode(name);
}

async function macKey(invite: Bytes): Promise<CryptoKey> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", await inviteKey(invite, "announce"), algorithm, false, ["sign", "verify"]);
}

export interface AnnounceFields {
  readonly seed: Bytes;
  readonly incarnation: Bytes;
  readonly ephemeral: Bytes;
  readonly display: Bytes;
  readonly seq: number;
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Writes, signs and authenticates an announce. */
export async function writeAnnounce({ room, call }: Call, invite: Bytes, fields: AnnounceFields): Promise<Bytes> {
  const { key, publicKey } = deviceKey(fields.seed);
  const fieldsBytes = join(
    Uint8Array.of(1, 1),
    room,
    call,
    publicKey,
    fields.incarnation,
    fields.ephemeral,
    new Uint8Array(32),
    await sha256(fields.display),
    u32(1),
    u32(fields.seq),
    u64(fields.notBefore),
    u64(fields.notAfter),
  );
  const signed = join(fieldsBytes, new Uint8Array(sign(null, join(CONTEXT, fieldsBytes), key)));
  return join(signed, new Uint8Array(await crypto.subtle.sign("HMAC", await macKey(invite), signed)));
}

/** The fields of a verified announce. */
export interface Announced {
  readonly device: Bytes;
  readonly incarnation: Bytes;
  readonly joinId: Bytes;
  readonly ephemeral: Bytes;
  readonly seq: number;
  readonly hash: Bytes;
  readonly name: string;
}

/** Verifies an announce and its sealed name. @throws if either is invalid */
export async function readAnnounce(
  call: Call,
  invite: Bytes,
  announce: Bytes,
  display: Bytes,
  wall: number,
): Promise<Announced> {
  const reader = new Reader(announce);
  const [version, auth] = [reader.number(1), reader.number(1)];
  if (version !== 1 || (auth !== 1 && auth !== 3)) throw new Error("version");
  if (!equal(reader.take(16), call.room) || !equal(reader.take(16), call.call)) throw new Error("call");
  const [device, incarnation, ephemeral] = [reader.take(32), reader.take(16), reader.take(32)];
  // The hash of a directory's bundle, which is not used here.
  reader.take(32);
  const displayHash = reader.take(32);
  // The profiles.
  reader.number(4);
  const [seq, notBefore, notAfter] = [reader.number(4), reader.number(8), reader.number(8)];
  const [signature, mac] = [reader.take(64), reader.take(32)];
  reader.end();
  const maced = announce.slice(0, MACED_BYTES);
  if (!(await crypto.subtle.verify("HMAC", await macKey(invite), mac, maced))) throw new Error("mac");
  const key = createPublicKey({ key: Buffer.from(join(SPKI, device)), format: "der", type: "spki" });
  if (!verify(null, join(CONTEXT, announce.subarray(0, SIGNED_BYTES)), key, signature)) throw new Error("signature");
  if (wall < notBefore || wall > notAfter) throw new Error("validity");
  if (!equal(await sha256(display), displayHash)) throw new Error("display");
  const id = await joinId(call, device, incarnation);
  const name = await openName(invite, id, display);
  return { device, incarnation, joinId: id, ephemeral, seq, hash: await sha256(announce), name };
}

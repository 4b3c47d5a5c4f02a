// SFrame (RFC 9605) with suite 5, AES_256_GCM_SHA512_128, by WebCrypto.

import { type Bytes, equal, join, number, text, toNumber, u16, u64 } from "./bytes.ts";

export const SUITE = 5;
const TAG_BYTES = 16;

export interface Header {
  readonly kid: bigint;
  readonly ctr: bigint;
}

function digits(value: bigint): Bytes {
  let length = 0;
  while (value >> BigInt(8 * length) > 0n) length += 1;
  return number(value, length);
}

/** Section 4.3: a value below 8 is in the first byte, any other follows in as few bytes as possible. */
export function encodeHeader({ kid, ctr }: Header): Bytes {
  const [kidBytes, ctrBytes] = [kid, ctr].map((value) => (value < 8n ? new Uint8Array(0) : digits(value))) as [
    Bytes,
    Bytes,
  ];
  const field = (value: bigint, bytes: Bytes): number => (bytes.length === 0 ? Number(value) : 8 + bytes.length - 1);
  return join(Uint8Array.of((field(kid, kidBytes) << 4) | field(ctr, ctrBytes)), kidBytes, ctrBytes);
}

/** Parses the header of a ciphertext. @throws {RangeError} if it is truncated or not minimal */
export function parseHeader(frame: Uint8Array): { header: Header; bytes: Bytes } {
  const first = frame[0];
  if (first === undefined) throw new RangeError("no header");
  let at = 1;
  const value = (field: number): bigint => {
    if (field < 8) return BigInt(field);
    const taken = frame.subarray(at, at + field - 7);
    if (taken.length !== field - 7) throw new RangeError("truncated header");
    at += taken.length;
    return toNumber(taken);
  };
  const header = { kid: value(first >> 4), ctr: value(first & 15) };
  const bytes = frame.slice(0, at) as Bytes;
  if (!equal(encodeHeader(header), bytes)) throw new RangeError("header is not minimal");
  return { header, bytes };
}

export async function hkdf(secret: Bytes, salt: Bytes, info: Bytes, length: number): Promise<Bytes> {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-512", salt, info }, key, 8 * length));
}

/** Section 4.4.2. */
export async function frameKeys(baseKey: Bytes, kid: bigint): Promise<{ key: Bytes; salt: Bytes }> {
  const derive = (label: string, length: number): Promise<Bytes> =>
    hkdf(baseKey, new Uint8Array(0), join(text(`SFrame 1.0 Secret ${label} `), u64(kid), u16(SUITE)), length);
  return { key: await derive("key", 32), salt: await derive("salt", 12) };
}

/** Section 4.4.3: salt XOR counter. */
export function nonce(salt: Bytes, ctr: bigint): Bytes {
  const counter = number(ctr, salt.length);
  return salt.map((byte, at) => byte ^ (counter[at] ?? 0));
}

async function cipher(
  baseKey: Bytes,
  header: Header,
  metadata: Bytes,
): Promise<{ key: CryptoKey; params: AesGcmParams }> {
  const { key, salt } = await frameKeys(baseKey, header.kid);
  return {
    key: await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt", "decrypt"]),
    params: {
      name: "AES-GCM",
      iv: nonce(salt, header.ctr),
      additionalData: join(encodeHeader(header), metadata),
      tagLength: 8 * TAG_BYTES,
    },
  };
}

/** Header, ciphertext and tag. */
export async function seal(baseKey: Bytes, header: Header, metadata: Bytes, plain: Bytes): Promise<Bytes> {
  const { key, params } = await cipher(baseKey, header, metadata);
  return join(encodeHeader(header), new Uint8Array(await crypto.subtle.encrypt(params, key, plain)));
}

/** The frame, or a rejection if it is not authentic. */
export async function open(baseKey: Bytes, metadata: Bytes, sealed: Uint8Array): Promise<Bytes> {
  const { header, bytes } = parseHeader(sealed);
  const { key, params } = await cipher(baseKey, header, metadata);
  const body = sealed.slice(bytes.length) as Bytes;
  return new Uint8Array(await crypto.subtle.decrypt(params, key, body));
}

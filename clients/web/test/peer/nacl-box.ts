// nacl.box from two independent libraries.

import sodium from "libsodium-wrappers";
import nacl from "tweetnacl";
import type { Bytes } from "./bytes.ts";

export interface NaclBox {
  readonly name: string;
  publicKey(secret: Bytes): Bytes;
  /** Returns tag and ciphertext. */
  seal(plain: Bytes, nonce: Bytes, theirs: Bytes, secret: Bytes): Bytes;
  /** @throws if it is not authentic */
  open(sealed: Bytes, nonce: Bytes, theirs: Bytes, secret: Bytes): Bytes;
}

const tweetnacl: NaclBox = {
  name: "tweetnacl",
  publicKey: (secret) => new Uint8Array(nacl.box.keyPair.fromSecretKey(secret).publicKey),
  seal: (plain, nonce, theirs, secret) => new Uint8Array(nacl.box(plain, nonce, theirs, secret)),
  open: (sealed, nonce, theirs, secret) => {
    const plain = nacl.box.open(sealed, nonce, theirs, secret);
    if (plain === null) throw new Error("not authentic");
    return new Uint8Array(plain);
  },
};

async function libsodium(): Promise<NaclBox> {
  await sodium.ready;
  return {
    name: "libsodium",
    publicKey: (secret) => new Uint8Array(sodium.crypto_scalarmult_base(secret)),
    seal: (plain, nonce, theirs, secret) => new Uint8Array(sodium.crypto_box_easy(plain, nonce, theirs, secret)),
    open: (sealed, nonce, theirs, secret) => new Uint8Array(sodium.crypto_box_open_easy(sealed, nonce, theirs, secret)),
  };
}

export const BOXES: readonly NaclBox[] = [tweetnacl, await libsodium()];

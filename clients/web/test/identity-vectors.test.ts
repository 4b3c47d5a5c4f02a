// The published test vectors of e2ee-identity/1, recomputed by the independent implementation in `peer/identity.ts`.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { fromHex, hex, join, text } from "./peer/bytes.ts";
import * as peer from "./peer/identity.ts";

type Hex = string;
type Fields<Text extends string, Numbers extends string = never> = Readonly<
  Record<Text, Hex> & Record<Numbers, number>
>;

interface Vectors {
  readonly protocol: string;
  readonly account: Fields<"id" | "origin" | "name" | "encoded" | "origin_hash">;
  readonly names: readonly Fields<"typed" | "name">[];
  readonly passwords: readonly Fields<"typed" | "normal">[];
  readonly stretches: readonly Fields<
    "password" | "salt" | "argon2_salt" | "root" | "auth" | "wrap_key" | "slot",
    "memory_kib" | "passes"
  >[];
  readonly codes: readonly Fields<"code" | "id" | "auth" | "wrap_key" | "slot">[];
  readonly passkey: Fields<"prf_input" | "credential" | "prf" | "wrap_key" | "slot">;
  readonly vault: Fields<"key", "version">;
  readonly wraps: readonly Fields<"slot" | "wrap_key" | "nonce" | "bytes", "kind">[];
  readonly blobs: readonly Fields<"name" | "contents" | "key" | "nonce" | "sealed", "version">[];
  readonly index: Fields<"bytes" | "sealed" | "mark", "version">;
  readonly certs: readonly Fields<
    | "label"
    | "label_salt"
    | "label_hash"
    | "signing_seed"
    | "agreement_seed"
    | "identity"
    | "device"
    | "agreement"
    | "hash"
    | "bytes",
    "added_day" | "kind"
  >[];
  readonly lists: readonly (Fields<"identity_seed" | "identity" | "previous" | "hash" | "bytes", "seq"> & {
    readonly certs: readonly Hex[];
  })[];
  readonly succession: Fields<"old_seed" | "new_seed" | "bytes", "seq">;
  readonly statements: readonly Fields<"bytes" | "value", "closed">[];
  readonly proofs: readonly Fields<"signing_seed" | "token" | "nonce" | "proof", "operation" | "time">[];
  readonly safety: Fields<"digits" | "qr"> & { readonly people: readonly Fields<"identity" | "name">[] };
  readonly totp: Fields<"secret" | "base32" | "uri"> & { readonly codes: readonly Fields<"code", "time">[] };
}

const FILE = new URL("../../../e2ee-frames/identity/vectors/v1.json", import.meta.url);
const vectors = JSON.parse(readFileSync(FILE, "utf8")) as Vectors;
const account: peer.Account = { ...vectors.account, id: fromHex(vectors.account.id) };
const vault: peer.Vault = { ...vectors.vault, key: fromHex(vectors.vault.key) };

it("identity vectors: names and passwords", () => {
  expect(vectors.protocol).toBe("e2ee-identity/1");
  expect(hex(peer.encodedName(account))).toBe(vectors.account.encoded);
  expect(hex(peer.originHash(account.origin))).toBe(vectors.account.origin_hash);
  for (const { typed, name } of vectors.names) expect(peer.canonicalName(typed)).toBe(name);
  for (const { typed, normal } of vectors.passwords) expect(hex(peer.normalPassword(typed))).toBe(normal);
});

it("identity vectors: stretched passwords, with hash-wasm as Argon2id", async () => {
  expect(vectors.stretches.length).toBeGreaterThan(0);
  for (const one of vectors.stretches) {
    const salt = fromHex(one.salt);
    expect(hex(peer.argon2Salt(account, salt))).toBe(one.argon2_salt);
    const keys = await peer.stretch(one.password, account, salt, one.memory_kib, one.passes);
    expect([hex(keys.root), hex(keys.auth), hex(keys.wrapKey)]).toEqual([one.root, one.auth, one.wrap_key]);
    expect(one.slot).toBe(one.salt);
  }
}, 30_000);

it("identity vectors: backup codes and passkeys", () => {
  for (const one of vectors.codes) {
    const keys = peer.codeKeys(one.code.toLowerCase(), account);
    expect([hex(keys.id), hex(keys.auth), hex(keys.wrapKey)]).toEqual([one.id, one.auth, one.wrap_key]);
    expect(hex(peer.codeSlot(keys.id))).toBe(one.slot);
  }
  const { passkey } = vectors;
  expect(hex(peer.prfInput(account.origin))).toBe(passkey.prf_input);
  expect(hex(peer.passkeyKey(fromHex(passkey.prf), account))).toBe(passkey.wrap_key);
  expect(hex(peer.passkeySlot(fromHex(passkey.credential)))).toBe(passkey.slot);
});

it("identity vectors: wrapped vault keys", () => {
  expect(vectors.wraps.map(({ kind }) => kind)).toEqual([1, 2, 3]);
  for (const one of vectors.wraps) {
    const [slot, key, bytes] = [fromHex(one.slot), fromHex(one.wrap_key), fromHex(one.bytes)];
    expect(hex(peer.wrapVault(vault, account, one.kind, slot, key, fromHex(one.nonce)))).toBe(one.bytes);
    expect(peer.openVault(bytes, account, key)).toMatchObject({ key: vault.key, version: vault.version });
    const other = { ...account, id: join(account.id.slice(1), account.id.slice(0, 1)).fill(1) };
    expect(() => peer.openVault(bytes, other, key)).toThrow();
  }
});

it("identity vectors: blobs and their index", () => {
  for (const { name, version, ...one } of vectors.blobs) {
    expect(hex(peer.blobKey(vault, account, name))).toBe(one.key);
    const [contents, nonce] = [fromHex(one.contents), fromHex(one.nonce)];
    expect(hex(peer.sealBlob(vault, account, { name, version, contents, nonce }))).toBe(one.sealed);
    expect(hex(peer.openBlob(vault, account, name, version, fromHex(one.sealed)))).toBe(one.contents);
    expect(() => peer.openBlob(vault, account, name, version + 1, fromHex(one.sealed))).toThrow();
  }
  const { index } = vectors;
  expect(hex(peer.writeIndex(vectors.blobs.map((one) => ({ ...one, sealed: fromHex(one.sealed) }))))).toBe(index.bytes);
  const sealed = fromHex(index.sealed);
  expect(hex(peer.openBlob(vault, account, "index", index.version, sealed))).toBe(index.bytes);
  expect(hex(peer.indexMark(vault, index.version, sealed))).toBe(index.mark);
});

it("identity vectors: device certificates and lists", () => {
  for (const one of vectors.certs) {
    const [signingSeed, agreementSeed] = [fromHex(one.signing_seed), fromHex(one.agreement_seed)];
    expect(hex(peer.publicKey(signingSeed))).toBe(one.device);
    expect(hex(peer.agreementKey(agreementSeed))).toBe(one.agreement);
    const labelHash = peer.deviceNameHash(fromHex(one.label_salt), one.label);
    expect(hex(labelHash)).toBe(one.label_hash);
    const device = { signingSeed, agreementSeed, addedDay: one.added_day, kind: one.kind, labelHash };
    const cert = peer.writeCert(account, fromHex(one.identity), device);
    expect([hex(cert), hex(peer.sha256(cert))]).toEqual([one.bytes, one.hash]);
  }
  let previous = "00".repeat(32);
  for (const one of vectors.lists) {
    expect(one.previous).toBe(previous);
    const seed = fromHex(one.identity_seed);
    expect(hex(peer.publicKey(seed))).toBe(one.identity);
    const list = peer.writeList(account, seed, one.seq, fromHex(previous), [...one.certs].reverse().map(fromHex));
    expect([hex(list), hex(peer.sha256(list))]).toEqual([one.bytes, one.hash]);
    previous = one.hash;
  }
});

it("identity vectors: succession, statements, proofs", () => {
  const { succession } = vectors;
  const [old, next] = [fromHex(succession.old_seed), fromHex(succession.new_seed)];
  expect(hex(peer.writeSuccession(account, old, next, succession.seq))).toBe(succession.bytes);
  for (const [at, one] of vectors.statements.entries()) {
    const list = vectors.lists[at];
    if (list === undefined) throw new Error("no list");
    const statement = peer.writeStatement(account, fromHex(list.identity), list.seq, fromHex(list.hash), one.closed);
    expect([hex(statement), hex(peer.sha256(statement))]).toEqual([one.bytes, one.value]);
  }
  expect(vectors.proofs.map(({ operation }) => operation)).toEqual([1, 2, 3, 4]);
  for (const one of vectors.proofs) {
    const statement = {
      operation: one.operation,
      token: fromHex(one.token),
      time: one.time,
      nonce: fromHex(one.nonce),
    };
    expect(hex(peer.prove(account, fromHex(one.signing_seed), statement))).toBe(one.proof);
  }
});

it("identity vectors: safety numbers and one-time codes", () => {
  const people = vectors.safety.people.map(({ identity, name }) => ({
    identity: fromHex(identity),
    encoded: peer.encodedName({ origin: account.origin, name }),
  }));
  for (const ordered of [people, [...people].reverse()]) {
    const { digits, qr } = peer.safetyNumber(ordered);
    expect([digits, hex(qr)]).toEqual([vectors.safety.digits, vectors.safety.qr]);
  }
  const secret = fromHex(vectors.totp.secret);
  for (const { time, code } of vectors.totp.codes) expect(peer.totp(secret, time)).toBe(code);
  expect(new URL(vectors.totp.uri).searchParams.get("secret")).toBe(vectors.totp.base32);
  expect(text(vectors.totp.base32).length).toBe(32);
});

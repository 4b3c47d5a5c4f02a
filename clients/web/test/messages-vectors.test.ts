// The published test vectors of e2ee-messages/1, opened by the independent implementation in `peer/messages.ts`.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { type Bytes, flipped, fromHex, hex, join, Reader, toNumber, u8, u16, u32, u64 } from "./peer/bytes.ts";
import * as peer from "./peer/messages.ts";

type Hex = string;
type Name = "ada" | "ben";
type Fields<Text extends string, Numbers extends string = never> = Readonly<
  Record<Text, Hex> & Record<Numbers, number>
>;

interface Vectors {
  readonly protocol: string;
  readonly origin: string;
  readonly people: readonly (Fields<
    "account" | "identity" | "identity_seed" | "signing_seed" | "device" | "agreement_seed" | "agreement" | "cert_hash",
    "list_seq"
  > & { readonly name: Name })[];
  readonly prekeys: Readonly<Record<Name, readonly Fields<"seed" | "bytes", "kind" | "id" | "day">[]>>;
  readonly conversation: {
    readonly messages: readonly (Fields<"id" | "body" | "checkpoint" | "blob" | "outer"> & {
      readonly from: Name;
      readonly bundle: Hex | null;
      readonly kem_secret: Hex | null;
      readonly drawn: readonly Hex[];
    })[];
    readonly opened: readonly number[];
  };
  readonly blobs: readonly Fields<"id" | "body" | "key" | "hash", "size">[];
  readonly room: Fields<"room" | "sender_key"> & {
    readonly chain: Fields<"id" | "key" | "signing_seed">;
    readonly lists: readonly (Fields<"previous" | "hash" | "bytes", "seq"> & {
      readonly members: readonly Fields<"account" | "identity">[];
    })[];
    readonly messages: readonly Fields<"body" | "bytes">[];
  };
  readonly files: readonly (Fields<"key" | "prefix" | "file_key", "size" | "padded"> & {
    readonly chunks: readonly Fields<"hash", "bytes">[];
  })[];
  readonly state: { readonly key: Hex; readonly rows: readonly Fields<"row" | "contents" | "sealed">[] };
}

const FILE = new URL("../../../e2ee-frames/messages/vectors/v1.json", import.meta.url);
const vectors = JSON.parse(readFileSync(FILE, "utf8")) as Vectors;

function person(name: Name): Vectors["people"][number] {
  const found = vectors.people.find((one) => one.name === name);
  if (found === undefined) throw new RangeError(name);
  return found;
}

function certificate(name: Name): peer.Certificate {
  const { account, identity, device, agreement, cert_hash } = person(name);
  const [one, two, three, four] = [account, identity, device, agreement].map(fromHex);
  if (!one || !two || !three || !four) throw new RangeError(name);
  return { account: one, identity: two, device: three, agreement: four, hash: fromHex(cert_hash) };
}

function device(name: Name): peer.Device {
  const { device: key } = certificate(name);
  const halves = vectors.prekeys[name].map(({ bytes, seed }) => ({
    ...peer.readPrekey(new Reader(fromHex(bytes)), key),
    seed: fromHex(seed),
  }));
  return new peer.Device(vectors.origin, certificate(name), fromHex(person(name).agreement_seed), halves);
}

it("messages vectors: people and prekeys", () => {
  expect(vectors.protocol).toBe("e2ee-messages/1");
  for (const one of vectors.people) {
    expect(hex(peer.publicKey(fromHex(one.agreement_seed)))).toBe(one.agreement);
    expect(hex(peer.deviceKey(fromHex(one.signing_seed)))).toBe(one.device);
    for (const { kind, id, day, seed, bytes } of vectors.prekeys[one.name]) {
      const reader = new Reader(fromHex(bytes));
      const prekey = peer.readPrekey(reader, fromHex(one.device));
      reader.end();
      expect([prekey.kind, toNumber(prekey.id)]).toEqual([kind, BigInt(id)]);
      if (prekey.key.length === 32) expect(hex(prekey.key)).toBe(hex(peer.publicKey(fromHex(seed))));
      const signed = join(u8(1), u8(kind), u32(id), u32(day), prekey.key);
      const purpose = peer.KINDS[kind - 1] ?? "";
      expect(bytes.endsWith(hex(peer.sign(fromHex(one.signing_seed), purpose, signed)))).toBe(true);
      expect(() => peer.readPrekey(new Reader(flipped(fromHex(bytes), 20)), fromHex(one.device))).toThrow();
    }
  }
});

it("messages vectors: a conversation, opened by two devices", () => {
  const devices = { ada: device("ada"), ben: device("ben") };
  const { messages, opened } = vectors.conversation;
  const slips = messages.map(({ from, outer }) =>
    devices[from === "ada" ? "ben" : "ada"].openOuter(certificate(from), from, person(from).list_seq, fromHex(outer)),
  );
  const sent = new Set<number>();
  /** Tells the writer what it drew, in the order in which it wrote. */
  function send(index: number): void {
    const message = messages[index];
    if (message === undefined || sent.has(index)) return;
    sent.add(index);
    const { from, bundle, kem_secret: secret, drawn } = message;
    const [, first, , third] = drawn.map(fromHex);
    if (bundle !== null && secret !== null && first && third) {
      const to = certificate(from === "ada" ? "ben" : "ada");
      devices[from].initiated(to, fromHex(bundle), slips[index] ?? u8(0), fromHex(secret), first, third);
    } else if (drawn.length === 4 && first) {
      // Content key, ratchet key, salt, ephemeral key.
      devices[from].wrote(first);
    }
  }
  // Written before each of them is opened: all up to the latest of those that were opened so far.
  let latest = -1;
  for (const index of opened) {
    for (; latest < index; latest += 1) send(latest + 1);
    const message = messages[index];
    if (message === undefined) throw new RangeError("opened");
    const opening = [...messages.slice(0, index + 1)].reverse().find((one) => one.from === message.from && one.bundle);
    const secret = fromHex(opening?.kem_secret ?? "");
    const to = devices[message.from === "ada" ? "ben" : "ada"];
    const read = to.open(certificate(message.from), slips[index] ?? u8(0), fromHex(message.blob), secret);
    expect([read.id, read.body, read.checkpoint].map(hex)).toEqual([message.id, message.body, message.checkpoint]);
    expect(read.replaces).toBe(index === 6);
  }
  expect([...sent]).toHaveLength(messages.length);
});

it("messages vectors: an outer opens for its recipient, and unaltered only", () => {
  const [message] = vectors.conversation.messages;
  if (message === undefined) throw new RangeError("no message");
  const outer = fromHex(message.outer);
  const open = (bytes: Bytes): Bytes => device("ben").openOuter(certificate("ada"), "ada", 1, bytes);
  expect(open(outer).length).toBeGreaterThan(1_133);
  for (const bit of [3, 300, 700, 8 * outer.length - 1]) expect(() => open(flipped(outer, bit))).toThrow();
  expect(() => device("ada").openOuter(certificate("ada"), "ada", 1, outer)).toThrow();
  expect(() => device("ben").openOuter(certificate("ben"), "ben", 1, outer)).toThrow();
});

it("messages vectors: blobs", () => {
  for (const { id, body, key, size, hash } of vectors.blobs) {
    const blob = peer.sealBlob(fromHex(key), fromHex(id), fromHex(body));
    expect([blob.length, hex(peer.sha256(blob))]).toEqual([size, hash]);
    expect(hex(peer.openBlob(fromHex(key), blob).body)).toBe(body);
  }
});

it("messages vectors: a room", () => {
  const { room } = vectors;
  const admin = person("ada");
  let previous: Bytes = new Uint8Array(32);
  for (const { seq, members, hash, bytes, previous: before } of room.lists) {
    expect(hex(previous)).toBe(before);
    const listed = members.map(({ account, identity }) => join(fromHex(account), fromHex(identity)));
    const head = join(u8(1), fromHex(room.room), fromHex(admin.identity), u64(seq), previous, u16(listed.length));
    const signed = join(head, ...listed);
    const list = join(signed, peer.sign(fromHex(admin.identity_seed), "room list", signed));
    expect(hex(list)).toBe(bytes);
    previous = peer.sha256(list);
    expect(hex(previous)).toBe(hash);
  }
  const verify = peer.deviceKey(fromHex(room.chain.signing_seed));
  const key = join(u8(1), fromHex(room.room), u64(room.lists.length), previous, fromHex(room.chain.id), u32(0));
  expect(hex(join(key, fromHex(room.chain.key), verify))).toBe(room.sender_key);
  let chain = fromHex(room.chain.key);
  for (const { body, bytes } of room.messages) {
    const [messageKey, next] = peer.chainStep(chain);
    expect(hex(peer.openRoom(messageKey, verify, fromHex(bytes)))).toBe(body);
    expect(() => peer.openRoom(messageKey, verify, flipped(fromHex(bytes), 999))).toThrow();
    chain = next;
  }
});

it("messages vectors: files and stored rows", () => {
  for (const { size, padded, key, prefix, chunks, file_key } of vectors.files) {
    const file = new Uint8Array(size).map((_, index) => Math.floor(index / 3));
    const sealed = peer.sealFile(fromHex(key), fromHex(prefix), file);
    expect([peer.paddedSize(size), hex(sealed.fileKey)]).toEqual([padded, file_key]);
    expect(sealed.chunks.map((chunk) => ({ bytes: chunk.length, hash: hex(peer.sha256(chunk)) }))).toEqual(chunks);
  }
  for (const { row, contents, sealed } of vectors.state.rows) {
    expect(hex(peer.openRow(fromHex(vectors.state.key), fromHex(row), fromHex(sealed)))).toBe(contents);
    expect(() => peer.openRow(fromHex(vectors.state.key), u8(9), fromHex(sealed))).toThrow();
  }
});

// The published test vectors of the whole protocol, recomputed by the independent implementation in `peer/`.

import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import nacl from "tweetnacl";
import { beforeAll, describe, expect, it } from "vitest";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { moduleBytes } from "./device.ts";
import { deviceKey, readAnnounce, sealName, writeAnnounce } from "./peer/announce.ts";
import { boxContext, type Ends, openEntry, readHeader, writeEntry, writeHeader } from "./peer/batch.ts";
import { type Bytes, fromHex, hex, join, text, u8, u16 } from "./peer/bytes.ts";
import { type CodecName, metadata, unwrap, wrap } from "./peer/envelope.ts";
import { BOXES } from "./peer/nacl-box.ts";
import { assemble, cut } from "./peer/payloads.ts";
import {
  type Call,
  callCode,
  callCodeDigits,
  inviteKey,
  joinId,
  kidFields,
  kidOf,
  rosterHash,
  SessionKey,
  sha256,
} from "./peer/schedule.ts";
import { encodeHeader, frameKeys, nonce, open, parseHeader, seal } from "./peer/sframe.ts";

type Hex = string;

interface DeviceVector {
  readonly name: string;
  readonly seat: number;
  readonly signing_seed: Hex;
  readonly ephemeral_secret: Hex;
  readonly announce: Readonly<
    Record<"device" | "incarnation" | "ephemeral" | "display_hash" | "signature" | "mac", Hex> &
      Record<"version" | "auth" | "profiles" | "seq" | "not_before" | "not_after", number>
  >;
  readonly announce_bytes: Hex;
  readonly announce_hash: Hex;
  readonly join_id: Hex;
  readonly sealed_name: Hex;
}

interface BatchVector {
  readonly sender: string;
  readonly key: Hex;
  readonly seat: number;
  readonly announce_seq: number;
  readonly generation: number;
  readonly step: number;
  readonly reason: number;
  readonly created: number;
  readonly roster: readonly string[];
  readonly roster_hash: Hex;
  readonly commitment: Hex;
  readonly nonce: Hex;
  readonly header_bytes: Hex;
  readonly entries: readonly {
    readonly recipient: string;
    readonly recipient_seat: number;
    readonly recipient_announce_seq: number;
    readonly x25519: Hex;
    readonly context: Hex;
    readonly plain: Hex;
    readonly bytes: Hex;
  }[];
}

interface SealedVector
  extends Readonly<
    Record<"sframe_key" | "sframe_salt" | "nonce" | "plain" | "sframe", Hex> &
      Record<"generation" | "step" | "stream" | "kid" | "ctr", number>
  > {
  readonly sender: string;
}

interface Vectors {
  readonly protocol: string;
  readonly kids: readonly (Record<"step" | "generation" | "seat" | "stream" | "kid", number> & {
    readonly header_of_ctr_0: Hex;
  })[];
  readonly invite: Readonly<Record<"secret" | "access" | "announce_key" | "display_key", Hex>>;
  readonly call: Readonly<Record<"room" | "call", Hex>>;
  readonly devices: readonly DeviceVector[];
  readonly key_batches: readonly BatchVector[];
  readonly key_schedule: {
    readonly join_id: Hex;
    readonly generation: number;
    readonly steps: readonly (Readonly<
      Record<"key" | "prk" | "context" | "commitment" | "base_key" | "sframe_key" | "sframe_salt", Hex>
    > & { readonly step: number; readonly kid: number })[];
  };
  readonly frames: readonly (SealedVector & {
    readonly codec: CodecName;
    readonly kind: "key" | "delta";
    readonly metadata: Hex;
    readonly sealed: Hex;
  })[];
  readonly profile_n: readonly (SealedVector & {
    readonly max_payload: number;
    readonly packetized: 0 | 1;
    readonly payloads: readonly Hex[];
  })[];
  readonly chats: readonly (SealedVector & {
    readonly id: Hex;
    readonly type: number;
    readonly text: string;
    readonly metadata: Hex;
  })[];
  readonly call_codes: readonly {
    readonly roster: readonly string[];
    readonly roster_hash: Hex;
    readonly code: Hex;
    readonly digits: string;
  }[];
}

const FILE = new URL("../../../e2ee-frames/vectors/v1.json", import.meta.url);

let vectors: Vectors;
let invite: Bytes;
let call: Call;
beforeAll(() => {
  vectors = JSON.parse(readFileSync(FILE, "utf8")) as Vectors;
  invite = fromHex(vectors.invite.secret);
  call = { room: fromHex(vectors.call.room), call: fromHex(vectors.call.call) };
});

function device(name: string): DeviceVector {
  const found = vectors.devices.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no device ${name}`);
  return found;
}

it("vectors: keys of the invite secret", async () => {
  expect(vectors.protocol).toBe("e2ee-frames/1");
  expect(hex(await inviteKey(invite, "access"))).toBe(vectors.invite.access);
  expect(hex(await inviteKey(invite, "announce"))).toBe(vectors.invite.announce_key);
  expect(hex(await inviteKey(invite, "display"))).toBe(vectors.invite.display_key);
  const library = await FrameCrypto.fromBytes(moduleBytes());
  expect(hex(library.accessToken(invite))).toBe(vectors.invite.access);
});

it("vectors: key ids", () => {
  expect(vectors.kids.length).toBeGreaterThan(0);
  for (const { kid, header_of_ctr_0: header, ...fields } of vectors.kids) {
    expect(Number(kidOf(fields, fields.seat, fields.stream))).toBe(kid);
    expect(kidFields(BigInt(kid))).toEqual({ ...fields, generation: fields.generation % 8 });
    expect(hex(encodeHeader({ kid: BigInt(kid), ctr: 0n }))).toBe(header);
  }
});

it("vectors: announces and names", async () => {
  expect(vectors.devices.length).toBeGreaterThan(0);
  for (const one of vectors.devices) {
    const [seed, said] = [fromHex(one.signing_seed), one.announce];
    expect(hex(deviceKey(seed).publicKey)).toBe(said.device);
    for (const box of BOXES) expect(hex(box.publicKey(fromHex(one.ephemeral_secret)))).toBe(said.ephemeral);
    const id = await joinId(call, fromHex(said.device), fromHex(said.incarnation));
    expect(hex(id)).toBe(one.join_id);
    const display = fromHex(one.sealed_name);
    expect(hex(await sealName(invite, id, one.name, display.slice(0, 12)))).toBe(one.sealed_name);
    expect(hex(await sha256(display))).toBe(said.display_hash);
    const announce = await writeAnnounce(call, invite, {
      seed,
      incarnation: fromHex(said.incarnation),
      ephemeral: fromHex(said.ephemeral),
      display,
      seq: said.seq,
      notBefore: said.not_before,
      notAfter: said.not_after,
    });
    expect(hex(announce)).toBe(one.announce_bytes);
    expect(one.announce_bytes.slice(2 * 202)).toBe(said.signature + said.mac);
    const announced = await readAnnounce(call, invite, announce, display, said.not_before);
    expect(announced).toMatchObject({ name: one.name, seq: said.seq, joinId: id });
    expect(hex(announced.hash)).toBe(one.announce_hash);
  }
});

it("vectors: key schedule", async () => {
  const { join_id: id, generation, steps } = vectors.key_schedule;
  expect(steps.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  let key = new SessionKey(fromHex(steps[0]?.key ?? ""), { generation, step: 0 }, fromHex(id), call);
  for (const step of steps) {
    if (step.step > 0) key = await key.ratcheted();
    expect(hex(key.secret)).toBe(step.key);
    expect(createHmac("sha512", text("e2ee-frames/1")).update(key.secret).digest("hex")).toBe(step.prk);
    expect(hex(await key.context())).toBe(step.context);
    expect(hex(await key.commitment())).toBe(step.commitment);
    expect(hex(await key.baseKey())).toBe(step.base_key);
    const keys = await frameKeys(await key.baseKey(), BigInt(step.kid));
    expect([hex(keys.key), hex(keys.salt)]).toEqual([step.sframe_key, step.sframe_salt]);
  }
});

describe.each(BOXES)("with $name", (box) => {
  it("vectors: key batches", async () => {
    expect(vectors.key_batches.length).toBeGreaterThan(0);
    for (const batch of vectors.key_batches) {
      const sender = device(batch.sender);
      const epoch = { generation: batch.generation, step: batch.step };
      const key = new SessionKey(fromHex(batch.key), epoch, fromHex(sender.join_id), call);
      expect(hex(await key.commitment())).toBe(batch.commitment);
      const roster = batch.roster.map((name) => fromHex(device(name).join_id));
      expect(hex(await rosterHash(roster))).toBe(batch.roster_hash);
      const said = {
        call,
        seat: batch.seat,
        joinId: fromHex(sender.join_id.slice(0, 32)),
        announceSeq: batch.announce_seq,
        epoch,
        reason: batch.reason,
        created: batch.created,
        rosterHash: fromHex(batch.roster_hash),
        commitment: fromHex(batch.commitment),
        nonce: fromHex(batch.nonce),
      };
      const header = writeHeader(said, batch.entries.length);
      expect(hex(header)).toBe(batch.header_bytes);
      expect(readHeader(header)).toEqual(said);
      for (const entry of batch.entries) {
        const recipient = device(entry.recipient);
        const ends: Ends = {
          sender: fromHex(sender.join_id),
          recipient: fromHex(recipient.join_id),
          senderAnnounce: fromHex(sender.announce_hash),
          recipientAnnounce: fromHex(recipient.announce_hash),
        };
        const [mine, theirs] = [fromHex(sender.ephemeral_secret), fromHex(recipient.ephemeral_secret)];
        expect(hex(nacl.scalarMult(mine, fromHex(recipient.announce.ephemeral)))).toBe(entry.x25519);
        expect(hex(await boxContext(header, ends))).toBe(entry.context);
        expect(batch.key + entry.context).toBe(entry.plain);
        const to = { seat: entry.recipient_seat, announceSeq: entry.recipient_announce_seq };
        const sealing = { box, theirs: fromHex(recipient.announce.ephemeral), secret: mine };
        expect(hex(await writeEntry(header, said.nonce, to, ends, sealing, key))).toBe(entry.bytes);
        const opening = { box, theirs: fromHex(sender.announce.ephemeral), secret: theirs };
        const opened = await openEntry(header, fromHex(entry.bytes), ends, opening);
        expect([hex(opened.secret), opened.epoch]).toEqual([batch.key, epoch]);
      }
    }
  });
});

/** Returns the base key and the header of a frame, from the batch that has its key or an earlier step of it. */
async function sealedWith(frame: SealedVector): Promise<{ baseKey: Bytes; header: { kid: bigint; ctr: bigint } }> {
  const { sender, generation, step } = frame;
  const batch = vectors.key_batches.find(
    (one) => one.sender === sender && one.generation === generation && one.step <= step,
  );
  if (batch === undefined) throw new Error("no key");
  const epoch = { generation, step: batch.step };
  const first = new SessionKey(fromHex(batch.key), epoch, fromHex(device(sender).join_id), call);
  const baseKey = await (await first.at(step)).baseKey();

  const header = { kid: kidOf({ generation, step }, device(sender).seat, frame.stream), ctr: BigInt(frame.ctr) };
  expect(Number(header.kid)).toBe(frame.kid);
  const keys = await frameKeys(baseKey, header.kid);
  expect([hex(keys.key), hex(keys.salt)]).toEqual([frame.sframe_key, frame.sframe_salt]);
  expect(hex(nonce(keys.salt, header.ctr))).toBe(frame.nonce);
  return { baseKey, header };
}

it("vectors: frames of every codec", async () => {
  expect(new Set(vectors.frames.map(({ codec }) => codec))).toEqual(new Set(["opus", "vp8", "vp9", "av1", "h264"]));
  for (const frame of vectors.frames) {
    const { baseKey, header } = await sealedWith(frame);
    const [key, plain] = [frame.kind === "key", fromHex(frame.plain)];
    expect(hex(metadata(frame.codec, key))).toBe(frame.metadata);
    const sealed = await seal(baseKey, header, metadata(frame.codec, key), plain);
    expect(hex(sealed)).toBe(frame.sframe);
    expect(hex(wrap(frame.codec, key, sealed))).toBe(frame.sealed);

    const found = unwrap(frame.codec, join(fromHex(frame.sealed)));
    expect(parseHeader(found.content).header).toEqual(header);
    expect(hex(await open(baseKey, metadata(frame.codec, found.key), found.content))).toBe(frame.plain);
  }
});

it("vectors: frames in RTP payloads, without an envelope", async () => {
  expect(new Set(vectors.profile_n.map(({ payloads }) => payloads.length > 1))).toEqual(new Set([true, false]));
  for (const frame of vectors.profile_n) {
    const { baseKey, header } = await sealedWith(frame);
    const sealed = await seal(baseKey, header, fromHex(""), fromHex(frame.plain));
    expect(hex(sealed)).toBe(frame.sframe);
    expect(cut(sealed, frame.max_payload, frame.packetized === 1).map(hex)).toEqual(frame.payloads);

    const { ciphertext, packetized } = assemble(frame.payloads.map(fromHex));
    expect(packetized).toBe(frame.packetized === 1);
    expect(hex(await open(baseKey, fromHex(""), ciphertext))).toBe(frame.plain);
    await expect(open(baseKey, metadata("opus", false), ciphertext)).rejects.toThrow();
  }
});

it("vectors: chat messages", async () => {
  expect(new Set(vectors.chats.map(({ type }) => type))).toEqual(new Set([1, 2]));
  for (const chat of vectors.chats) {
    const said = text(chat.text);
    const padded = new Uint8Array(Math.max(64, 2 ** Math.ceil(Math.log2(said.length))));
    padded.set(said);
    const plain = join(u8(chat.type), u16(said.length), padded);
    expect(hex(plain)).toBe(chat.plain);
    const bound = join(text("e2ee-frames/1 app data"), fromHex(chat.id));
    expect(hex(bound)).toBe(chat.metadata);
    const { baseKey, header } = await sealedWith(chat);
    expect(hex(await seal(baseKey, header, bound, plain))).toBe(chat.sframe);
    expect(hex(await open(baseKey, bound, fromHex(chat.sframe)))).toBe(chat.plain);
  }
});

it("vectors: call codes", async () => {
  expect(vectors.call_codes.map(({ roster }) => roster.length)).toEqual([1, 2, 3, 2]);
  for (const { roster, roster_hash: hash, code, digits } of vectors.call_codes) {
    const ids = roster.map((name) => fromHex(device(name).join_id));
    for (const ordered of [ids, [...ids].reverse()]) {
      expect(hex(await rosterHash(ordered))).toBe(hash);
      expect(hex(await callCode(call, ordered))).toBe(code);
    }
    expect(callCodeDigits(fromHex(code))).toBe(digits);
  }
});

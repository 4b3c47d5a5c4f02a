// The wasm module against an independent implementation on WebCrypto, tweetnacl and libsodium (`peer/`).

import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { EventKind } from "../src/worker/action.ts";
import { SEAL_FAILURES } from "../src/worker/engine.ts";
import { at, CALL, Device, moduleBytes, ROOM, WALL } from "./device.ts";
import { readHeader } from "./peer/batch.ts";
import { type Bytes, flipped, u32 } from "./peer/bytes.ts";
import { CODECS, type CodecName, shows } from "./peer/envelope.ts";
import { BOXES, type NaclBox } from "./peer/nacl-box.ts";
import { type Other, Peer } from "./peer/peer.ts";
import { inviteKey } from "./peer/schedule.ts";
import { type Seeded, seeded } from "./random.ts";
import { announcement, entryFor } from "./wire.ts";

const INVITE = new Uint8Array(32).fill(9);
const VIDEO = 1;
const NOW = 2_000;

let library: FrameCrypto;
beforeAll(async () => {
  library = await FrameCrypto.fromBytes(moduleBytes());
});
afterEach(() => void vi.restoreAllMocks());

const osRandom = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length));
const codecNumber = (codec: CodecName): number => CODECS.indexOf(codec);

/** A device of the module and a peer that have verified each other. */
interface Pair {
  readonly ada: Device;
  readonly bob: Peer;
  /** Ada as Bob knows her. */
  readonly known: Other;
}

async function introduce(ada: Device, bob: Peer): Promise<Other> {
  ada.event(EventKind.Announces, announcement(bob.seat, bob.announce, bob.display), 0);
  return bob.meet(ada.number, new Uint8Array(ada.announce.announce), new Uint8Array(ada.announce.display));
}

async function pair(box: NaclBox, seats: readonly [number, number] = [1, 2], random = osRandom): Promise<Pair> {
  const ada = new Device(library, seats[0], "Ada", INVITE);
  const bob = await Peer.make(box, { room: ROOM, call: CALL }, INVITE, "Bob ☕", seats[1], random, WALL);
  const known = await introduce(ada, bob);
  return { ada, bob, known };
}

/** Opens streams of Ada and delivers her key to Bob. */
async function adaSends({ ada, bob }: Pair, streams: readonly number[], now = NOW): Promise<void> {
  for (const stream of streams) ada.event(EventKind.StreamOpened, u32(stream), now);
  ada.tick(now);
  await bobTakes({ ada, bob });
}

async function bobTakes({ ada, bob }: Pick<Pair, "ada" | "bob">): Promise<void> {
  let taken = 0;
  for (let batch = ada.take("key-batch"); batch !== undefined; batch = ada.take("key-batch")) {
    const boxed = entryFor(bob.seat, batch.body);
    if (boxed === undefined) continue;
    await bob.takeKey(boxed.header, boxed.entry);
    taken += 1;
  }
  expect(taken).toBeGreaterThan(0);
}

async function bobSends({ ada, bob, known }: Pair, now = NOW): Promise<void> {
  const { header, entry } = await bob.sealKey(known);
  ada.keys(header, entry, now);
  expect(ada.take("key-installed")).toEqual({ kind: "key-installed", participant: bob.seat });
}

function sealed(ada: Device, codec: CodecName, key: boolean, stream: number, frame: Bytes, now = NOW): ArrayBuffer {
  const result = ada.session.seal(at(now), stream, codecNumber(codec), key, frame.slice().buffer);
  if (typeof result === "number") throw new Error(SEAL_FAILURES[result] ?? `${result}`);
  return result;
}

/** Opens a frame. Returns it as a view, since `toEqual` considers all ArrayBuffers equal. */
function opened(ada: Device, codec: CodecName, frame: ArrayBuffer, now = NOW): object {
  const result = ada.session.open(at(now), codecNumber(codec), frame);
  if (typeof result === "number") throw new Error(`not opened: ${result}`);
  const { data, ...whose } = result;
  return { frame: new Uint8Array(data), ...whose };
}

const FRAMES = [new Uint8Array(0), Uint8Array.of(7), new Uint8Array(400), osRandom(1_300), osRandom(20_000)];

describe.each(BOXES)("with $name", (box) => {
  it("announce: module and peer verify each other", async () => {
    const { ada, known } = await pair(box);
    expect(ada.take("verified")).toEqual({ kind: "verified", participant: 2, seat: 2, name: "Bob ☕" });
    expect(known.name).toBe("Ada");
    expect(ada.take("problem")).toBeUndefined();
  });

  it("frames: the peer opens those of the module, in every codec", async () => {
    const two = await pair(box);
    await adaSends(two, [VIDEO]);
    for (const codec of CODECS) {
      for (const key of [true, false]) {
        for (const frame of FRAMES) {
          const expected = { frame, key: shows(codec, key), seat: 1, stream: VIDEO };
          expect(await two.bob.open(codec, sealed(two.ada, codec, key, VIDEO, frame))).toEqual(expected);
        }
      }
    }
  });

  it("frames: the module opens those of the peer once, in every codec", async () => {
    const two = await pair(box);
    await bobSends(two);
    for (const codec of CODECS) {
      for (const key of [true, false]) {
        for (const frame of FRAMES) {
          const wire = await two.bob.seal(codec, key, VIDEO, frame);
          const expected = { frame, participant: 2, seat: 2, stream: VIDEO, key: shows(codec, key) };
          expect(opened(two.ada, codec, wire)).toEqual(expected);
          expect(two.ada.session.open(at(NOW), codecNumber(codec), wire)).toBe(-3);
        }
      }
    }
  });

  it("keys: both ratchet on a join and rotate in the same way", async () => {
    const two = await pair(box);
    const { ada, bob, known } = two;
    await adaSends(two, [VIDEO]);
    sealed(ada, "vp8", true, VIDEO, osRandom(10));
    const cy = await Peer.make(box, bob.call, INVITE, "Cy", 3, osRandom, WALL);
    ada.event(EventKind.Announces, announcement(cy.seat, cy.announce, cy.display), NOW);
    await cy.meet(1, new Uint8Array(ada.announce.announce), new Uint8Array(ada.announce.display));
    ada.tick(NOW + 1_000);
    const batch = ada.take("key-batch");
    if (batch === undefined) throw new Error("no key for the newcomer");
    expect(entryFor(bob.seat, batch.body)).toBeUndefined();
    const boxed = entryFor(cy.seat, batch.body);
    if (boxed === undefined) throw new Error("no box for the newcomer");
    expect(readHeader(boxed.header).epoch).toEqual({ generation: 0, step: 1 });
    await cy.takeKey(boxed.header, boxed.entry);
    const frame = osRandom(700);
    const wire = sealed(ada, "vp8", false, VIDEO, frame, NOW + 1_000);
    for (const peer of [bob, cy]) expect((await peer.open("vp8", wire)).frame).toEqual(frame);

    // The other direction: the module follows ratchet steps by itself, and needs a key batch for a new generation.
    await bobSends(two, NOW + 1_000);
    await bob.ratchet();
    await bob.ratchet();
    expect(opened(ada, "av1", await bob.seal("av1", true, VIDEO, frame), NOW + 1_000)).toMatchObject({ frame });
    bob.rotate();
    expect(ada.session.open(at(NOW + 1_000), codecNumber("av1"), await bob.seal("av1", true, VIDEO, frame))).toBe(-1);
    const { header, entry } = await bob.sealKey(known);
    ada.keys(header, entry, NOW + 1_000);
    expect(opened(ada, "av1", await bob.seal("av1", true, VIDEO, frame), NOW + 1_000)).toMatchObject({ frame });
  });

  it("key batch: both reject a modified entry or header", async () => {
    const two = await pair(box);
    const { ada, bob, known } = two;
    ada.event(EventKind.StreamOpened, u32(VIDEO), NOW);
    const batch = ada.take("key-batch");
    const boxed = entryFor(bob.seat, batch?.body ?? new Uint8Array(0));
    if (boxed === undefined) throw new Error("no box");
    const mine = await bob.sealKey(known);
    // The whole box, and the header except its last two bytes, the count, which the server writes.
    const bits = [
      ...Array.from({ length: 169 }, (_, byte) => ({ part: "header", bit: 8 * byte + (byte % 8) }) as const),
      ...Array.from({ length: 80 }, (_, byte) => ({ part: "entry", bit: 8 * (6 + byte) + (byte % 8) }) as const),
    ];
    for (const { part, bit } of bits) {
      const change = ({ header, entry }: { header: Uint8Array; entry: Uint8Array }): [Bytes, Bytes] => [
        part === "header" ? flipped(header, bit) : new Uint8Array(header),
        part === "entry" ? flipped(entry, bit) : new Uint8Array(entry),
      ];
      await expect(bob.takeKey(...change(boxed)), `${part} bit ${bit}`).rejects.toThrow();
      ada.keys(...change(mine), NOW);
      expect(ada.take("key-installed"), `${part} bit ${bit}`).toBeUndefined();
    }
    ada.keys(mine.header, mine.entry, NOW);
    expect(ada.take("key-installed")).toBeDefined();
    await bob.takeKey(boxed.header, boxed.entry);
  });
});

const [tweetnacl] = BOXES as readonly [NaclBox];

it("announce: both reject a flipped bit", async () => {
  const ada = new Device(library, 1, "Ada", INVITE);
  const bob = await Peer.make(tweetnacl, { room: ROOM, call: CALL }, INVITE, "Bob", 2, osRandom, WALL);
  const hers = { announce: new Uint8Array(ada.announce.announce), display: new Uint8Array(ada.announce.display) };
  for (let byte = 0; byte < bob.announce.length; byte += 1) {
    const bit = 8 * byte + (byte % 8);
    ada.event(EventKind.Announces, announcement(2, flipped(bob.announce, bit), bob.display), 0);
    await expect(bob.meet(1, flipped(hers.announce, bit), hers.display), `bit ${bit}`).rejects.toThrow();
  }
  for (let byte = 0; byte < bob.display.length; byte += 1) {
    ada.event(EventKind.Announces, announcement(2, bob.announce, flipped(bob.display, 8 * byte)), 0);
    await expect(bob.meet(1, hers.announce, flipped(hers.display, 8 * byte)), `byte ${byte}`).rejects.toThrow();
  }
  expect(ada.take("verified")).toBeUndefined();
  await introduce(ada, bob);
  expect(ada.take("verified")).toMatchObject({ name: "Bob" });
});

it("access token: equals the output of HKDF", async () => {
  for (const byte of [0, 9, 255]) {
    const invite = new Uint8Array(32).fill(byte);
    expect(library.accessToken(invite)).toEqual(await inviteKey(invite, "access"));
  }
});

it("frames: both reject a flipped bit", async () => {
  const two = await pair(tweetnacl);
  await adaSends(two, [VIDEO]);
  await bobSends(two);
  const frame = osRandom(24);
  for (const codec of CODECS) {
    const hers = sealed(two.ada, codec, true, VIDEO, frame);
    const his = await two.bob.seal(codec, true, VIDEO, frame);
    for (let bit = 0; bit < 8 * hers.byteLength; bit += 1) {
      await expect(two.bob.open(codec, flipped(new Uint8Array(hers), bit).buffer), `${codec} ${bit}`).rejects.toThrow();
    }
    for (let bit = 0; bit < 8 * his.byteLength; bit += 1) {
      const changed = flipped(new Uint8Array(his), bit).buffer;
      expect(two.ada.session.open(at(NOW), codecNumber(codec), changed), `${codec} bit ${bit}`).toBeTypeOf("number");
    }
    expect((await two.bob.open(codec, hers)).frame).toEqual(frame);
    expect(opened(two.ada, codec, his)).toMatchObject({ frame });
  }
});

/** Returns a frame of any size: random bytes, zeros, or bytes that H.264 must escape. */
function randomFrame(random: Seeded): Bytes {
  const size = random.below(random.pick([2, 40, 1_500, 12_000]));
  const bytes = random.bytes(size);
  const shape = random.below(3);
  return shape === 0 ? bytes : bytes.map((byte) => (shape === 1 ? 0 : byte % 5));
}

it("frames: 200 random ones are opened in both directions", async () => {
  const random = seeded();
  vi.spyOn(crypto, "getRandomValues").mockImplementation((array) => {
    if (array instanceof Uint8Array) array.set(random.bytes(array.length));
    return array;
  });
  for (let call = 0; call < 10; call += 1) {
    const seats = [random.below(4_095), 4_095] as const;
    const two = await pair(random.pick(BOXES), seats, random.bytes);
    // The session opens the stream of chat itself.
    const drawn = Array.from({ length: 7 }, () => random.below(random.pick([5, 0x10000])));
    const streams = [...new Set([0, ...drawn.filter((stream) => stream !== 4)])];
    await adaSends(two, streams);
    await bobSends(two);
    for (let count = 0; count < 20; count += 1) {
      const [codec, key, stream] = [random.pick(CODECS), random.below(2) === 1, random.pick(streams)];
      const frame = randomFrame(random);
      const hers = await two.bob.open(codec, sealed(two.ada, codec, key, stream, frame));
      expect(hers).toEqual({ frame, key: shows(codec, key), seat: seats[0], stream });
      const his = opened(two.ada, codec, await two.bob.seal(codec, key, stream, frame));
      expect(his).toEqual({ frame, participant: 4_095, seat: 4_095, stream, key: shows(codec, key) });
    }
    two.ada.session.free();
  }
});

// Large frames through WebCrypto and small ones in the module: the wire format is the same, and failures fail closed.

import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { CIPHER_FAILED, Frames } from "../src/e2ee/frames.ts";
import { FrameCrypto, type OpenedFrame } from "../src/e2ee/wasm.ts";
import { EventKind } from "../src/worker/action.ts";
import { at, CALL, Device, moduleBytes, ROOM, WALL } from "./device.ts";
import { type Bytes, flipped, u32 } from "./peer/bytes.ts";
import { CODECS, type CodecName, shows, unwrap } from "./peer/envelope.ts";
import { BOXES, type NaclBox } from "./peer/nacl-box.ts";
import { Peer } from "./peer/peer.ts";
import { parseHeader } from "./peer/sframe.ts";
import { seeded } from "./random.ts";
import { announcement, boxed, entryFor } from "./wire.ts";

const INVITE = new Uint8Array(32).fill(9);
const [NOW, VIDEO] = [2_000, 1];
const [MISSING_KEY, NOT_AUTHENTIC, REPLAY] = [-1, -2, -3];
const [tweetnacl] = BOXES as readonly [NaclBox];

let library: FrameCrypto;
beforeAll(async () => {
  library = await FrameCrypto.fromBytes(moduleBytes());
});
afterEach(() => void vi.restoreAllMocks());

const osRandom = (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length));

interface Pair {
  readonly frames: Frames;
  readonly ada: Device;
  readonly bob: Peer;
  event(kind: number, body: Uint8Array, now?: number): void;
  seal(codec: CodecName, key: boolean, frame: Bytes): Promise<ArrayBuffer | number>;
  open(codec: CodecName, frame: ArrayBuffer): Promise<OpenedFrame | number>;
}

/** Returns a device and a peer that share keys. Frames of `large` bytes or more go through WebCrypto. */
async function pair(large: number): Promise<Pair> {
  const ada = new Device(library, 1, "Ada", INVITE);
  const frames = new Frames(ada.session, large);
  const event = (kind: number, body: Uint8Array, now = NOW): void => {
    expect(frames.event(kind, at(now), body)).toBe(true);
    ada.drain();
  };
  const bob = await Peer.make(tweetnacl, { room: ROOM, call: CALL }, INVITE, "Bob", 2, osRandom, WALL);
  event(EventKind.Announces, announcement(2, bob.announce, bob.display), 0);
  const known = await bob.meet(1, new Uint8Array(ada.announce.announce), new Uint8Array(ada.announce.display));
  event(EventKind.StreamOpened, u32(VIDEO));
  const mine = entryFor(2, ada.take("key-batch")?.body ?? new Uint8Array(0));
  if (mine === undefined) throw new Error("no key");
  await bob.takeKey(mine.header, mine.entry);
  event(EventKind.Keys, boxed(await bob.sealKey(known)));
  return {
    frames,
    ada,
    bob,
    event,
    seal: async (codec, key, frame) => frames.seal(at(NOW), VIDEO, CODECS.indexOf(codec), key, frame.slice().buffer),
    open: async (codec, frame) => frames.open(at(NOW), CODECS.indexOf(codec), frame),
  };
}

function whole(result: ArrayBuffer | number): ArrayBuffer {
  if (typeof result === "number") throw new Error(`not sealed: ${result}`);
  return result;
}

/** Returns an opened frame as a view, since `toEqual` considers all ArrayBuffers equal. */
function seen(result: OpenedFrame | number): object {
  if (typeof result === "number") throw new Error(`not opened: ${result}`);
  const { data, ...whose } = result;
  return { frame: new Uint8Array(data), ...whose };
}

/** Opens a first frame of Bob's: later ones go through WebCrypto, while the first of a key is opened in the module. */
async function established(two: Pair): Promise<void> {
  seen(await two.open("vp8", await two.bob.seal("vp8", true, VIDEO, osRandom(30))));
}

it("frames: both ciphers write the same wire format", async () => {
  const random = seeded();
  const two = await pair(1_000);
  const encrypt = vi.spyOn(crypto.subtle, "encrypt");
  const decrypt = vi.spyOn(crypto.subtle, "decrypt");
  const counters: bigint[] = [];
  for (let count = 0; count < 100; count += 1) {
    const [codec, key] = [random.pick(CODECS), random.below(2) === 1];
    const size = random.pick([0, 999, 1_000, random.below(3_000), 8_000]);
    const rich = random.below(2) === 1;
    const frame = random.bytes(size).map((byte) => (rich ? byte % 4 : byte));
    const expected = { frame, key: shows(codec, key), stream: VIDEO };

    encrypt.mockClear();
    const hers = whole(await two.seal(codec, key, frame));
    expect(encrypt).toHaveBeenCalledTimes(size >= 1_000 ? 1 : 0);
    expect(await two.bob.open(codec, hers)).toEqual({ ...expected, seat: 1 });
    counters.push(parseHeader(unwrap(codec, new Uint8Array(hers)).content).header.ctr);

    const his = await two.bob.seal(codec, key, VIDEO, frame);
    decrypt.mockClear();
    expect(seen(await two.open(codec, his))).toEqual({ ...expected, participant: 2, seat: 2 });
    expect(decrypt).toHaveBeenCalledTimes(his.byteLength >= 1_000 && count > 0 ? 1 : 0);
    expect(await two.open(codec, his)).toBe(REPLAY);
  }
  // Both ciphers share one counter, and no value is used twice.
  expect(counters).toEqual(counters.map((_, index) => BigInt(index)));
  expect(two.frames.cipherKeys).toBe(2);
});

it("open: drops one of two concurrent openings of a frame", async () => {
  const two = await pair(0);
  await established(two);
  const wire = await two.bob.seal("h264", true, VIDEO, osRandom(5_000));
  const [one, other] = await Promise.all([two.open("h264", wire), two.open("h264", wire)]);
  expect([typeof one, typeof other].sort()).toEqual(["number", "object"]);
  expect([one, other]).toContain(REPLAY);
});

it("frames: concurrent frames keep their content", async () => {
  const two = await pair(0);
  await established(two);
  const clear = Array.from({ length: 20 }, (_, index) => osRandom(index * 400));
  const wire: ArrayBuffer[] = [];
  for (const frame of clear) wire.push(await two.bob.seal("h264", false, VIDEO, frame));
  const opened = await Promise.all(wire.map((frame) => two.open("h264", frame)));
  expect(opened.map(seen)).toEqual(clear.map((frame) => expect.objectContaining({ frame })));
  const sealed = await Promise.all(clear.map((frame) => two.seal("h264", false, frame)));
  for (const [index, frame] of sealed.entries()) {
    expect(await two.bob.open("h264", whole(frame))).toMatchObject({ frame: clear[index] });
  }
});

it("open: rejects a modified frame, and then opens the original", async () => {
  const two = await pair(0);
  await established(two);
  for (const codec of CODECS) {
    const wire = await two.bob.seal(codec, true, VIDEO, osRandom(40));
    for (let bit = 0; bit < 8 * wire.byteLength; bit += 1) {
      const changed = flipped(new Uint8Array(wire), bit).buffer;
      expect(await two.open(codec, changed), `${codec} bit ${bit}`).toBeTypeOf("number");
    }
    seen(await two.open(codec, wire));
  }
});

describe("Frames fail closed", () => {
  it("if the browser fails to encrypt", async () => {
    const two = await pair(0);
    vi.spyOn(crypto.subtle, "encrypt").mockRejectedValue(new Error("no"));
    expect(await two.seal("vp8", true, osRandom(100))).toBe(CIPHER_FAILED);
  });

  it("if the browser fails to decrypt", async () => {
    const two = await pair(0);
    await established(two);
    const wire = await two.bob.seal("vp8", true, VIDEO, osRandom(100));
    vi.spyOn(crypto.subtle, "decrypt").mockRejectedValueOnce(new Error("no"));
    expect(await two.open("vp8", wire)).toBe(NOT_AUTHENTIC);
    seen(await two.open("vp8", wire));
  });

  it("if the browser rejects a key, until it accepts it", async () => {
    const two = await pair(0);
    await established(two);
    const wire = await two.bob.seal("vp8", true, VIDEO, osRandom(100));
    vi.spyOn(crypto.subtle, "importKey").mockRejectedValueOnce(new Error("no")).mockRejectedValueOnce(new Error("no"));
    expect(await two.seal("vp8", true, osRandom(100))).toBe(CIPHER_FAILED);
    expect(await two.open("vp8", wire)).toBe(CIPHER_FAILED);
    expect(two.frames.cipherKeys).toBe(0);
    whole(await two.seal("vp8", true, osRandom(100)));
    seen(await two.open("vp8", wire));
  });

  it("if the sender leaves before its frame is opened", async () => {
    const two = await pair(0);
    await established(two);
    const opening = two.open("vp8", await two.bob.seal("vp8", true, VIDEO, osRandom(100)));
    two.event(EventKind.Left, u32(2));
    expect(await opening).toBe(MISSING_KEY);
  });

  it("if the session is freed while frames are in progress", async () => {
    const two = await pair(0);
    await established(two);
    const wire = await two.bob.seal("vp8", true, VIDEO, osRandom(100));
    const [opening, sealing] = [two.open("vp8", wire), two.seal("vp8", true, osRandom(100))];
    two.frames.free();
    expect(await opening).toBeTypeOf("number");
    // A frame that was sealed while the key existed may be sent, but no later one.
    await sealing;
    expect(await two.seal("vp8", true, osRandom(100))).toBeTypeOf("number");
    expect(await two.open("vp8", wire)).toBeTypeOf("number");
    expect(two.frames.cipherKeys).toBe(0);
  });

  it("if the stream is not open", async () => {
    const two = await pair(0);
    two.event(EventKind.StreamClosed, u32(VIDEO));
    expect(await two.seal("vp8", true, osRandom(100))).toBe(-2);
  });
});

describe("CipherKeys", () => {
  it("are not extractable, have one usage, and their bytes are overwritten", async () => {
    const two = await pair(0);
    const imported = vi.spyOn(crypto.subtle, "importKey");
    await established(two);
    whole(await two.seal("vp8", true, osRandom(100)));
    seen(await two.open("vp8", await two.bob.seal("vp8", true, VIDEO, osRandom(100))));
    const keys = imported.mock.calls.filter(
      ([, , algorithm, , usages]) => algorithm === "AES-GCM" && [...usages].length === 1,
    );
    const own = keys.filter(([, bytes]) => (bytes as Bytes).every((byte) => byte === 0));
    expect(own.map(([format, , algorithm, extractable, usages]) => [format, algorithm, extractable, usages])).toEqual([
      ["raw", "AES-GCM", false, ["encrypt"]],
      ["raw", "AES-GCM", false, ["decrypt"]],
    ]);
  });

  it("are dropped with the keys of the session", async () => {
    const two = await pair(0);
    await established(two);
    whole(await two.seal("vp8", true, osRandom(100)));
    seen(await two.open("vp8", await two.bob.seal("vp8", true, VIDEO, osRandom(100))));
    expect(two.frames.cipherKeys).toBe(2);
    // Bob leaves, and no participant is left who needs the next key first, so his key and Ada's are dropped at once.
    two.event(EventKind.Left, u32(2));
    expect(two.frames.cipherKeys).toBe(0);
  });
});

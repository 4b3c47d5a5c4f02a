// After a session is freed, the module's memory holds neither its secrets nor its frames.

import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Frames } from "../src/e2ee/frames.ts";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { EventKind } from "../src/worker/action.ts";
import { at, CALL, Device, moduleBytes, ROOM, WALL } from "./device.ts";
import { deviceKey } from "./peer/announce.ts";
import { readHeader } from "./peer/batch.ts";
import { type Bytes, equal, u32 } from "./peer/bytes.ts";
import { BOXES, type NaclBox } from "./peer/nacl-box.ts";
import { Peer } from "./peer/peer.ts";
import { inviteKey, joinId, kidOf, SessionKey } from "./peer/schedule.ts";
import { frameKeys } from "./peer/sframe.ts";
import { announcement, entryFor } from "./wire.ts";

const [VIDEO, VP8, H264] = [1, 1, 4];
const [tweetnacl] = BOXES as readonly [NaclBox];
/** Length of the pieces of a secret that are searched for. */
const PIECE = 16;

const fresh = crypto.getRandomValues.bind(crypto);
const random = (length: number): Bytes => fresh(new Uint8Array(length));

let memory: WebAssembly.Memory;
/** Random bytes that the module requested, in order. */
let drawn: Bytes[];

beforeEach(() => {
  drawn = [];
  const instantiate = WebAssembly.instantiate as (module: WebAssembly.Module, imports: WebAssembly.Imports) => unknown;
  vi.spyOn(WebAssembly, "instantiate").mockImplementation((async (
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
  ) => {
    const instance = (await instantiate(module, imports)) as WebAssembly.Instance;
    memory = instance.exports.memory as WebAssembly.Memory;
    return instance;
  }) as unknown as typeof WebAssembly.instantiate);
  vi.spyOn(crypto, "getRandomValues").mockImplementation((array) => {
    const bytes = random(array?.byteLength ?? 0);
    if (array instanceof Uint8Array) array.set(bytes);
    drawn.push(bytes);
    return array;
  });
});
afterEach(() => void vi.restoreAllMocks());

/** Returns where pieces of these secrets are in the module's memory: `secret+offset@address`. */
function found(secrets: Readonly<Record<string, Bytes>>): string[] {
  const bytes = Buffer.from(memory.buffer);
  const places: string[] = [];
  for (const [name, secret] of Object.entries(secrets)) {
    for (let offset = 0; offset + PIECE <= secret.length; offset += PIECE / 2) {
      const piece = secret.subarray(offset, offset + PIECE);
      for (let at = bytes.indexOf(piece); at >= 0; at = bytes.indexOf(piece, at + 1)) {
        places.push(`${name}+${offset}@${at.toString(16)}`);
      }
    }
  }
  return places;
}

const names = (places: readonly string[]): string[] => [...new Set(places.map((place) => place.replace(/\+.*/, "")))];

it("free: erases keys and frames from memory", async () => {
  const invite = random(32);
  const call = { room: ROOM, call: CALL };
  const library = await FrameCrypto.fromBytes(moduleBytes());
  library.accessToken(invite);
  const ada = new Device(library, 1, "Ada", invite);
  const bob = await Peer.make(tweetnacl, call, invite, "Bob", 2, random, WALL);
  ada.event(EventKind.Announces, announcement(2, bob.announce, bob.display), 0);
  ada.event(EventKind.StreamOpened, u32(VIDEO), 2_000);
  const batch = ada.take("key-batch");
  const known = await bob.meet(1, new Uint8Array(ada.announce.announce), new Uint8Array(ada.announce.display));
  const boxed = entryFor(2, batch?.body ?? new Uint8Array(0));
  if (boxed === undefined) throw new Error("no key");
  const { secret: ownKey } = await bob.takeKey(boxed.header, boxed.entry);
  const his = await bob.sealKey(known);
  ada.keys(his.header, his.entry, 2_000);

  const clear = {
    "sealed frame": random(3_000),
    "opened frame": random(2_000),
    "opened H.264 frame": random(900),
    "sealed outside": random(2_500),
    "opened outside": random(2_500),
  };
  expect(ada.session.seal(at(2_000), VIDEO, VP8, true, clear["sealed frame"].slice().buffer)).toBeInstanceOf(
    ArrayBuffer,
  );
  for (const [codec, name, frame] of [
    [H264, "h264", clear["opened H.264 frame"]],
    [VP8, "vp8", clear["opened frame"]],
  ] as const) {
    expect(ada.session.open(at(2_000), codec, await bob.seal(name, true, VIDEO, frame))).toMatchObject({
      participant: 2,
    });
  }

  expect(names(found(clear))).toEqual(expect.arrayContaining(["sealed frame", "opened frame"]));

  // A large frame in each direction: its key is passed to WebCrypto through a buffer in the module's memory.
  const frames = new Frames(ada.session, 0);
  expect(await frames.seal(at(2_000), VIDEO, H264, true, clear["sealed outside"].slice().buffer)).toBeInstanceOf(
    ArrayBuffer,
  );
  const outside = await frames.open(at(2_000), VP8, await bob.seal("vp8", false, VIDEO, clear["opened outside"]));
  expect(outside).toMatchObject({ participant: 2 });
  expect(frames.cipherKeys).toBe(2);

  // Each secret is identified by the public key that it yields.
  const device = new Uint8Array(ada.announce.announce.slice(34, 66));
  const secrets = drawn.filter(({ length }) => length === 32);
  const seed = secrets.find((bytes) => equal(deviceKey(bytes).publicKey, known.device));
  const ephemeral = secrets.find((bytes) => equal(tweetnacl.publicKey(bytes), known.ephemeral));
  if (seed === undefined || ephemeral === undefined)
    throw new Error("keys were not generated from the host's random bytes");
  expect(
    secrets.some((bytes) => equal(bytes, ownKey)),
    "K comes from the host's random bytes",
  ).toBe(true);
  const own = new SessionKey(
    ownKey,
    readHeader(boxed.header).epoch,
    await joinId(call, device, known.incarnation),
    call,
  );
  const kept = {
    "Ed25519 seed": seed,
    "X25519 secret": ephemeral,
    "own K": ownKey,
    "announce key": await inviteKey(invite, "announce"),
    "display key": await inviteKey(invite, "display"),
    "base key": await own.baseKey(),
    "K of the other": bob.key.secret,
  };
  const hisBaseKey = await bob.key.baseKey();
  const all = {
    ...kept,
    ...clear,
    invite,
    "next K": (await own.ratcheted()).secret,
    "frame key": (await frameKeys(kept["base key"], kidOf(own.epoch, 1, VIDEO))).key,
    "base key of the other": hisBaseKey,
    "frame key of the other": (await frameKeys(hisBaseKey, kidOf(bob.key.epoch, 2, VIDEO))).key,
  };
  const before = names(found(all));
  expect(before).toEqual(expect.arrayContaining(Object.keys(kept)));
  // Frames that WebCrypto encrypts or decrypts are never in the module's memory in the clear.
  for (const absent of ["invite", "sealed outside", "opened outside"]) expect(before).not.toContain(absent);

  frames.free();
  expect(found(all)).toEqual([]);
});

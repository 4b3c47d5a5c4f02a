// The encodings of a track through one sealer: the frame counter never repeats, and a receiver that goes from one encoding
// to another opens everything that it is sent, although its replay window is one for the whole track.

import { beforeAll, expect, it } from "vitest";
import { Frames } from "../src/e2ee/frames.ts";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { SOURCES, streamsOf } from "../src/sources.ts";
import { EventKind } from "../src/worker/action.ts";
import { type EncodedFrame, Opener, Sealer } from "../src/worker/pipeline.ts";
import { at, Device, introduce, moduleBytes } from "./device.ts";
import { u32 } from "./peer/bytes.ts";
import { unwrap } from "./peer/envelope.ts";
import { parseHeader } from "./peer/sframe.ts";
import { type Seeded, seeded } from "./random.ts";
import { entryFor } from "./wire.ts";

const INVITE = new Uint8Array(32).fill(9);
const NOW = 2_000;
const RIDS = ["q", "h", "f"] as const;
/** Sizes of delta frames in bytes: the largest go through WebCrypto, the others do not. */
const SIZES = { q: 400, h: 1_400, f: 4_000 } as const;
const { stream } = SOURCES.camera;

interface Sent {
  readonly rid: (typeof RIDS)[number];
  readonly key: boolean;
  readonly clear: Uint8Array;
  readonly sealed: ArrayBuffer;
}

let library: FrameCrypto;
beforeAll(async () => {
  library = await FrameCrypto.fromBytes(moduleBytes());
});

/** Returns two devices, of which the second has the key of the first. */
function pair(): [Device, Device] {
  const [ada, bob] = [new Device(library, 1, "Ada", INVITE), new Device(library, 2, "Bob", INVITE)];
  introduce(ada, bob);
  ada.event(EventKind.StreamOpened, u32(stream), NOW);
  ada.tick(NOW);
  for (let batch = ada.take("key-batch"); batch !== undefined; batch = ada.take("key-batch")) {
    const entry = entryFor(bob.number, batch.body);
    if (entry !== undefined) bob.keys(entry.header, entry.entry, NOW);
  }
  return [ada, bob];
}

/** Seals a number of frames of a camera, each in every encoding, in the order in which an encoder delivers them. */
async function sealAll(device: Device, frames: number, random: Seeded): Promise<Sent[]> {
  const sealer = new Sealer(new Frames(device.session), "sv", "vp8", stream);
  const sent: Sent[] = [];
  for (let number = 0; number < frames; number += 1) {
    // A key frame is one on all encodings.
    const key = number % 30 === 0;
    for (const rid of RIDS) {
      const clear = random.bytes(SIZES[rid] * (key ? 8 : 1));
      const frame: EncodedFrame = { data: clear.slice().buffer, type: key ? "key" : "delta" };
      expect(await sealer.push(frame, at(NOW))).toBe(true);
      sent.push({ rid, key, clear, sealed: frame.data });
    }
  }
  expect(sealer.counters).toMatchObject({ framesIn: 3 * frames, framesOut: 3 * frames, failures: {} });
  return sent;
}

it("the frame counter never repeats, whichever encodings are sent", async () => {
  const [ada] = pair();
  const sent = await sealAll(ada, 90, seeded());
  const counters = sent.map(({ sealed }) => parseHeader(unwrap("vp8", new Uint8Array(sealed)).content).header.ctr);
  expect(new Set(counters).size).toBe(counters.length);
});

it("a receiver that changes between encodings opens everything, once", async () => {
  const random = seeded();
  const [ada, bob] = pair();
  const sent = await sealAll(ada, 150, random);
  const opened: Uint8Array[] = [];
  const opener = new Opener(new Frames(bob.session), "v1", "vp8", streamsOf("video"), {
    frame: ({ data }) => void opened.push(new Uint8Array(data)),
    authenticated: () => {},
    needsKeyFrame: () => {},
  });
  const receive = ({ sealed, key }: Sent): Promise<void> =>
    opener.push({ data: sealed.slice(0), type: key ? "key" : "delta" }, at(NOW));

  const forwarded: Sent[] = [];
  let current: Sent["rid"] = "q";
  for (let first = 0; first < sent.length; first += RIDS.length) {
    const encodings = sent.slice(first, first + RIDS.length);
    // At a key frame the server may go to any encoding, whose counter is behind that of the old one or before it.
    if (encodings[0]?.key === true) current = random.pick(RIDS);
    const frame = encodings.find(({ rid }) => rid === current);
    if (frame === undefined) throw new Error("no frame of the encoding");
    forwarded.push(frame);
  }
  // What is late comes after frames of the next encoding.
  for (let index = 30; index < forwarded.length; index += 30) {
    const [late] = forwarded.splice(index - 1, 1);
    if (late !== undefined) forwarded.splice(index + 2, 0, late);
  }
  for (const frame of forwarded) await receive(frame);
  expect(opener.counters).toMatchObject({ framesIn: 150, framesOut: 150, failures: {} });
  expect(forwarded.every(({ clear }, index) => Buffer.compare(clear, opened[index] ?? new Uint8Array(0)) === 0)).toBe(
    true,
  );

  for (const frame of forwarded.slice(-20)) await receive(frame);
  expect(opener.counters).toMatchObject({ framesOut: 150, failures: { replay: 20 } });
});

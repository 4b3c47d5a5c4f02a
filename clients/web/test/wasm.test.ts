// Two sessions in one process, as two devices of one call, with the built wasm module between them.

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { FrameCrypto, type FrameCryptoSession } from "../src/e2ee/wasm.ts";
import { keyRequestBodies } from "../src/protocol/binary.ts";
import { type Action, EventKind, readAction } from "../src/worker/action.ts";
import { Opener, Sealer } from "../src/worker/pipeline.ts";

const MODULE = new URL("../src/e2ee/e2ee_frames.wasm", import.meta.url);
const WALL = Date.UTC(2026, 10, 22);
const HEADER = 171;
const ENTRY = 86;
const VIDEO = 1;

let library: FrameCrypto;
beforeAll(async () => {
  let bytes: Buffer<ArrayBuffer>;
  try {
    bytes = readFileSync(MODULE) as Buffer<ArrayBuffer>;
  } catch {
    throw new Error("src/e2ee/e2ee_frames.wasm is not built: run `make web`");
  }
  library = await FrameCrypto.fromBytes(bytes);
});

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
const u16 = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 0xff);
const u32 = (n: number): Uint8Array => join(u16(n >>> 16), u16(n & 0xffff));

/** One device, and what its session has told. */
class Device {
  readonly told: Action[] = [];
  announce: Action & { kind: "announce" };
  readonly session: FrameCryptoSession;
  readonly number: number;

  constructor(number: number, name: string, invite: Uint8Array) {
    this.number = number;
    this.session = library.session(new Uint8Array(16).fill(1), new Uint8Array(16).fill(2), invite, name, 0, WALL);
    const first = this.drain().find((action) => action.kind === "announce");
    if (first === undefined) throw new Error("no announce");
    this.announce = first;
    this.event(EventKind.Joined, u16(number), 0);
  }

  event(kind: number, body: Uint8Array, now: number): void {
    expect(this.session.event(kind, now, WALL + now, body)).toBe(true);
    this.drain();
  }

  drain(): Action[] {
    const actions: Action[] = [];
    for (let bytes = this.session.poll(); bytes !== null; bytes = this.session.poll()) {
      const action = readAction(bytes);
      if (action !== null) actions.push(action);
    }
    this.told.push(...actions);
    return actions;
  }

  /** Takes the oldest untaken action of a kind. */
  take<Kind extends Action["kind"]>(kind: Kind): (Action & { kind: Kind }) | undefined {
    const index = this.told.findIndex((action) => action.kind === kind);
    return index < 0 ? undefined : (this.told.splice(index, 1)[0] as Action & { kind: Kind });
  }
}

/** The server: carries announces, keys and requests, and knows nothing. */
function deliver(devices: readonly Device[], now: number): void {
  for (const device of devices) {
    for (let batch = device.take("key-batch"); batch !== undefined; batch = device.take("key-batch")) {
      const header = batch.body.subarray(0, HEADER);
      for (let at = HEADER; at < batch.body.length; at += ENTRY) {
        const entry = batch.body.subarray(at, at + ENTRY);
        const seat = ((entry[0] ?? 0) << 8) | (entry[1] ?? 0);
        const recipient = devices.find(({ number }) => number === seat);
        recipient?.event(EventKind.Keys, join(Uint8Array.of(1), header, entry), now);
      }
    }
    for (let wanted = device.take("key-request"); wanted !== undefined; wanted = device.take("key-request")) {
      for (const body of keyRequestBodies(wanted.wanted)) {
        for (const other of devices) {
          if (other !== device) other.event(EventKind.KeyRequest, join(u16(device.number), body), now);
        }
      }
    }
  }
}

/** Lets the devices exchange everything until `until`, in steps of 100 ms. */
function run(devices: readonly Device[], from: number, until: number): void {
  for (let now = from; now <= until; now += 100) {
    for (const device of devices) device.event(EventKind.Tick, new Uint8Array(0), now);
    deliver(devices, now);
  }
}

function introduce(one: Device, other: Device): void {
  const entry = ({ number, announce: { announce, display } }: Device): Uint8Array =>
    join(Uint8Array.of(1), u32(number), u16(number), announce, u16(display.length), display);
  one.event(EventKind.Announces, entry(other), 0);
  other.event(EventKind.Announces, entry(one), 0);
}

const invite = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe("the wasm module", () => {
  it("gives everyone with the secret the same access token, and nobody else", () => {
    expect(library.accessToken(invite(7))).toEqual(library.accessToken(invite(7)));
    expect(library.accessToken(invite(7))).not.toEqual(library.accessToken(invite(8)));
  });

  it("carries a call between two devices, names included", () => {
    const ada = new Device(1, "Ada", invite(9));
    const bob = new Device(2, "Bob ☕", invite(9));
    introduce(ada, bob);
    ada.event(EventKind.StreamOpened, u32(VIDEO), 0);
    run([ada, bob], 100, 3_000);
    expect(ada.take("verified")).toMatchObject({ participant: 2, name: "Bob ☕" });
    expect(bob.take("verified")).toMatchObject({ participant: 1, name: "Ada" });
    expect(ada.take("stream-ready")).toEqual({ kind: "stream-ready", stream: VIDEO });

    const sealer = new Sealer(ada.session, "sv", "vp8", VIDEO);
    const opened: Uint8Array[] = [];
    const whose: unknown[] = [];
    const opener = new Opener(bob.session, "v1", "vp8", {
      frame: ({ data }) => void opened.push(new Uint8Array(data)),
      attributed: (participant, stream) => void whose.push({ participant, stream }),
      needsKeyFrame: () => {},
    });
    const clear = [1, 50, 5_000, 100_000].map((length) => new Uint8Array(length).fill(length & 0xff));
    for (const [index, plain] of clear.entries()) {
      const frame = { data: plain.slice().buffer as ArrayBuffer, type: index === 0 ? "key" : "delta" };
      expect(sealer.push(frame, 3_000)).toBe(true);
      expect(frame.data.byteLength).toBeGreaterThan(plain.length);
      opener.push(frame, 3_000);
    }
    expect(opened).toEqual(clear);
    expect(whose).toEqual([{ participant: 1, stream: VIDEO }]);
    expect(opener.counters.failures).toEqual({});
  });

  it("lets a device with another secret neither in nor read", () => {
    const ada = new Device(1, "Ada", invite(9));
    const eve = new Device(2, "Eve", invite(10));
    introduce(ada, eve);
    ada.event(EventKind.StreamOpened, u32(VIDEO), 0);
    run([ada, eve], 100, 3_000);
    expect(ada.take("verified")).toBeUndefined();
    expect(ada.take("problem")).toMatchObject({ code: "announce-refused" });

    const frame = { data: new Uint8Array(500).fill(3).buffer, type: "key" };
    expect(new Sealer(ada.session, "sv", "vp8", VIDEO).push(frame, 3_000)).toBe(true);
    const passed: unknown[] = [];
    const output = { frame: () => void passed.push(frame), attributed: () => {}, needsKeyFrame: () => {} };
    new Opener(eve.session, "v1", "vp8", output).push(frame, 3_000);
    expect(passed).toEqual([]);
  });

  it("seals nothing on a stream that is not open", () => {
    const ada = new Device(1, "Ada", invite(9));
    const sealer = new Sealer(ada.session, "sv", "vp8", VIDEO);
    expect(sealer.push({ data: new ArrayBuffer(10), type: "key" }, 0)).toBe(false);
    expect(sealer.counters.framesOut).toBe(0);
  });
});

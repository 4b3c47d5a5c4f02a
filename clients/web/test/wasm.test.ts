// Two sessions of the built wasm module in one process, as two devices of one call.

import { beforeAll, describe, expect, it } from "vitest";
import { chatContent, chatId } from "../src/chat.ts";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { keyRequestBodies } from "../src/protocol/binary.ts";
import { SOURCES } from "../src/sources.ts";
import { EventKind } from "../src/worker/action.ts";
import { attachedEvent, detachedEvent, joinedEvent, sendChatEvent } from "../src/worker/event.ts";
import { Opener, Sealer } from "../src/worker/pipeline.ts";
import { at, CALL, Device, introduce, moduleBytes, ROOM } from "./device.ts";
import { join, u16, u32 } from "./peer/bytes.ts";
import { entryFor } from "./wire.ts";

const VIDEO = SOURCES.camera.stream;

let library: FrameCrypto;
beforeAll(async () => {
  library = await FrameCrypto.fromBytes(moduleBytes());
});

/** The server: carries key batches and key requests without opening them. */
function deliver(devices: readonly Device[], now: number): void {
  for (const device of devices) {
    for (let batch = device.take("key-batch"); batch !== undefined; batch = device.take("key-batch")) {
      for (const recipient of devices) {
        const box = entryFor(recipient.number, batch.body);
        if (box !== undefined) recipient.keys(box.header, box.entry, now);
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

/** Ticks the devices and delivers their messages, in steps of 100 ms. */
function run(devices: readonly Device[], from: number, until: number): void {
  for (let now = from; now <= until; now += 100) {
    for (const device of devices) device.tick(now);
    deliver(devices, now);
  }
}

const invite = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe("the wasm module", () => {
  it("proves by the device key of its announce that a session is its own", async () => {
    const ada = new Device(library, 1, "Ada", invite(7));
    const text = new TextEncoder();
    const sha256 = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
      new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const [session, token, nonce] = [invite(4).subarray(16), Uint8Array.of(1, 2, 3), invite(5)];
    const statement = { origin: "https://call.example", session, participant: 9, token, nonce };
    const proof = ada.session.proveResume(statement);
    const signed = join(
      text.encode("tacet/1 resume"),
      Uint8Array.of(1),
      await sha256(text.encode(statement.origin)),
      ROOM,
      CALL,
      session,
      u32(9),
      await sha256(token),
      nonce,
    );
    const device = new Uint8Array(ada.announce.announce.subarray(34, 66));
    const key = await crypto.subtle.importKey("raw", device, "Ed25519", false, ["verify"]);
    expect(proof === null || (await crypto.subtle.verify("Ed25519", key, proof, signed))).toBe(true);
    expect(proof).not.toBeNull();
    expect(ada.session.proveResume({ ...statement, nonce: nonce.subarray(1) })).toBeNull();
    expect(ada.session.proveResume({ ...statement, session: session.subarray(1) })).toBeNull();
  });

  it("sends nothing without a connection, and joins again at a server that has forgotten it", () => {
    const ada = new Device(library, 1, "Ada", invite(7));
    const tell = ({ kind, body }: { kind: number; body: Uint8Array }, now: number): void => ada.event(kind, body, now);
    const sent = (): string[] => ada.actions.splice(0).map((action) => action.kind);
    sent();
    tell(detachedEvent(), 0);
    ada.tick(11 * 60_000);
    expect(sent()).toEqual([]);
    tell(attachedEvent(false), 11 * 60_000);
    expect(sent()).toContain("announce");
    tell(detachedEvent(), 12 * 60_000);
    tell(attachedEvent(true), 12 * 60_000);
    expect(ada.take("announce")).toMatchObject({ first: true });
    tell(joinedEvent(1), 12 * 60_000);
  });

  it("derives the same access token from the same secret only", async () => {
    expect(library.accessToken(invite(7))).toEqual(library.accessToken(invite(7)));
    expect(library.accessToken(invite(7))).not.toEqual(library.accessToken(invite(8)));
  });

  it("carries chat between two devices, under the name of whose key opens it", () => {
    const ada = new Device(library, 1, "Ada", invite(9));
    const bob = new Device(library, 2, "Bob", invite(9));
    introduce(ada, bob);
    const say = ({ kind, body }: { kind: number; body: Uint8Array }): void => ada.event(kind, body, 100);
    say(sendChatEvent(chatId("text", 1), chatContent("text", "hello\u001b[2J ☕")));
    say(sendChatEvent(chatId("reaction", 2), chatContent("reaction", "👍")));
    run([ada, bob], 100, 2_000);
    const messages = [ada.take("send-chat"), ada.take("send-chat")];
    for (const message of messages) {
      if (message === undefined) throw new Error("no message");
      const [relabelled, genuine] = [3, 1].map((sender) => join(u32(sender), message.id, message.sealed));
      bob.event(EventKind.Chat, relabelled ?? message.id, 2_000);
      bob.event(EventKind.Chat, genuine ?? message.id, 2_000);
      bob.event(EventKind.Chat, genuine ?? message.id, 2_000);
    }
    expect(bob.take("chat")).toEqual({
      kind: "chat",
      participant: 1,
      content: { kind: "text", text: "hello[2J ☕" },
    });
    expect(bob.take("chat")).toEqual({ kind: "chat", participant: 1, content: { kind: "reaction", text: "👍" } });
    expect(bob.take("chat")).toBeUndefined();
    expect(() => chatContent("text", "")).toThrow();
    expect(() => chatContent("reaction", "x".repeat(65))).toThrow();
  });

  it("carries a call between two devices, including their names", async () => {
    const ada = new Device(library, 1, "Ada", invite(9));
    const bob = new Device(library, 2, "Bob ☕", invite(9));
    introduce(ada, bob);
    ada.event(EventKind.StreamOpened, u32(VIDEO), 0);
    run([ada, bob], 100, 3_000);
    expect(ada.take("verified")).toMatchObject({ participant: 2, name: "Bob ☕" });
    expect(bob.take("verified")).toMatchObject({ participant: 1, name: "Ada" });
    expect(ada.take("stream-ready")).toEqual({ kind: "stream-ready", stream: VIDEO });

    const sealer = new Sealer(ada.session, "sv", "vp8", VIDEO);
    const opened: Uint8Array[] = [];
    const origins: unknown[] = [];
    const opener = new Opener(bob.session, "v1", "vp8", [VIDEO], {
      frame: ({ data }) => void opened.push(new Uint8Array(data)),
      authenticated: (origin) => void origins.push(origin),
      needsKeyFrame: () => {},
    });
    const clear = [1, 50, 5_000, 100_000].map((length) => new Uint8Array(length).fill(length & 0xff));
    for (const [index, plain] of clear.entries()) {
      const frame = { data: plain.slice().buffer as ArrayBuffer, type: index === 0 ? "key" : "delta" };
      expect(await sealer.push(frame, at(3_000))).toBe(true);
      expect(frame.data.byteLength).toBeGreaterThan(plain.length);
      await opener.push(frame, at(3_000));
    }
    expect(opened).toEqual(clear);
    expect(origins).toEqual([{ participant: 1, stream: VIDEO }]);
    expect(opener.counters.failures).toEqual({});
  });

  it("neither verifies nor opens anything for a device with another secret", async () => {
    const ada = new Device(library, 1, "Ada", invite(9));
    const eve = new Device(library, 2, "Eve", invite(10));
    introduce(ada, eve);
    ada.event(EventKind.StreamOpened, u32(VIDEO), 0);
    run([ada, eve], 100, 3_000);
    expect(ada.take("verified")).toBeUndefined();
    expect(ada.take("problem")).toMatchObject({ code: "announce-refused" });

    const frame = { data: new Uint8Array(500).fill(3).buffer, type: "key" };
    expect(await new Sealer(ada.session, "sv", "vp8", VIDEO).push(frame, at(3_000))).toBe(true);
    const passed: unknown[] = [];
    const output = { frame: () => void passed.push(frame), authenticated: () => {}, needsKeyFrame: () => {} };
    await new Opener(eve.session, "v1", "vp8", [VIDEO], output).push(frame, at(3_000));
    expect(passed).toEqual([]);
  });

  it("seals nothing on a closed stream", async () => {
    const ada = new Device(library, 1, "Ada", invite(9));
    const sealer = new Sealer(ada.session, "sv", "vp8", VIDEO);
    expect(await sealer.push({ data: new ArrayBuffer(10), type: "key" }, at(0))).toBe(false);
    expect(sealer.counters.framesOut).toBe(0);
  });
});

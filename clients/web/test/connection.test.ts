// A connection against a fake server, worker and browser: the order of its messages, and its reactions to the server's.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encode } from "../src/base64url.ts";
import { Connection } from "../src/connection.ts";
import { roomLink } from "../src/link.ts";
import type { Action } from "../src/worker/action.ts";
import { EventKind } from "../src/worker/action.ts";
import type { FromWorker, ToWorker } from "../src/worker/messages.ts";

const ROOM = encode(new Uint8Array(16).fill(1));
const LINK = roomLink({ server: "https://calls.example", room: ROOM, secret: encode(new Uint8Array(32).fill(2)) });

class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  readyState = FakeSocket.OPEN;
  binaryType = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly sent: (Record<string, unknown> | Uint8Array)[] = [];

  constructor() {
    FakeSocket.last = this;
  }
  send(data: string | Uint8Array): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }
  close(): void {}
  receive(message: object): void {
    this.onmessage?.({ data: JSON.stringify({ seq: 1, ...message }) });
  }
  /** Waits until a message of this type was sent. */
  async nextSent(t: string): Promise<Record<string, unknown>> {
    return vi.waitFor(() => {
      const message = this.sent.find((one) => !(one instanceof Uint8Array) && one.t === t);
      if (message === undefined) throw new Error(`no ${t} yet`);
      return message as Record<string, unknown>;
    });
  }
}

class FakeWorker {
  static last: FakeWorker;
  onmessage: ((event: { data: FromWorker }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly received: ToWorker[] = [];
  terminated = false;

  constructor() {
    FakeWorker.last = this;
  }
  postMessage(message: ToWorker): void {
    this.received.push(message);
    if (message.t === "load") queueMicrotask(() => this.post({ t: "loaded", guestAccess: new Uint8Array(32).fill(3) }));
    if (message.t === "start") {
      const announce = new Uint8Array(298).fill(4);
      this.act({ kind: "announce", first: true, announce, display: new Uint8Array([5, 6]) });
    }
  }
  post(data: FromWorker): void {
    this.onmessage?.({ data });
  }
  act(action: Action): void {
    queueMicrotask(() => this.post({ t: "action", action }));
  }
  terminate(): void {
    this.terminated = true;
  }
  /** Bodies of the events of this kind. */
  events(kind: number): number[][] {
    return this.received.flatMap((message) =>
      message.t === "event" && message.kind === kind ? [[...message.body]] : [],
    );
  }
}

class FakePeerConnection {
  connectionState = "new";
  close(): void {}
}

beforeEach(() => {
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("RTCPeerConnection", FakePeerConnection);
  vi.stubGlobal("fetch", async () => new Response(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)));
});
afterEach(() => void vi.unstubAllGlobals());

const WELCOME = { t: "welcome", participant: 7, call: encode(new Uint8Array(16)), codecs: [], hdrext: [] };

/** Opens a connection and answers its requests until it has joined. `log` collects its events. */
async function joined(log: [name: string, event: unknown][] = []): Promise<Connection> {
  const opening = Connection.open({ link: LINK, name: "Ada", videoCodec: "vp8" }, (connection) => {
    for (const name of ["verified", "removed", "muted", "problem", "lost"] as const) {
      connection.on(name, (event) => void log.push([name, event]));
    }
  });
  const hello = await vi.waitFor(() => FakeSocket.last.nextSent("hello"));
  FakeSocket.last.receive({ ...WELCOME, re: hello.id });
  const join = await FakeSocket.last.nextSent("join");
  const roster = [{ participant: 3, seat: 0 }];
  const tracks = [{ track: 1, participant: 3, kind: "audio", source: "microphone", codec: "opus", muted: true }];
  FakeSocket.last.receive({ t: "joined", seat: 258, rev: 4, roster, tracks, re: join.id });
  return opening;
}

describe("Connection", () => {
  it("shows the guest access but never the secret, and joins with the sealed announce", async () => {
    const connection = await joined();
    expect(connection.participant).toBe(7);
    const [hello, join, subscribe] = FakeSocket.last.sent;
    expect(hello).toMatchObject({
      t: "hello",
      room: ROOM,
      credential: { type: "guest", token: encode(new Uint8Array(32).fill(3)) },
    });
    expect(join).toMatchObject({ announce: encode(new Uint8Array(298).fill(4)), display: encode(Uint8Array.of(5, 6)) });
    expect(subscribe).toMatchObject({ t: "subscribe", auto: true });
    expect(JSON.stringify(FakeSocket.last.sent)).not.toContain(encode(LINK.secret));
    expect(FakeWorker.last.events(EventKind.Joined)).toEqual([[1, 2]]);
    expect(connection.muted(3, "microphone")).toBe(true);
  });

  it("rejects with the reason of a refusal", async () => {
    const opening = Connection.open({ link: LINK, name: "Ada", videoCodec: "vp8" }, () => {});
    const refused = expect(opening).rejects.toMatchObject({ code: "no-room" });
    const hello = await vi.waitFor(() => FakeSocket.last.nextSent("hello"));
    FakeSocket.last.receive({ t: "error", code: "no_room", detail: "", re: hello.id });
    await refused;
    expect(FakeWorker.last.terminated).toBe(true);
  });

  it("rejects with the reason of a close code", async () => {
    const opening = Connection.open({ link: LINK, name: "Ada", videoCodec: "vp8" }, () => {});
    const refused = expect(opening).rejects.toMatchObject({ code: "access-refused" });
    await vi.waitFor(() => FakeSocket.last.nextSent("hello"));
    FakeSocket.last.onclose?.({ code: 4401 });
    await refused;
  });

  it("reports only participants that the worker verified, not those of the roster", async () => {
    const log: [name: string, event: unknown][] = [];
    await joined(log);
    FakeSocket.last.receive({ t: "roster", rev: 5, full: false, add: [{ participant: 9, seat: 2 }], del: [] });
    expect(log.filter(([name]) => name === "verified")).toEqual([]);
    FakeWorker.last.post({ t: "action", action: { kind: "verified", participant: 9, seat: 2, name: "Bo" } });
    expect(log).toContainEqual(["verified", { participant: 9, name: "Bo" }]);
  });

  it("passes departures to the worker, and requests the whole roster after a gap", async () => {
    await joined();
    FakeSocket.last.receive({ t: "roster", rev: 5, full: false, add: [{ participant: 258, seat: 2 }], del: [3] });
    expect(FakeWorker.last.events(EventKind.Left)).toEqual([[0, 0, 0, 3]]);
    FakeSocket.last.receive({ t: "roster", rev: 9, full: false, add: [], del: [] });
    await FakeSocket.last.nextSent("resync");
    FakeSocket.last.receive({ t: "roster", rev: 10, full: true, add: [], del: [] });
    expect(FakeWorker.last.events(EventKind.Left)).toEqual([
      [0, 0, 0, 3],
      [0, 0, 1, 2],
    ]);
  });

  it("passes key messages on unread, in both directions", async () => {
    await joined();
    const keys = Uint8Array.of(2, 0, 0, 0, 9, 1, 7, 7);
    FakeSocket.last.onmessage?.({ data: keys.buffer });
    expect(FakeWorker.last.events(EventKind.Keys)).toEqual([[1, 7, 7]]);
    FakeWorker.last.post({ t: "action", action: { kind: "key-batch", number: 1, body: Uint8Array.of(8, 8) } });
    FakeWorker.last.post({ t: "action", action: { kind: "key-request", wanted: new Uint8Array(201 * 24) } });
    const binary = FakeSocket.last.sent.filter((message) => message instanceof Uint8Array);
    expect(binary.map((message) => [message[0], message.length])).toEqual([
      [1, 5 + 2],
      [4, 5 + 1 + 200 * 24],
      [4, 5 + 1 + 24],
    ]);
  });

  it("is lost once, and stops the worker, when the socket closes", async () => {
    const log: [name: string, event: unknown][] = [];
    await joined(log);
    FakeSocket.last.onclose?.({ code: 1006 });
    FakeSocket.last.onclose?.({ code: 1006 });
    expect(log.filter(([name]) => name === "lost")).toHaveLength(1);
    expect(FakeWorker.last.terminated).toBe(true);
  });
});

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TacetError } from "../src/errors.ts";
import { BinaryType } from "../src/protocol/binary.ts";
import type { ServerMessage } from "../src/protocol/generated.ts";
import { type Refused, Socket, type WebSocketLike } from "../src/protocol/socket.ts";

/** The server's end of a socket. */
class FakeWebSocket implements WebSocketLike {
  binaryType: BinaryType_ = "blob";
  readyState: WebSocket["readyState"] = WebSocket.CONNECTING;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  readonly sent: unknown[] = [];

  send(data: unknown): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : data);
  }
  close(): void {
    this.readyState = WebSocket.CLOSED;
  }
  open(): void {
    this.readyState = WebSocket.OPEN;
    this.onopen?.(new Event("open"));
  }
  deliver(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) } as MessageEvent);
  }
  drop(code: number): void {
    this.onclose?.({ code } as CloseEvent);
  }
}
type BinaryType_ = "blob" | "arraybuffer";

let server: FakeWebSocket;
let received: ServerMessage[];
let closed: number[];

function connect(): Socket {
  server = new FakeWebSocket();
  received = [];
  closed = [];
  const listener = {
    message: (message: ServerMessage) => void received.push(message),
    binary: () => {},
    closed: (code: number) => void closed.push(code),
  };
  return new Socket("http://localhost:8800", listener, (url, protocol) => {
    expect([url, protocol]).toEqual(["ws://localhost:8800/v1/ws", "tacet.v1.json"]);
    return server;
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Socket", () => {
  it("pipelines requests and matches their answers", async () => {
    const socket = connect();
    const first = socket.request({
      t: "publish",
      cid: "microphone",
      kind: "audio",
      source: "microphone",
      codec: "opus",
      mid: "sa",
      ssrc: 1,
    });
    const second = socket.request({ t: "ping", ms: 5 });
    expect(server.sent).toEqual([]);
    server.open();
    expect(server.sent.map((message) => (message as { id: number }).id)).toEqual([1, 2]);
    server.deliver({ t: "pong", ms: 5, seq: 1, re: 2 });
    server.deliver({ t: "published", cid: "microphone", track: 9, seq: 2, re: 1 });
    await expect(second).resolves.toMatchObject({ t: "pong" });
    await expect(first).resolves.toMatchObject({ t: "published", track: 9 });
  });

  it("passes messages on, and ignores what it cannot parse", () => {
    connect();
    server.open();
    for (const noise of ["{", "[]", '"text"', '{"t":7}']) server.deliver(noise);
    server.deliver({ t: "dance", seq: 1 });
    server.deliver({ t: "speakers", speakers: [], seq: 2 });
    expect(received.map(({ t }) => t as string)).toEqual(["dance", "speakers"]);
  });

  it("rejects a refused request with the server's reason", async () => {
    const socket = connect();
    server.open();
    const request = socket.request({ t: "ping", ms: 1 });
    server.deliver({ t: "error", code: "no_room", detail: "", seq: 1, re: 1 });
    await expect(request).rejects.toMatchObject({ reason: "no_room" } satisfies Partial<Refused>);
  });

  it("retries a rate-limited request after the delay", async () => {
    const socket = connect();
    server.open();
    const request = socket.request({ t: "ping", ms: 1 });
    server.deliver({ t: "error", code: "rate_limited", retry_ms: 250, detail: "", seq: 1, re: 1 });
    expect(server.sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(250);
    expect(server.sent).toHaveLength(2);
    server.deliver({ t: "pong", ms: 1, seq: 2, re: 1 });
    await expect(request).resolves.toMatchObject({ t: "pong" });
  });

  it("keeps within the rate, and sends keys first", async () => {
    const socket = connect();
    for (let i = 0; i < 60; i += 1) socket.send({ t: "ping", ms: i });
    socket.sendBinary(BinaryType.KeyBatch, new Uint8Array([1, 2]));
    server.open();
    expect(server.sent).toHaveLength(25);
    expect(server.sent[0]).toEqual(new Uint8Array([1, 0, 0, 0, 1, 1, 2]));
    await vi.advanceTimersByTimeAsync(999);
    expect(server.sent).toHaveLength(25);
    await vi.advanceTimersByTimeAsync(2_001);
    expect(server.sent).toHaveLength(61);
  });

  it("rejects a message that is one byte too large", () => {
    const socket = connect();
    expect(() => socket.sendBinary(1, new Uint8Array(16_384 - 5))).not.toThrow();
    expect(() => socket.sendBinary(1, new Uint8Array(16_385 - 5))).toThrow(
      expect.objectContaining({ code: "message-too-large" } satisfies Partial<TacetError>),
    );
  });

  it("reports a lost connection once, and rejects pending requests", async () => {
    const socket = connect();
    server.open();
    const request = socket.request({ t: "ping", ms: 1 });
    server.drop(1006);
    server.drop(1006);
    await expect(request).rejects.toMatchObject({ code: "server-unreachable" });
    expect(closed).toEqual([1006]);
    await expect(socket.request({ t: "ping", ms: 1 })).rejects.toMatchObject({ code: "server-unreachable" });
  });

  it("reports a lost connection after silence", async () => {
    connect();
    server.open();
    await vi.advanceTimersByTimeAsync(20_000);
    server.deliver({ t: "pong", ms: 1, seq: 1 });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(closed).toEqual([1006]);
  });

  it("sends leave when it is closed, and reports nothing afterwards", () => {
    const socket = connect();
    server.open();
    socket.close();
    server.drop(1000);
    expect(server.sent).toEqual([{ t: "leave" }]);
    expect(closed).toEqual([]);
  });
});

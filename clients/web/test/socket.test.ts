import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TacetError } from "../src/errors.ts";
import { Allowances } from "../src/protocol/allowances.ts";
import { Priority } from "../src/protocol/outbox.ts";
import { type ServerText, Socket } from "../src/protocol/socket.ts";
import { FakeSocket } from "./fake-socket.ts";

let received: ServerText[];
let closed: number[];

function connect(): [Socket, FakeSocket] {
  received = [];
  closed = [];
  const listener = {
    text: (message: ServerText) => void received.push(message),
    binary: () => {},
    closed: (code: number) => void closed.push(code),
  };
  const socket = new Socket(
    "http://localhost:8800",
    listener,
    new Allowances(),
    (url, protocol) => new FakeSocket(url, protocol),
  );
  return [socket, FakeSocket.last];
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("Socket", () => {
  it("opens the signaling endpoint of the server", () => {
    const [, server] = connect();
    expect([server.url, server.protocol]).toEqual(["ws://localhost:8800/v1/ws", "tacet.v1.json"]);
  });

  it("passes messages on with their numbers, and ignores what it cannot parse", () => {
    const [, server] = connect();
    server.open();
    for (const noise of ["{", "[]", '"text"', '{"t":7}']) server.deliver(noise);
    server.deliver('{"t":"dance","seq":1}');
    server.deliver({ t: "speakers", speakers: [], seq: 2, re: 4 });
    expect(received.map(({ seq, re, body }) => [seq, re, body.t])).toEqual([
      [1, undefined, "dance"],
      [2, 4, "speakers"],
    ]);
  });

  it("keeps within the rate, and sends keys first", async () => {
    const [socket, server] = connect();
    for (let i = 0; i < 60; i += 1) socket.send(i % 2 === 0 ? { t: "slots.ready", rev: i } : { t: "ping", ms: i });
    socket.push({ type: "key_batch", payload: new Uint8Array([1, 2]), priority: Priority.Keys });
    server.open();
    expect(server.sent).toHaveLength(25);
    expect(server.sent[0]).toEqual(new Uint8Array([1, 2]));
    await vi.advanceTimersByTimeAsync(999);
    expect(server.sent).toHaveLength(25);
    await vi.advanceTimersByTimeAsync(2_001);
    expect(server.sent).toHaveLength(61);
  });

  it("rejects a message that is too large", () => {
    const [socket] = connect();
    expect(() => socket.send({ t: "leave", pad: "x".repeat(17_000) } as never)).toThrow(
      expect.objectContaining({ code: "message-too-large" } satisfies Partial<TacetError>),
    );
  });

  it("reports a lost connection once", () => {
    const [, server] = connect();
    server.open();
    server.drop(1012);
    server.drop(1006);
    expect(closed).toEqual([1012]);
  });

  it("is lost if the server is silent after a ping, and lives on with any message", async () => {
    const [, server] = connect();
    server.open();
    await vi.advanceTimersByTimeAsync(12_000);
    expect(server.types).toEqual(["ping"]);
    server.deliver({ t: "pong", ms: 1 });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(closed).toEqual([1006]);
  });

  it("is lost within three seconds of a probe without an answer", async () => {
    const [socket, server] = connect();
    server.open();
    await vi.advanceTimersByTimeAsync(1_000);
    socket.probe();
    await vi.advanceTimersByTimeAsync(2_999);
    expect(closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(closed).toEqual([1006]);
  });

  it("asks again, and is not lost, if the device slept through the wait", async () => {
    const [socket, server] = connect();
    server.open();
    await vi.advanceTimersByTimeAsync(1_000);
    socket.probe();
    // The timer fires a minute late: the clock went on and no timer ran.
    const now = performance.now();
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now + 60_000);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(closed).toEqual([]);
    expect(server.types).toEqual(["ping", "ping"]);
    clock.mockRestore();
  });

  it("sends past the queue, and reports nothing after it was closed", () => {
    const [socket, server] = connect();
    server.open();
    for (let i = 0; i < 30; i += 1) socket.send({ t: "ping", ms: i });
    socket.sendNow({ t: "leave" });
    expect(server.sent.at(-1)).toEqual({ t: "leave" });
    socket.close();
    server.drop(1000);
    expect(closed).toEqual([]);
  });
});

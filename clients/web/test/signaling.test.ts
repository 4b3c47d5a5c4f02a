// The signaling link over several sockets: what is sent again, what is dropped, and what is rejected.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encode } from "../src/base64url.ts";
import type { TacetError } from "../src/errors.ts";
import { BinaryType } from "../src/protocol/binary.ts";
import type { Continues, Hello, ServerMessage, Tokens, Welcome } from "../src/protocol/generated.ts";
import { Refused } from "../src/protocol/refusal.ts";
import { Signaling, Superseded } from "../src/protocol/signaling.ts";
import { FakeSocket } from "./fake-socket.ts";

const HELLO: Hello = {
  room: encode(new Uint8Array(16)),
  credential: { type: "guest", token: "" },
  client: "test",
};
const CHALLENGE: ServerMessage & { t: "challenge" } = {
  t: "challenge",
  protocol: "tacet/1",
  features: [],
  nonce: encode(new Uint8Array(32)),
};

function welcome(continues: Continues): Welcome {
  return {
    participant: 7,
    call: "",
    time: 0,
    limits: { rate: 30, bytes: 16_384 },
    codecs: [],
    hdrext: [],
    features: [],
    session: "",
    continues,
    role: "speaker",
    capabilities: ["subscribe", "chat", "publish_microphone", "publish_camera", "publish_screen"],
    tokens: { session: "s", reload: "r" },
  };
}

let log: unknown[];
let link: Signaling;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  log = [];
  link = new Signaling("https://calls.example", {
    message: (message: ServerMessage) => void log.push(message.t),
    binary: ({ seq }) => void log.push(`binary ${seq}`),
    continued: () => void log.push("continued"),
    lost: (error: TacetError) => void log.push(`lost ${error.code}`),
    tokens: ({ reload }: Tokens) => void log.push(`tokens ${reload}`),
  });
});
afterEach(() => {
  link.leave();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Answers the handshake of a new socket up to `welcome`. */
async function greet(continues: Continues): Promise<{ socket: FakeSocket; connected: Promise<Welcome> }> {
  const connected = link.connect(async () => HELLO, 5_000);
  connected.catch(() => {});
  const socket = FakeSocket.last;
  socket.open();
  socket.deliver(CHALLENGE);
  await vi.advanceTimersByTimeAsync(0);
  socket.deliver({ t: "welcome", ...welcome(continues), re: socket.find("hello")?.id });
  return { socket, connected };
}

async function attach(continues: Continues): Promise<FakeSocket> {
  const { socket, connected } = await greet(continues);
  if (continues === "session") socket.deliver({ t: "pong", ms: 0, re: socket.find("ping")?.id, seq: 0 });
  await connected;
  return socket;
}

describe("Signaling", () => {
  it("says hello after the challenge, and is attached after the welcome", async () => {
    const makeHello = vi.fn(async () => HELLO);
    const connected = link.connect(makeHello, 5_000);
    const socket = FakeSocket.last;
    socket.open();
    expect(socket.sent).toEqual([]);
    socket.deliver(CHALLENGE);
    await vi.advanceTimersByTimeAsync(0);
    expect(makeHello).toHaveBeenCalledWith(expect.objectContaining({ nonce: CHALLENGE.nonce }));
    const hello = socket.find("hello");
    expect(hello).toMatchObject(HELLO);
    expect(link.attached).toBe(false);
    socket.deliver({ t: "welcome", ...welcome("nothing"), re: hello?.id });
    await expect(connected).resolves.toMatchObject({ participant: 7 });
    expect(link.attached).toBe(true);
  });

  it("rejects with the reason of a refused hello", async () => {
    const connected = link.connect(async () => HELLO, 5_000);
    const refused = expect(connected).rejects.toMatchObject({ code: "no-room", reason: "no_room" });
    const socket = FakeSocket.last;
    socket.open();
    socket.deliver(CHALLENGE);
    await vi.advanceTimersByTimeAsync(0);
    socket.deliver({ t: "error", code: "no_room", detail: "", re: socket.find("hello")?.id });
    await refused;
    expect(log).toEqual([]);
  });

  it("ends an attempt that takes too long", async () => {
    const late = expect(link.connect(async () => HELLO, 5_000)).rejects.toMatchObject({ code: "server-unreachable" });
    await vi.advanceTimersByTimeAsync(5_000);
    await late;
  });

  it("matches answers with requests, whatever their order", async () => {
    const socket = await attach("nothing");
    const first = link.request({ t: "resync" });
    const second = link.request({ t: "ice.restart" });
    const [a, b] = ["resync", "ice.restart"].map((t) => socket.find(t)?.id);
    socket.deliver({ t: "error", code: "not_member", detail: "", re: b });
    socket.deliver({ t: "ok", re: a });
    await expect(first).resolves.toMatchObject({ t: "ok" });
    await expect(second).rejects.toBeInstanceOf(Refused);
  });

  it("retries a rate-limited request after the delay", async () => {
    const socket = await attach("nothing");
    const request = link.request({ t: "resync" });
    const sent = socket.sent.length;
    socket.deliver({ t: "error", code: "rate_limited", retry_ms: 250, detail: "", re: socket.find("resync")?.id });
    expect(socket.sent).toHaveLength(sent);
    await vi.advanceTimersByTimeAsync(250);
    expect(socket.sent).toHaveLength(sent + 1);
    socket.deliver({ t: "ok", re: socket.find("resync")?.id });
    await expect(request).resolves.toMatchObject({ t: "ok" });
  });

  it("sends unanswered requests again on the next socket, after the replay and not before", async () => {
    const first = await attach("nothing");
    const answered = link.request({ t: "resync" });
    const lost = link.requestBinary(BinaryType.KeyBatch, Uint8Array.of(9));
    const id = first.find("resync")?.id;
    first.drop();
    expect(log).toEqual(["lost server-unreachable"]);

    const { socket, connected } = await greet("session");
    expect(socket.types).toEqual(["hello", "ping"]);
    expect(log.at(-1)).toBe("continued");
    // The server had answered one of the two.
    socket.deliver({ t: "ok", re: id, seq: 3 });
    await expect(answered).resolves.toMatchObject({ t: "ok" });
    socket.deliver({ t: "pong", ms: 0, re: socket.find("ping")?.id, seq: 4 });
    await connected;
    expect(socket.types).toEqual(["hello", "ping", "binary 1"]);
    expect(socket.sent[2]).toEqual(first.sent.find((message) => message instanceof Uint8Array));
    const [, , , , number] = socket.sent[2] as Uint8Array;
    socket.deliver({ t: "ok", re: number });
    await expect(lost).resolves.toMatchObject({ t: "ok" });
  });

  it("sends what was requested while no socket was attached", async () => {
    (await attach("nothing")).drop();
    const request = link.request({ t: "resync" });
    const socket = await attach("session");
    socket.deliver({ t: "ok", re: socket.find("resync")?.id, seq: 9 });
    await expect(request).resolves.toMatchObject({ t: "ok" });
  });

  it("drops replayed messages that arrived before, text and binary", async () => {
    const first = await attach("nothing");
    first.deliver({ t: "speakers", speakers: [], seq: 3 });
    first.deliver(Uint8Array.of(2, 0, 0, 0, 4, 1).buffer);
    first.drop();
    expect(link.lastSeq).toBe(4);
    log = [];
    const { socket, connected } = await greet("session");
    socket.deliver({ t: "speakers", speakers: [], seq: 3 });
    socket.deliver(Uint8Array.of(2, 0, 0, 0, 4, 1).buffer);
    socket.deliver({ t: "tracks", add: [], del: [], upd: [], seq: 5 });
    socket.deliver(Uint8Array.of(2, 0, 0, 0, 6, 1).buffer);
    socket.deliver({ t: "pong", ms: 0, re: socket.find("ping")?.id, seq: 7 });
    await connected;
    expect(log).toEqual(["continued", "tracks", "binary 6"]);
    expect(link.lastSeq).toBe(7);
  });

  it("starts again with a server that has forgotten the session", async () => {
    const first = await attach("nothing");
    first.deliver({ t: "speakers", speakers: [], seq: 300 });
    const request = expect(link.request({ t: "resync" })).rejects.toBeInstanceOf(Superseded);
    first.drop();
    log = [];
    const socket = await attach("seat");
    await request;
    expect(socket.types).toEqual(["hello"]);
    // Numbers begin again, so a small one is not old.
    socket.deliver({ t: "tracks", add: [], del: [], upd: [], seq: 3 });
    expect(log).toEqual(["tracks"]);
  });

  it("acknowledges 16 messages at once, and fewer after five seconds", async () => {
    const socket = await attach("nothing");
    const acks = (): unknown[] =>
      socket.sent.flatMap((message) => ("t" in message && message.t === "ack" ? [message.seq] : []));
    for (let seq = 3; seq <= 17; seq += 1) socket.deliver({ t: "speakers", speakers: [], seq });
    expect(acks()).toEqual([]);
    socket.deliver({ t: "speakers", speakers: [], seq: 18 });
    expect(acks()).toEqual([18]);
    socket.deliver({ t: "speakers", speakers: [], seq: 19 });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(acks()).toEqual([18, 19]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(acks()).toEqual([18, 19]);
  });

  it("replaces an unconfirmed state by a later one of the same object", async () => {
    (await attach("nothing")).drop();
    link.send({ t: "mute", track: 3 }, 2, "track 3");
    link.send({ t: "unmute", track: 3 }, 2, "track 3");
    const socket = await attach("session");
    expect(socket.types.filter((t) => t === "mute" || t === "unmute")).toEqual(["unmute"]);
  });

  it("passes tokens of a pong on", async () => {
    const socket = await attach("nothing");
    socket.deliver({ t: "pong", ms: 1, tokens: { session: "s2", reload: "r2" } });
    expect(log).toContain("tokens r2");
  });

  it("says goodbye only when it leaves", async () => {
    const first = await attach("nothing");
    link.drop();
    expect(first.types).not.toContain("leave");
    const second = await attach("session");
    link.away();
    expect(second.sent.at(-1)).toEqual({ t: "away" });
    const request = expect(link.request({ t: "resync" })).rejects.toMatchObject({ code: "ended" });
    link.leave();
    expect(second.sent.at(-1)).toEqual({ t: "leave" });
    await request;
  });

  it.each([
    [1012, "server-busy"],
    [1006, "server-unreachable"],
    [4403, "removed"],
    [4404, "no-room"],
    [4409, "moved"],
  ])("reports close code %i as %s", async (code, error) => {
    (await attach("nothing")).drop(code);
    expect(log).toEqual([`lost ${error}`]);
  });
});

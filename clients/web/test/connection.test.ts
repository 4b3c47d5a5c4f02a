// A connection against a fake server, worker and browser: how it joins, and how each loss is repaired.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encode } from "../src/base64url.ts";
import { Connection, type ConnectionOptions } from "../src/connection.ts";
import type { ServerMessage } from "../src/protocol/generated.ts";
import { FakePeerConnection, serverTransport } from "./fake-peer-connection.ts";
import { acceptPublish, BO, fakeBrowser, hello, LINK, pass, ROOM, realBrowser, serve, welcome } from "./fake-server.ts";
import { FakeSocket } from "./fake-socket.ts";
import { FakeWorker } from "./fake-worker.ts";

/** Of Bo, as `joined` lists it. */
const MICROPHONE = {
  track: 1,
  participant: 3,
  kind: "audio",
  source: "microphone",
  codec: "opus",
  muted: true,
} as const;
const OPTIONS: ConnectionOptions = { link: LINK, name: "Ada", videoCodec: "vp8" };

let log: string[];
let connection: Connection;
let fetches: number;

beforeEach(async () => {
  await fakeBrowser();
  log = [];
  fetches = 0;
  vi.stubGlobal("fetch", async () => {
    fetches += 1;
    throw new TypeError("Failed to fetch");
  });
});
afterEach(() => {
  connection?.close();
  realBrowser();
});

function open(options: ConnectionOptions = OPTIONS): Promise<Connection> {
  const opening = Connection.open(options, (opened) => {
    connection = opened;
    opened.on("verified", ({ name }) => log.push(`verified ${name}`));
    opened.on("gone", (participant) => log.push(`gone ${participant}`));
    opened.on("presence", ({ participant, presence }) => log.push(`${presence} ${participant}`));
    opened.on("problem", ({ code, minutes }) => log.push(`problem ${code} ${minutes ?? ""}`.trim()));
    opened.on("status", ({ state, cause }) => log.push(`${state} ${cause ?? ""}`.trim()));
    opened.on("ended", ({ code }) => log.push(`ended ${code}`));
  });
  opening.catch(() => {});
  return opening;
}

/** Joins, with Bo verified and the media path connected. */
async function join(options?: ConnectionOptions): Promise<FakeSocket> {
  const opening = open(options);
  await pass();
  const socket = await serve("nothing");
  await opening;
  FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" });
  await pass();
  log = [];
  return socket;
}

/** Loses the socket, and waits until the next one is opened. */
async function lose(socket: FakeSocket, code = 1006): Promise<void> {
  const before = FakeSocket.all.length;
  socket.drop(code);
  await pass(100);
  expect(FakeSocket.all).toHaveLength(before + 1);
}

describe("joining", () => {
  it("shows the guest access but never the secret, and joins with the sealed announce", async () => {
    const socket = await join();
    expect(connection.participant).toBe(7);
    expect(socket.types.slice(0, 3)).toEqual(["hello", "join", "subscribe"]);
    expect(socket.find("hello")).toMatchObject({
      room: ROOM,
      credential: { type: "guest", token: encode(new Uint8Array(32).fill(3)) },
    });
    expect(socket.find("hello")).not.toHaveProperty("resume");
    expect(socket.find("join")).toMatchObject({ announce: encode(new Uint8Array(298).fill(1)) });
    expect(JSON.stringify(socket.sent)).not.toContain(encode(LINK.secret));
    expect(FakeWorker.last.events).toEqual(["Joined 1,2"]);
    expect(connection.muted(3, "microphone")).toBe(true);
    expect(socket.find("transport")).toMatchObject({ ice: { ufrag: "client-server1" } });
  });

  it("rejects with the reason of a refusal", async () => {
    const refused = expect(open()).rejects.toMatchObject({ code: "no-room" });
    await pass();
    const {
      socket,
      hello: { id },
    } = await hello();
    socket.deliver({ t: "error", code: "no_room", detail: "", re: id });
    await refused;
    expect(FakeWorker.last.terminated).toBe(true);
  });

  it("rejects as unreachable if the socket does not open", async () => {
    const refused = expect(open()).rejects.toMatchObject({ code: "server-unreachable" });
    await pass();
    FakeSocket.last.drop();
    await refused;
  });

  it("returns with the token of a page that was loaded again, and as a newcomer if it is refused", async () => {
    const opening = open({ ...OPTIONS, returnToken: "dG9r" });
    await pass();
    const first = await hello();
    expect(first.hello.resume).toEqual({ type: "reload", token: "dG9r" });
    first.socket.deliver({ t: "error", code: "not_resumable", detail: "", re: first.hello.id });
    await pass();
    const socket = await serve("nothing");
    await opening;
    expect(socket.find("hello")).not.toHaveProperty("resume");
  });

  it("says before joining by how much the clock is wrong, and joins if asked to", async () => {
    const skewed = { time: Date.now() - 20 * 60_000 };
    const refused = expect(open()).rejects.toMatchObject({ code: "clock-skew", minutes: 20 });
    await pass();
    const {
      socket,
      hello: { id },
    } = await hello();
    socket.deliver({ ...welcome("nothing", skewed), re: id });
    await refused;
    expect(socket.types).not.toContain("join");

    const opening = open({ ...OPTIONS, ignoreClockSkew: true });
    await pass();
    await serve("nothing", {}, skewed);
    await opening;
    expect(log).toContain("problem clock-skew 20");
  });
});

describe("a hostile server", () => {
  const uri = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

  it("is refused before joining if it asks for a header extension that is not allowed", async () => {
    const refused = expect(open()).rejects.toMatchObject({ code: "server-violation" });
    await pass();
    const { socket, hello: said } = await hello();
    socket.deliver({ ...welcome("nothing", { hdrext: [{ uri, id: 5, kinds: ["video"] }] }), re: said.id });
    await refused;
    expect(socket.types).not.toContain("join");
    expect(FakePeerConnection.all.flatMap(({ offers }) => offers)).toEqual([]);
  });

  it.each([
    ["its transport", { t: "transport", ...serverTransport("other\r\na=injected:1") } as const],
    [
      "a slot",
      {
        t: "slots",
        rev: 1,
        set: [],
        add: [{ mid: "r0\r\na=injected:1", kind: "video", codec: "vp8", ssrc: 1 }],
      } as const,
    ],
  ])("ends the call with %s, of which nothing reaches the browser", async (_, message) => {
    const socket = await join();
    socket.deliver(message as ServerMessage);
    await pass(60_000);
    expect(log.at(-1)).toBe("ended server-violation");
    expect(FakePeerConnection.all.flatMap(({ offers }) => offers).join("")).not.toContain("injected");
    expect(FakeWorker.last.terminated).toBe(true);
  });
});

describe("in the call", () => {
  it("reports only participants that the worker verified, not those of the roster", async () => {
    const socket = await join();
    socket.deliver({ t: "roster", rev: 5, full: false, add: [{ participant: 9, seat: 2 }], del: [] });
    await pass();
    expect(log).toEqual([]);
    FakeWorker.last.act({ kind: "verified", participant: 9, seat: 2, name: "Cy" });
    await pass();
    expect(log).toEqual(["verified Cy"]);
  });

  it("passes departures to the worker, and requests the whole roster after a gap", async () => {
    const socket = await join();
    socket.deliver({ t: "roster", rev: 5, full: false, add: [{ participant: 258, seat: 2 }], del: [3] });
    socket.deliver({ t: "roster", rev: 9, full: false, add: [], del: [] });
    expect(socket.types).toContain("resync");
    socket.deliver({ t: "roster", rev: 10, full: true, add: [], del: [] });
    expect(FakeWorker.last.events.slice(1)).toEqual(["Left 0,0,0,3", "Left 0,0,1,2"]);
  });

  it("reports key batches as accepted only when the server says so", async () => {
    const socket = await join();
    FakeWorker.last.act({ kind: "key-batch", number: 12, body: Uint8Array.of(8, 8) });
    await pass();
    const batch = socket.sent.find((message) => message instanceof Uint8Array) as Uint8Array;
    expect([...batch.subarray(5)]).toEqual([8, 8]);
    expect(FakeWorker.last.events).not.toContain("KeyBatchAccepted 0,0,0,12");
    socket.deliver({ t: "ok", re: batch[4] });
    await pass();
    expect(FakeWorker.last.events).toContain("KeyBatchAccepted 0,0,0,12");
  });

  it("sends a heartbeat each second in which nothing is sealed, driven by the worker alone", async () => {
    const socket = await join();
    const heartbeats = (): number => socket.types.filter((t) => t === "heartbeat").length;
    const beat = async (pulses: number, sealed: boolean): Promise<void> => {
      for (let i = 0; i < pulses; i += 1) {
        await pass(500);
        FakeWorker.last.post({ t: "pulse", sealed, opened: [] });
        await pass();
      }
    };
    await beat(20, false);
    expect(heartbeats()).toBe(10);
    await beat(20, true);
    expect(heartbeats()).toBe(10);
    // A page that is frozen, or a dead worker: no pulse, no heartbeat.
    await pass(60_000);
    expect(heartbeats()).toBe(10);
  });
});

describe("a lost socket", () => {
  it("is resumed with a proof: no worker, code, peer connection or key changes", async () => {
    const first = await join();
    const before = fetches;
    await lose(first);
    const { hello: said } = await hello();
    expect(said.resume).toEqual({
      type: "session",
      token: encode(Uint8Array.of(1)),
      last_seq: 4,
      proof: encode(new Uint8Array(64).fill(6)),
    });
    const statement = FakeWorker.last.received.find((message) => message.t === "prove");
    expect(statement).toMatchObject({
      statement: { origin: "https://calls.example", participant: 7, session: new Uint8Array(16).fill(7) },
    });
    FakeSocket.last.deliver({ ...welcome("session"), re: said.id });
    await pass();
    FakeSocket.last.deliver({ t: "pong", ms: 0, re: FakeSocket.last.find("ping")?.id, seq: 5 });
    await pass();
    expect(FakeWorker.last.events).toEqual(["Joined 1,2", "Detached", "Attached 0"]);
    expect([FakeWorker.all.length, FakePeerConnection.all.length, fetches - before]).toEqual([1, 1, 0]);
    expect(FakeSocket.last.types).not.toContain("join");
    expect(log).toEqual(["interrupted network", "interrupted network", "connected"]);
    expect(first.types).not.toContain("leave");
  });

  it("keeps everyone, shown as away after two seconds, and tries on without an end", async () => {
    const socket = await join();
    socket.drop();
    for (let second = 0; second < 600; second += 1) {
      await pass(500);
      FakeWorker.last.post({ t: "pulse", sealed: false, opened: [] });
      await pass(500);
      if (FakeSocket.last.readyState === FakeSocket.CONNECTING) FakeSocket.last.drop();
    }
    expect(log).toContain("away 3");
    expect(log.filter((entry) => entry.startsWith("gone"))).toEqual([]);
    expect(log.filter((entry) => entry.startsWith("ended"))).toEqual([]);
    expect(FakeSocket.all.length).toBeGreaterThan(80);
    log = [];
    await pass();
    connection.tryNow();
    await pass();
    await serve("session");
    expect(log).toContain("present 3");
    expect(log.at(-1)).toBe("connected");
  });

  it("comes back although nothing can be fetched", async () => {
    const socket = await join();
    await lose(socket, 1012);
    await serve("participant", { roster: [BO] });
    expect(connection.status.state).toBe("connected");
    FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" });
    await pass(60_000);
    expect(log.filter((entry) => /gone|ended/.test(entry))).toEqual([]);
  });

  it("joins again with the same keys on a server that forgot the rest", async () => {
    const first = await join();
    FakeWorker.last.act({ kind: "key-batch", number: 1, body: Uint8Array.of(8, 8) });
    await pass();
    await lose(first, 1012);
    expect(log[0]).toBe("interrupted server");
    const socket = await serve("seat", { roster: [], gathering: true });
    expect(socket.find("join")).toMatchObject({ announce: encode(new Uint8Array(298).fill(2)), expects: [BO] });
    expect(socket.types).toContain("subscribe");
    expect(FakeWorker.all).toHaveLength(1);
    expect(FakePeerConnection.all.map(({ closed }) => closed)).toEqual([true, false]);
    expect(socket.find("transport")).toMatchObject({ ice: { ufrag: "client-server2" } });
    // Keys that were not accepted go out again, after the seat.
    const batch = socket.sent.findIndex((message) => message instanceof Uint8Array);
    expect(batch).toBeGreaterThan(socket.types.indexOf("join"));
    expect(FakeWorker.last.events).toEqual(["Joined 1,2", "Detached", "Attached 1", "Joined 1,2"]);
    socket.deliver({ t: "roster", rev: 5, full: true, add: [BO], del: [] });
    await pass(60_000);
    expect(log.filter((entry) => /gone|left/.test(entry))).toEqual([]);
    expect(FakeWorker.last.events.filter((event) => event.startsWith("Left"))).toEqual([]);
  });

  it("joins with new keys, and the same id, after the hold is over", async () => {
    await lose(await join());
    const socket = await serve("participant");
    expect(socket.find("hello")).toMatchObject({ resume: { type: "session" } });
    expect(FakeWorker.all.map(({ terminated }) => terminated)).toEqual([true, false]);
    expect(FakeWorker.last.events).toEqual(["Joined 1,2"]);
    FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" });
    await pass(60_000);
    expect(log.filter((entry) => entry.startsWith("gone"))).toEqual([]);
  });

  it("enters as a newcomer if nothing can be continued", async () => {
    await lose(await join());
    const { socket, hello: said } = await hello();
    socket.deliver({ t: "error", code: "not_resumable", detail: "", re: said.id });
    socket.drop(4410);
    await pass(1);
    const second = await serve("nothing", {}, { participant: 12 });
    expect(second.find("hello")).not.toHaveProperty("resume");
    expect(connection.participant).toBe(12);
    expect(FakeWorker.all).toHaveLength(2);
  });

  it("waits while its own dead connection fills the room", async () => {
    await lose(await join());
    const { socket, hello: said } = await hello();
    socket.deliver({ t: "error", code: "room_full", detail: "", re: said.id });
    await pass(2_000);
    expect(FakeSocket.all).toHaveLength(3);
    await serve("session");
    expect(log.at(-1)).toBe("connected");
  });

  it("ends with the server's word that the room is gone", async () => {
    await lose(await join());
    const { socket, hello: said } = await hello();
    socket.deliver({ t: "error", code: "no_room", detail: "", re: said.id });
    await pass(60_000);
    expect(log.at(-1)).toBe("ended no-room");
    expect(FakeSocket.all).toHaveLength(2);
    expect(FakeWorker.last.terminated).toBe(true);
  });

  it("ends when the call goes on in another tab", async () => {
    (await join()).drop(4409);
    await pass(60_000);
    expect(log.at(-1)).toBe("ended moved");
  });

  it("does not try more often when each attempt is lost at once", async () => {
    await lose(await join());
    for (let i = 0; i < 30; i += 1) {
      if (FakeSocket.last.readyState === FakeSocket.CONNECTING) (await serve("session")).drop();
      await pass(1_000);
    }
    expect(FakeSocket.all.length).toBeLessThan(30);
  });
});

describe("void keys", () => {
  it("of a worker that crashed: the place is taken again by the one-use token, and no code is fetched", async () => {
    await join();
    const before = fetches;
    FakeWorker.last.onerror?.();
    await pass(100);
    expect(log).toEqual(["problem encryption-stopped", "reconnecting encryption", "reconnecting encryption"]);
    const socket = await serve("participant");
    expect(socket.find("hello")).toMatchObject({ resume: { type: "reload", token: encode(Uint8Array.of(2)) } });
    expect([FakeWorker.all.length, fetches - before]).toEqual([2, 0]);
    expect(connection.status.state).toBe("connected");
  });

  it("of a worker that ended without a word: noticed at once, reported, and replaced", async () => {
    await join();
    const dead = FakeWorker.last;
    dead.terminate();
    await pass(100);
    expect(log).toEqual(["problem encryption-stopped", "reconnecting encryption", "reconnecting encryption"]);
    expect(FakePeerConnection.last.closed).toBe(true);
    await serve("participant");
    expect(connection.status.state).toBe("connected");
    expect(FakeWorker.all).toHaveLength(2);
    await pass(60_000);
    expect(log.filter((entry) => entry.startsWith("problem"))).toHaveLength(1);
  });

  it("of a worker that no other can replace yet: the place is held, and nothing is said that would end it", async () => {
    await join();
    const sockets = FakeSocket.all.length;
    vi.stubGlobal(
      "Worker",
      class {
        constructor() {
          throw new Error("no worker for now");
        }
      },
    );
    FakeWorker.last.terminate();
    await pass(5_000);
    expect(FakeSocket.all).toHaveLength(sockets);
    expect(log.slice(0, 2)).toEqual(["problem encryption-stopped", "reconnecting encryption"]);
    vi.stubGlobal("Worker", FakeWorker);
    connection.tryNow();
    await pass(100);
    const socket = await serve("participant");
    expect(socket.find("hello")).toMatchObject({ resume: { type: "reload", token: encode(Uint8Array.of(2)) } });
    expect(connection.status.state).toBe("connected");
  });

  it("of a worker that hangs: it is ended, so that it cannot go on with keys that were given up", async () => {
    await join();
    const hung = FakeWorker.last;
    hung.hangs = true;
    await pass(9_000);
    expect(log).toEqual([]);
    await pass(1_100);
    expect(log.slice(0, 2)).toEqual(["problem encryption-stopped", "reconnecting encryption"]);
    expect(hung.terminated).toBe(true);
  });

  it("are not suspected while the worker is busy, or frozen together with the page", async () => {
    await join();
    for (let burst = 0; burst < 5; burst += 1) {
      FakeWorker.last.hangs = true;
      await pass(8_000);
      FakeWorker.last.hangs = false;
      await pass(1_000);
    }
    // A page that was frozen: its clock went on, and none of its timers ran.
    FakeWorker.last.hangs = true;
    await pass(8_000);
    vi.setSystemTime(Date.now() + 3_600_000);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + 3_600_000);
    await pass(8_000);
    FakeWorker.last.hangs = false;
    await pass(10_000);
    expect(log.filter((entry) => /encryption|problem/.test(entry))).toEqual([]);
  });

  it("leave no one waiting for the counters of a dead worker", async () => {
    await join();
    FakeWorker.last.hangs = true;
    const [counters, watched] = [connection.counters(), connection.watch()];
    await pass(2_000);
    expect(await counters).toEqual([]);
    await watched;
  });

  it("of a device that slept: it proves itself with the old keys, and takes the place again", async () => {
    // The socket seems to live, and has been dead for an hour: the one-use token has expired, and a proof has not.
    await join();
    FakeWorker.last.act({ kind: "ended" });
    await pass(100);
    expect(log.at(-1)).toBe("reconnecting device-slept");
    const socket = await serve("participant");
    expect(socket.find("hello")).toMatchObject({ resume: { type: "session" } });
    expect(connection.status).toMatchObject({ state: "connected", cause: null });
    expect(connection.participant).toBe(7);
  });

  it("are not used in a place that the server still holds: it is let go of, and taken again", async () => {
    (await join()).drop();
    await pass(10);
    FakeWorker.last.act({ kind: "ended" });
    await pass(200);
    const { socket, hello: said } = await hello();
    socket.deliver({ ...welcome("session", { tokens: { session: "AQ", reload: "BQ" } }), re: said.id });
    await pass();
    socket.deliver({ t: "pong", ms: 0, re: socket.find("ping")?.id, seq: 0 });
    await pass(1);
    expect(socket.types.at(-1)).toBe("away");
    const again = await serve("participant");
    expect(again.find("hello")).toMatchObject({ resume: { type: "reload", token: "BQ" } });
    expect(connection.status.state).toBe("connected");
  });
});

describe("the media path", () => {
  /** A slot in which Bo's microphone arrives. */
  async function hear(socket: FakeSocket): Promise<void> {
    const slot = { mid: "a0", kind: "audio", codec: "opus", ssrc: 5 } as const;
    const track = {
      track: 1,
      participant: 3,
      kind: "audio",
      source: "microphone",
      codec: "opus",
      muted: false,
    } as const;
    socket.deliver({ t: "tracks", add: [], del: [], upd: [track] });
    socket.deliver({ t: "slots", rev: 1, add: [slot], set: [{ mid: "a0", source: { track: 1, participant: 3 } }] });
    await pass();
    FakeWorker.last.post({ t: "authenticated", id: "0.a0", origin: { participant: 3, stream: 0 } });
    await pass();
    expect(connection.shown()).toHaveLength(1);
  }

  async function pulses(count: number, opened: string[]): Promise<void> {
    for (let i = 0; i < count; i += 1) {
      await pass(500);
      FakeWorker.last.post({ t: "pulse", sealed: true, opened });
      await pass();
    }
  }

  it("restarts ICE after a second of silence, with new credentials on the same peer connection", async () => {
    const socket = await join();
    await hear(socket);
    await pulses(4, ["0.a0"]);
    expect(socket.types).not.toContain("ice.restart");
    await pulses(3, []);
    const request = socket.find("ice.restart");
    socket.deliver({ t: "transport", ...serverTransport("restarted"), re: request?.id });
    await pass();
    const transports = socket.sent.filter((message) => "t" in message && message.t === "transport");
    expect(transports.at(-1)).toMatchObject({ ice: { ufrag: "client-restarted" } });
    expect(FakePeerConnection.all).toHaveLength(1);
    expect(connection.media.state).toBe("interrupted");
    await pulses(1, ["0.a0"]);
    expect(connection.media.state).toBe("connected");
  });

  it("does not restart ICE while feedback of the server arrives, or no one sends", async () => {
    const socket = await join();
    await hear(socket);
    await pulses(4, ["0.a0"]);
    for (let i = 0; i < 20; i += 1) {
      FakePeerConnection.last.bytesReceived += 60;
      await pulses(1, []);
    }
    socket.deliver({ t: "tracks", add: [], del: [], upd: [MICROPHONE] });
    await pulses(60, []);
    expect(socket.types).not.toContain("ice.restart");
  });

  it("lives on while signaling is away, and keeps those present who are heard", async () => {
    const socket = await join();
    await hear(socket);
    socket.drop();
    await pulses(12, ["0.a0"]);
    expect(log.filter((entry) => entry.startsWith("away"))).toEqual([]);
    expect(connection.status.state).toBe("interrupted");
    expect(FakePeerConnection.last.closed).toBe(false);
    await pulses(6, []);
    expect(log).toContain("away 3");
    expect(connection.status.state).toBe("reconnecting");
  });

  it("is replaced, with the same session, when the server sets up another transport", async () => {
    const socket = await join();
    await hear(socket);
    socket.deliver({ t: "transport.state", state: "failed" });
    socket.deliver({ t: "transport", ...serverTransport("another") });
    await pass();
    expect(FakePeerConnection.all.map(({ closed }) => closed)).toEqual([true, false]);
    expect(FakeWorker.all).toHaveLength(1);
    expect(socket.sent.filter((message) => "t" in message && message.t === "transport").at(-1)).toMatchObject({
      ice: { ufrag: "client-another" },
    });
    // Frames of the path before are no one's any more.
    FakeWorker.last.post({ t: "authenticated", id: "0.a0", origin: { participant: 3, stream: 0 } });
    await pass();
    expect(connection.shown()).toEqual([]);
  });
});

describe("local media", () => {
  const media = { id: "m", contentHint: "", getSettings: () => ({}) } as unknown as MediaStreamTrack;

  it("is sent again, on another peer connection, after each kind of repair", async () => {
    const socket = await join();
    const published = connection.media.send("microphone", media);
    expect(await acceptPublish(socket, 40)).toMatchObject({ source: "microphone", mid: "sa" });
    await published;
    expect(FakePeerConnection.last.sending("sa")).toBe(media);

    socket.deliver({ t: "transport", ...serverTransport("another") });
    await pass();
    await acceptPublish(socket, 41);
    expect(FakePeerConnection.last.sending("sa")).toBe(media);

    await lose(socket, 1012);
    const second = await serve("seat", { roster: [BO] });
    await acceptPublish(second, 42);
    expect(FakePeerConnection.last.sending("sa")).toBe(media);

    FakeWorker.last.onerror?.();
    await pass(1_000);
    const third = await serve("participant", { roster: [BO] });
    await acceptPublish(third, 43);
    expect(FakePeerConnection.last.sending("sa")).toBe(media);
    expect(FakePeerConnection.all.map(({ closed }) => closed)).toEqual([true, true, true, false]);
  });

  it("goes on while signaling is away, and is not published twice by a resume", async () => {
    const socket = await join();
    const published = connection.media.send("microphone", media);
    await acceptPublish(socket, 40);
    await published;
    await lose(socket);
    expect(FakePeerConnection.last.sending("sa")).toBe(media);
    const second = await serve("session");
    expect(second.types).not.toContain("publish");
  });

  it("that is published while the connection is lost is sent once it is repaired", async () => {
    const socket = await join();
    socket.drop();
    const published = connection.media.send("camera", media);
    await pass(100);
    const second = await serve("seat", { roster: [BO] });
    await acceptPublish(second, 44);
    await published;
    expect(FakePeerConnection.last.sending("sv")).toBe(media);
  });

  it("stays muted through a repair", async () => {
    const socket = await join();
    const published = connection.media.send("microphone", media);
    await acceptPublish(socket, 40);
    await published;
    await connection.media.send("microphone", null);
    expect(FakePeerConnection.last.sending("sa")).toBe(null);
    await lose(socket, 1012);
    const second = await serve("seat", { roster: [BO] });
    await pass(10_000);
    expect(second.types).not.toContain("publish");
    expect(FakePeerConnection.last.sending("sa")).toBe(null);
  });

  it("is muted at once while the keys are void, although there is no path to do it on", async () => {
    const socket = await join();
    const published = connection.media.send("microphone", media);
    await acceptPublish(socket, 40);
    await published;
    FakeWorker.last.onerror?.();
    await pass();
    await connection.media.send("microphone", null);
    expect(FakePeerConnection.last.closed).toBe(true);
  });

  it("is reported as ended if the server refuses it on a new path", async () => {
    const ends: string[] = [];
    const socket = await join();
    connection.on("sourceEnded", ({ source, error }) => ends.push(`${source} ${error.code}`));
    const published = connection.media.send("microphone", media);
    await acceptPublish(socket, 40);
    await published;
    socket.deliver({ t: "transport", ...serverTransport("another") });
    await pass();
    const publish = socket.sent.findLast((message) => "t" in message && message.t === "publish");
    socket.deliver({ t: "error", code: "limit_tracks", detail: "", re: (publish as Record<string, unknown>).id });
    await pass();
    expect(ends).toEqual(["microphone protocol"]);
  });
});

describe("layers", () => {
  const camera = { track: 5, participant: 3, kind: "video", source: "camera", codec: "vp8", muted: false } as const;
  const tiles = (socket: FakeSocket): unknown[] =>
    socket.sent.flatMap((message) => ("t" in message && message.t === "layers" ? [message.tiles] : []));

  it("are asked for once something is viewed, and again from a server that has forgotten it", async () => {
    const socket = await join();
    await pass(1_000);
    expect(tiles(socket)).toEqual([]);
    connection.views.open({ participant: 3, source: "camera", shown: 360 });
    await pass(250);
    // There is no such track yet.
    expect(tiles(socket)).toEqual([[]]);
    socket.deliver({ t: "tracks", add: [camera], del: [], upd: [] });
    await pass(250);
    expect(tiles(socket).at(-1)).toEqual([{ track: 5, height: 360 }]);

    await lose(socket, 1012);
    const second = await serve("seat", { roster: [BO], tracks: [{ ...camera, track: 6 }] });
    await pass(250);
    // Nothing first, since ids of before mean nothing; and ahead of the subscription.
    expect(tiles(second)).toEqual([[], [{ track: 6, height: 360 }]]);
    expect(second.types.indexOf("layers")).toBeLessThan(second.types.indexOf("subscribe"));
  });

  it("are asked for before anything is received, in an application that views what it shows", async () => {
    const socket = await join({ ...OPTIONS, viewedOnly: true });
    expect(tiles(socket)).toEqual([[]]);
    expect(socket.types.indexOf("layers")).toBeLessThan(socket.types.indexOf("subscribe"));
  });

  it("come with what the path carries, in a client that asks for it", async () => {
    const socket = await join({ ...OPTIONS, viewedOnly: true });
    const sent = (): unknown[] =>
      socket.sent.flatMap((message) => ("t" in message && message.t === "layers" ? [message.downlink] : []));
    const heard: unknown[] = [];
    connection.on("downlink", ({ kbps, cause }) => heard.push(kbps, cause));
    connection.views.diagnoses = true;
    await pass(1_000);
    socket.deliver({ t: "downlink", kbps: 900, wanted_kbps: 1800, queue_ms: 3, cause: "no_feedback" });
    expect(sent()).toEqual([undefined, true]);
    expect(heard).toEqual([900, "no_feedback"]);
  });

  it("that arrive are known by track, and a paused one is not missed", async () => {
    const socket = await join();
    socket.deliver({ t: "tracks", add: [camera], del: [], upd: [] });
    const slot = { mid: "v0", kind: "video", codec: "vp8", ssrc: 9, rtx: 10 } as const;
    socket.deliver({ t: "slots", rev: 1, add: [slot], set: [{ mid: "v0", source: { track: 5, participant: 3 } }] });
    await pass();
    FakeWorker.last.post({ t: "authenticated", id: "0.v0", origin: { participant: 3, stream: 1 } });
    await pass();
    const changes: unknown[] = [];
    connection.on("layer", (track) => changes.push(connection.layer(track)));
    socket.deliver({ t: "layer", slots: [{ mid: "v0", height: 360, temporal: 2, reason: "wish" }] });
    socket.deliver({ t: "layer", slots: [{ mid: "v0", reason: "bandwidth" }] });
    expect(changes).toMatchObject([{ paused: false, height: 360 }, { paused: true }]);
    const beat = async (opened: string[]): Promise<void> => {
      FakeWorker.last.post({ t: "pulse", sealed: true, opened });
      await pass(500);
    };
    await beat(["0.v0"]);
    for (let pulse = 0; pulse < 8; pulse += 1) await beat([]);
    expect(connection.media.state).toBe("connected");
    socket.deliver({ t: "layer", slots: [{ mid: "v0", height: 180, reason: "wish" }] });
    for (let pulse = 0; pulse < 8; pulse += 1) await beat([]);
    expect(connection.media.state).toBe("interrupted");
  });

  it("that no one receives are not sent", async () => {
    const socket = await join();
    const video = { id: "v", contentHint: "", getSettings: () => ({}) } as unknown as MediaStreamTrack;
    const published = connection.media.send("camera", video);
    expect(await acceptPublish(socket, 40)).toMatchObject({ encodings: [{ rid: "q" }, { rid: "h" }, { rid: "f" }] });
    await published;
    const rids = (): unknown[] => FakePeerConnection.last.encodings("sv").map(({ rid }) => rid);
    expect(rids()).toEqual(["q", "h", "f"]);
    socket.deliver({ t: "want", tracks: [{ track: 40, active: [true, false, false], height: 180 }] });
    await pass();
    expect(rids()).toEqual(["q"]);
    // Another path has another sender, of which everything is wanted at first.
    socket.deliver({ t: "transport", ...serverTransport("another") });
    await pass();
    await acceptPublish(socket, 41);
    expect(rids()).toEqual(["q", "h", "f"]);
  });
});

describe("slots of speakers", () => {
  it("are silent without being missed, under the name that the frames prove", async () => {
    const socket = await join();
    const slot = { mid: "a0", kind: "audio", codec: "opus", ssrc: 9 } as const;
    socket.deliver({ t: "tracks", add: [], del: [], upd: [{ ...MICROPHONE, muted: false }] });
    socket.deliver({ t: "slots", rev: 1, add: [slot], set: [{ mid: "a0", source: { speaker: 0 } }] });
    await pass();
    expect(FakePeerConnection.last.offers.at(-1)).not.toContain("a=msid");
    FakeWorker.last.post({ t: "authenticated", id: "0.a0", origin: { participant: 3, stream: 0 } });
    await pass();
    expect(connection.shown()).toMatchObject([{ participant: 3, source: "microphone", speaker: true }]);
    for (let pulse = 0; pulse < 8; pulse += 1) {
      FakeWorker.last.post({ t: "pulse", sealed: true, opened: pulse === 0 ? ["0.a0"] : [] });
      await pass(500);
    }
    expect(connection.media.state).toBe("connected");
  });
});

describe("going away", () => {
  it("says away on pagehide and goodbye only on leaving", async () => {
    const socket = await join();
    connection.away();
    expect(socket.types.at(-1)).toBe("away");
    expect(connection.returnToken).toBe(encode(Uint8Array.of(2)));
    socket.deliver({ t: "pong", ms: 1, tokens: { session: "AQ", reload: "Ag" } });
    expect(connection.returnToken).toBe("Ag");
    connection.leave();
    expect(socket.types.at(-1)).toBe("leave");
    expect(FakeWorker.last.terminated).toBe(true);
  });

  it("says goodbye over one more connection if there is none, and erases the keys then", async () => {
    (await join()).drop();
    connection.leave();
    const socket = await serve("session");
    expect(socket.types.at(-1)).toBe("leave");
    expect(FakeWorker.last.terminated).toBe(true);
    expect(FakePeerConnection.last.closed).toBe(true);
  });

  it("erases the keys within seconds if the server cannot be reached for a goodbye", async () => {
    (await join()).drop();
    connection.leave();
    await pass(3_000);
    expect(FakeWorker.last.terminated).toBe(true);
    const sockets = FakeSocket.all.length;
    await pass(60_000);
    expect(FakeSocket.all).toHaveLength(sockets);
    expect(log).toEqual(["interrupted network"]);
  });
});

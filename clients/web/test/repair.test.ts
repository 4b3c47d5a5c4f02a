// An hour of faults in virtual time: a server that comes and goes, forgets and holds; sockets that are cut or go silent;
// workers that crash and devices that sleep. Whatever happens, the call goes on, and is whole again soon after it ends.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encode } from "../src/base64url.ts";
import { Connection } from "../src/connection.ts";
import type { Continues, Tokens } from "../src/protocol/generated.ts";
import { FakePeerConnection, serverTransport } from "./fake-peer-connection.ts";
import { BO, fakeBrowser, joined, LINK, pass, realBrowser, welcome } from "./fake-server.ts";
import { FakeSocket, type Sent } from "./fake-socket.ts";
import { FakeWorker } from "./fake-worker.ts";
import { type Seeded, seeded } from "./random.ts";

const STEP_MS = 50;
const HOLD_MS = 30_000;
const NONCE = encode(new Uint8Array(32).fill(9));

/** How the network between client and server is. */
type Network = "good" | "refusing" | "silent";

/** One participant's place in the call. */
interface Place {
  readonly participant: number;
  session: number;
  /** Whether its member is held, and not only its id known. */
  held: boolean;
  /** When it was last heard of. */
  seen: number;
  joined: boolean;
}

/** A server with one client, and the rules by which it continues a session. */
class Server {
  network: Network = "good";
  /** Until when a server that restarted grants seats again. */
  gatheringUntil = 0;
  readonly participants = new Set<number>();
  readonly granted: Continues[] = [];
  #place: Place | null = null;
  #sockets = new Map<FakeSocket, number>();
  #sessions = 0;
  #participants = 100;
  #now = 0;

  /** Forgets everything but what tokens say. */
  restart(): void {
    for (const socket of FakeSocket.all) if (socket.readyState === FakeSocket.OPEN) socket.drop(1012);
    this.gatheringUntil = this.#now + HOLD_MS;
    if (this.#place !== null) this.#place = { ...this.#place, held: false };
  }

  cut(): void {
    for (const socket of FakeSocket.all) if (socket.readyState === FakeSocket.OPEN) socket.drop();
  }

  step(now: number): void {
    this.#now = now;
    if (this.#place?.held === true && now - this.#place.seen > HOLD_MS) this.#place.held = false;
    const socket = FakeSocket.all.at(-1);
    if (socket === undefined || this.network === "silent") return;
    if (socket.readyState === FakeSocket.CONNECTING) {
      if (this.network === "refusing") socket.drop();
      else {
        socket.open();
        socket.deliver({ t: "challenge", protocol: "tacet/1", features: [], nonce: NONCE });
      }
    }
    if (socket.readyState !== FakeSocket.OPEN) return;
    for (let index = this.#sockets.get(socket) ?? 0; index < socket.sent.length; index += 1) {
      this.#sockets.set(socket, index + 1);
      const message = socket.sent[index];
      if (message !== undefined && socket.readyState === FakeSocket.OPEN) this.#answer(socket, message);
    }
  }

  #answer(socket: FakeSocket, message: Sent): void {
    if (this.#place !== null) this.#place.seen = this.#now;
    if (message instanceof Uint8Array) {
      socket.deliver({ t: "ok", re: message[4] });
      return;
    }
    switch (message.t) {
      case "hello":
        this.#hello(socket, message);
        break;
      case "join":
        if (this.#place !== null) this.#place = { ...this.#place, held: true, joined: true };
        socket.deliver({ ...joined({ roster: [BO], tokens: this.#tokens() }), re: message.id });
        socket.deliver({ t: "transport", ...serverTransport(`session${this.#sessions}`) });
        // Announces are later messages.
        setTimeout(() => FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" }), 1);
        break;
      case "ping":
        socket.deliver({
          t: "pong",
          ms: 0,
          seq: 0,
          re: message.id,
          ...(this.#place?.joined ? { tokens: this.#tokens() } : {}),
        });
        break;
      case "ice.restart":
        socket.deliver({ t: "transport", ...serverTransport(`restart${this.#now}`), re: message.id });
        break;
      case "ack":
      case "heartbeat":
      case "away":
        break;
      default:
        socket.deliver({ t: "ok", re: message.id });
    }
  }

  #hello(socket: FakeSocket, { id, resume }: Record<string, unknown>): void {
    const shown = resume as { type: string; token: string } | undefined;
    const continues = this.#continues(shown);
    if (continues === null) {
      socket.deliver({ t: "error", code: "not_resumable", detail: "", seq: 0, re: id });
      return;
    }
    this.granted.push(continues);
    if (continues === "nothing" || continues === "participant") {
      this.#sessions += 1;
      if (continues === "nothing") this.#participants += 1;
      const participant = continues === "nothing" ? this.#participants : (this.#place?.participant ?? 0);
      this.#place = { participant, session: this.#sessions, held: false, seen: this.#now, joined: false };
    }
    const { participant = 0 } = this.#place ?? {};
    this.participants.add(participant);
    const tokens = continues === "session" ? { tokens: this.#tokens() } : {};
    socket.deliver({ ...welcome(continues, { participant, ...tokens }), seq: 0, re: id });
  }

  #continues(shown: { type: string; token: string } | undefined): Continues | null {
    if (shown === undefined) return "nothing";
    const place = this.#place;
    // A place that was entered and not joined is given again to its session of before.
    const sessions = place?.joined === false ? [place.session, place.session - 1] : [place?.session];
    if (place === null || !sessions.some((session) => shown.token === token(shown.type, session ?? 0))) return null;
    if (shown.type === "reload") return this.#now - place.seen <= HOLD_MS ? "participant" : null;
    if (place.held) return "session";
    return this.#now < this.gatheringUntil && place.joined ? "seat" : "participant";
  }

  #tokens(): Tokens {
    const { session = 0 } = this.#place ?? {};
    return { session: token("session", session), reload: token("reload", session) };
  }
}

function token(type: string, session: number): string {
  return encode(Uint8Array.of(type === "reload" ? 1 : 0, session >> 8, session & 255));
}

let server: Server;
let connection: Connection;
let log: string[];
let now: number;

beforeEach(async () => {
  await fakeBrowser();
  server = new Server();
  log = [];
  now = 0;
});
afterEach(() => {
  connection?.close();
  realBrowser();
});

/** Lets time pass for server, worker and browser. A frozen page has no pulse. */
async function run(milliseconds: number, frozen = false): Promise<void> {
  for (const end = now + milliseconds; now < end; ) {
    now += STEP_MS;
    server.step(now);
    const peer = FakePeerConnection.all.at(-1);
    if (peer !== undefined && !peer.closed && peer.offers.length > 0 && server.network === "good") {
      if (peer.connectionState !== "connected") peer.become("connected");
    }
    const worker = FakeWorker.all.findLast((one) => one.received.some(({ t }) => t === "start"));
    if (now % 500 === 0 && !frozen) worker?.post({ t: "pulse", sealed: false, opened: [] });
    await pass(STEP_MS);
  }
}

async function join(): Promise<void> {
  const opening = Connection.open({ link: LINK, name: "Ada", videoCodec: "vp8" }, (opened) => {
    connection = opened;
    opened.on("ended", ({ code }) => log.push(`ended ${code}`));
    opened.on("gone", (participant) => log.push(`gone ${participant}`));
  });
  await run(500);
  await opening;
}

/** Faults, each for some time. */
const FAULTS: Record<string, (random: Seeded) => Promise<void>> = {
  "socket cut": async () => server.cut(),
  "network refuses": async (random) => {
    server.cut();
    server.network = "refusing";
    await run(1_000 * (1 + random.below(60)));
  },
  "network silent": async (random) => {
    server.network = "silent";
    await run(1_000 * (1 + random.below(60)));
  },
  "server restarts": async (random) => {
    server.restart();
    server.network = "refusing";
    await run(100 * random.below(50));
    server.restart();
  },
  "worker crashes": async () => FakeWorker.last.onerror?.(),
  "device sleeps": async () => FakeWorker.last.act({ kind: "ended" }),
  "page freezes": async (random) => run(1_000 * (1 + random.below(60)), true),
};

describe("an hour of faults", () => {
  it("never ends the call, and leaves it whole", async () => {
    const random = seeded();
    await join();
    const names = Object.keys(FAULTS);
    const restored: number[] = [];
    while (now < 3_600_000) {
      const name = random.pick(names);
      log.push(name);
      await FAULTS[name]?.(random);
      // Sometimes the next fault comes before the last one is repaired.
      if (random.below(4) === 0) continue;
      server.network = "good";
      const since = now;
      while (connection.status.state !== "connected" && now - since < 30_000) await run(250);
      expect(connection.status, log.slice(-4).join(", ")).toMatchObject({ state: "connected" });
      restored.push(now - since);
      await run(1_000 * random.below(40));
    }
    server.network = "good";
    await run(30_000);
    expect(connection.status.state).toBe("connected");
    expect(log.filter((entry) => /ended|gone/.test(entry))).toEqual([]);
    expect(restored.length).toBeGreaterThan(20);
    // Each kind of continuation has happened.
    expect(new Set(server.granted)).toEqual(new Set(["nothing", "session", "seat", "participant"]));
    expect(server.participants.has(connection.participant ?? 0)).toBe(true);
    const open = FakeSocket.all.filter(({ readyState }) => readyState === FakeSocket.OPEN);
    expect(open).toHaveLength(1);
    expect(FakeWorker.all.filter(({ terminated }) => !terminated)).toHaveLength(1);
    expect(FakePeerConnection.all.filter(({ closed }) => !closed)).toHaveLength(1);
    restored.sort((a, b) => a - b);
    expect(restored[Math.floor(restored.length / 2)]).toBeLessThan(3_000);
  });
});

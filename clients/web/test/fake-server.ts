// A scripted server and the browser's interfaces, for tests of connections and calls in virtual time.

import { vi } from "vitest";
import { encode } from "../src/base64url.ts";
import { preload } from "../src/crypto-code.ts";
import { roomLink } from "../src/link.ts";
import type { Continues, Joined, ServerMessage, Welcome } from "../src/protocol/generated.ts";
import { FakeLocks } from "./fake-locks.ts";
import { FakePeerConnection, serverTransport } from "./fake-peer-connection.ts";
import { FakeSocket } from "./fake-socket.ts";
import { FakeTransform, FakeWorker } from "./fake-worker.ts";

export const ROOM = encode(new Uint8Array(16).fill(1));
export const LINK = roomLink({
  server: "https://calls.example",
  room: ROOM,
  secret: encode(new Uint8Array(32).fill(2)),
});
const NONCE = encode(new Uint8Array(32).fill(9));
const CALL = encode(new Uint8Array(16).fill(8));
const SESSION = encode(new Uint8Array(16).fill(7));
/** What a client continues its session with, once it has joined. */
const TOKENS = { session: encode(Uint8Array.of(1)), reload: encode(Uint8Array.of(2)) };
const WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** Replaces the browser's interfaces, and time. To be awaited before each test. */
export async function fakeBrowser(): Promise<void> {
  FakeSocket.all = [];
  FakeWorker.all = [];
  FakePeerConnection.all = [];
  vi.stubGlobal("navigator", { onLine: true, locks: new FakeLocks() });
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("RTCPeerConnection", FakePeerConnection);
  vi.stubGlobal("RTCRtpScriptTransform", FakeTransform);
  vi.stubGlobal("fetch", async () => new Response(WASM));
  // The compiler of the browser does not run in virtual time.
  await preload();
  vi.useFakeTimers({ now: Date.UTC(2026, 10, 29) });
  vi.spyOn(Math, "random").mockReturnValue(0.5);
}

/** Restores what `fakeBrowser` replaced. */
export function realBrowser(): void {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
}

/** Lets virtual time pass. */
export const pass = (milliseconds = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(milliseconds);

/** Returns the answer to `hello`. */
export function welcome(continues: Continues, more: Partial<Welcome> = {}): ServerMessage {
  return {
    t: "welcome",
    participant: 7,
    call: CALL,
    time: Date.now(),
    limits: { rate: 30, bytes: 16_384 },
    codecs: [
      { codec: "opus", pt: 111, clock: 48_000, fmtp: "" },
      { codec: "vp8", pt: 96, rtx: 97, clock: 90_000, fmtp: "" },
    ],
    hdrext: [],
    features: [],
    session: SESSION,
    continues,
    role: "speaker",
    capabilities: ["subscribe", "chat", "publish_microphone", "publish_camera", "publish_screen"],
    // Those of a client that has not joined are of no use yet.
    tokens: continues === "session" ? TOKENS : { session: "", reload: "" },
    ...more,
  };
}

/** The other participant. */
export const BO = { participant: 3, seat: 0 };

/** Returns the answer to `join`. */
export function joined(more: Partial<Joined> = {}): ServerMessage {
  const tracks = [
    { track: 1, participant: 3, kind: "audio", source: "microphone", codec: "opus", muted: true } as const,
  ];
  const policy = { locked: false };
  return { t: "joined", seat: 258, rev: 4, roster: [BO], tracks, policy, gathering: false, tokens: TOKENS, ...more };
}

/** Opens the newest socket and lets the client say hello. */
export async function hello(): Promise<{ socket: FakeSocket; hello: Record<string, unknown> }> {
  const socket = FakeSocket.last;
  socket.open();
  socket.deliver({ t: "challenge", protocol: "tacet/1", features: [], nonce: NONCE });
  await pass();
  const sent = socket.find("hello");
  if (sent === undefined) throw new Error(`no hello in ${socket.types}`);
  return { socket, hello: sent };
}

/** Answers the requests on the newest socket until the client is attached. */
export async function serve(
  continues: Continues,
  answer: Partial<Joined> = {},
  more: Partial<Welcome> = {},
): Promise<FakeSocket> {
  const {
    socket,
    hello: { id },
  } = await hello();
  socket.deliver({ ...welcome(continues, more), re: id });
  await pass();
  if (continues === "session") {
    socket.deliver({ t: "pong", ms: 0, re: socket.find("ping")?.id, seq: 0 });
  } else {
    socket.deliver({ ...joined(answer), re: socket.find("join")?.id });
    socket.deliver({ t: "transport", ...serverTransport(`server${FakeSocket.all.length}`) });
    await pass();
    FakePeerConnection.last.become("connected");
  }
  await pass();
  return socket;
}

/** Answers the newest unanswered `publish` of a socket. */
export async function acceptPublish(socket: FakeSocket, track: number): Promise<Record<string, unknown>> {
  await pass();
  const publish = socket.sent.findLast((message) => !(message instanceof Uint8Array) && message.t === "publish");
  if (publish === undefined || publish instanceof Uint8Array) throw new Error(`no publish in ${socket.types}`);
  socket.deliver({ t: "published", cid: String(publish.cid), track, re: publish.id });
  await pass();
  return publish;
}

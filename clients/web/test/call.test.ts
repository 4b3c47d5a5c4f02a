// A call as an application sees it, against a fake server, worker and browser.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Call, type JoinOptions } from "../src/call.ts";
import { formatLink } from "../src/link.ts";
import { FakePeerConnection } from "./fake-peer-connection.ts";
import { BO, fakeBrowser, hello, LINK, pass, ROOM, realBrowser, serve, welcome } from "./fake-server.ts";
import { FakeSocket } from "./fake-socket.ts";
import { FakeWorker } from "./fake-worker.ts";

let call: Call | undefined;
let log: string[];

/** A track of a device. */
class FakeTrack extends EventTarget {
  readonly kind: string;
  contentHint = "";
  stopped = false;

  constructor(kind: string) {
    super();
    this.kind = kind;
  }
  getSettings(): MediaTrackSettings {
    return { width: 1_280, height: 720 };
  }
  stop(): void {
    this.stopped = true;
  }
}

const track = (kind: string): MediaStreamTrack & FakeTrack => new FakeTrack(kind) as MediaStreamTrack & FakeTrack;

beforeEach(async () => {
  await fakeBrowser();
  class WithTransform {
    transform = null;
  }
  Object.defineProperty(WithTransform.prototype, "transform", { value: null });
  vi.stubGlobal("isSecureContext", true);
  vi.stubGlobal("RTCRtpSender", WithTransform);
  vi.stubGlobal("RTCRtpReceiver", WithTransform);
  vi.stubGlobal("MediaStreamTrack", FakeTrack);
  log = [];
});
afterEach(() => {
  call?.leave();
  call = undefined;
  realBrowser();
});

function join(options: Partial<JoinOptions> = {}): Promise<Call> {
  const joining = Call.join({ link: formatLink(LINK), name: "Ada", ...options });
  joining.then(
    (joined) => {
      call = joined;
      joined.on("participantJoined", ({ name }) => log.push(`joined ${name}`));
      joined.on("participantChanged", ({ name, presence }) => log.push(`changed ${name} ${presence}`));
      joined.on("participantLeft", ({ name }) => log.push(`left ${name}`));
      joined.on("unpublished", ({ source, error }) => log.push(`unpublished ${source} ${error.code}`));
      joined.on("state", ({ state, error }) => log.push(`${state} ${error?.code ?? ""}`.trim()));
      joined.on("ticket", ({ token }) => log.push(`ticket ${token}`));
    },
    () => {},
  );
  return joining;
}

async function joined(options: Partial<JoinOptions> = {}): Promise<[Call, FakeSocket]> {
  const joining = join(options);
  await pass();
  const socket = await serve("nothing");
  return [await joining, socket];
}

describe("joining", () => {
  it("rejects at the first failure, with the reason", async () => {
    const refused = expect(join()).rejects.toMatchObject({ code: "server-unreachable", remedy: "wait" });
    await pass();
    FakeSocket.last.drop();
    await refused;
  });

  it("goes on while the server is down, if the application wants to know", async () => {
    const retries: string[] = [];
    const joining = join({ onRetry: ({ error }) => void retries.push(error.code) });
    await pass();
    for (let attempt = 0; attempt < 50; attempt += 1) {
      FakeSocket.last.drop();
      await pass(2_000);
    }
    expect(retries.length).toBeGreaterThan(45);
    expect(new Set(retries)).toEqual(new Set(["server-unreachable"]));
    await serve("nothing");
    expect((await joining).self).toBe(7);
  });

  it("ends at what no other attempt would change, or when it is aborted", async () => {
    const retries = vi.fn();
    const refused = expect(join({ onRetry: retries })).rejects.toMatchObject({ code: "room-full" });
    await pass();
    const { socket, hello: said } = await hello();
    socket.deliver({ t: "error", code: "room_full", detail: "", re: said.id });
    await refused;
    expect(retries).not.toHaveBeenCalled();

    const abort = new AbortController();
    const ended = expect(join({ onRetry: retries, signal: abort.signal })).rejects.toMatchObject({ code: "ended" });
    await pass();
    FakeSocket.last.drop();
    await pass(10);
    abort.abort();
    await ended;
    const sockets = FakeSocket.all.length;
    await pass(60_000);
    expect(FakeSocket.all).toHaveLength(sockets);
  });

  it("returns with a ticket of this room, and ignores one of another", async () => {
    const ticket = { room: ROOM, token: "dG9r", participant: 7, muted: {} };
    const joining = join({ return: ticket });
    await pass();
    const socket = await serve("participant");
    await joining;
    expect(socket.find("hello")).toMatchObject({ resume: { type: "reload", token: "dG9r" } });
    call?.leave();
    const [, other] = await joined({ return: { ...ticket, room: "another" } });
    expect(other.find("hello")).not.toHaveProperty("resume");
  });
});

describe("participants", () => {
  it("keep their place while they are away, and return without being announced again", async () => {
    const [, socket] = await joined();
    FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" });
    await pass();
    socket.deliver({ t: "roster", rev: 5, full: false, add: [], del: [], upd: [{ ...BO, away: true }] });
    socket.deliver({ t: "roster", rev: 6, full: false, add: [{ participant: 3, seat: 9 }], del: [3] });
    FakeWorker.last.act({ kind: "removed", participant: 3 });
    FakeWorker.last.act({ kind: "verified", participant: 3, seat: 9, name: "Bo" });
    await pass(60_000);
    expect(log.filter((entry) => /Bo/.test(entry))).toEqual([
      "joined Bo",
      "changed Bo away",
      "changed Bo present",
      "changed Bo present",
    ]);
  });

  it("leave when the server says so", async () => {
    const [, socket] = await joined();
    FakeWorker.last.act({ kind: "verified", participant: 3, seat: 0, name: "Bo" });
    await pass();
    socket.deliver({ t: "roster", rev: 5, full: false, add: [], del: [3] });
    await pass(1_000);
    expect(log.at(-1)).toBe("left Bo");
    expect(call?.participants).toEqual([]);
  });
});

describe("this device", () => {
  it("has a ticket with its mute states, and a new one when the tokens change", async () => {
    const [joinedCall, socket] = await joined({ audio: track("audio"), video: track("video") });
    void joinedCall.setMuted("camera", true).catch(() => {});
    expect(joinedCall.returnTicket).toMatchObject({
      room: ROOM,
      participant: 7,
      muted: { microphone: false, camera: true },
    });
    socket.deliver({ t: "pong", ms: 0, tokens: { session: "AQ", reload: "BQ" } });
    expect(log.at(-1)).toBe("ticket BQ");
    expect(JSON.stringify(joinedCall.returnTicket)).not.toContain(formatLink(LINK).split("#")[1]);
    expect(joinedCall.away()?.token).toBe("BQ");
    expect(socket.types.at(-1)).toBe("away");
    expect(joinedCall.state).toBe("connected");
  });

  it("reports a track that the browser ended, and frees its source", async () => {
    const [joinedCall] = await joined();
    const screen = track("video");
    joinedCall.publish(screen, "screen").catch(() => {});
    await pass();
    expect(joinedCall.isMuted(7, "screen")).toBe(false);
    screen.dispatchEvent(new Event("ended"));
    expect(log).toContain("unpublished screen device");
    expect(joinedCall.isMuted(7, "screen")).toBe(true);
  });

  it("shows a room token, and another one each time that it enters", async () => {
    let count = 0;
    const joining = join({ roomToken: async () => `token ${++count}` });
    await pass();
    const { hello: first } = await hello();
    expect(first.credential).toEqual({ type: "room", token: "token 1" });
    call?.leave();
    joining.catch(() => {});
  });

  it("stops what a role no longer allows, and starts nothing by itself when it does again", async () => {
    const microphone = track("audio");
    const [joinedCall, socket] = await joined({ audio: microphone });
    const roles: string[] = [];
    joinedCall.on("role", ({ role }) => roles.push(role));
    joinedCall.on("muteRequested", (by) => roles.push(`asked by ${by}`));
    joinedCall.on("locked", (locked) => roles.push(`locked ${locked}`));
    socket.deliver({ t: "mute.request", by: 3 });
    socket.deliver({ t: "policy", locked: true });
    socket.deliver({ t: "role", role: "listener", capabilities: ["subscribe", "chat"], withdrawn: [] });
    expect(log).toContain("unpublished microphone not-allowed");
    expect(joinedCall.isMuted(7, "microphone")).toBe(true);
    const capabilities = ["subscribe", "chat", "publish_microphone"] as const;
    socket.deliver({ t: "role", role: "speaker", capabilities: [...capabilities], withdrawn: [] });
    await pass();
    expect(joinedCall.isMuted(7, "microphone")).toBe(true);
    expect(roles).toEqual(["asked by 3", "locked true", "listener", "speaker"]);
    expect(joinedCall.state).toBe("connected");
  });

  it("hands the call over to another tab without leaving it", async () => {
    const microphone = track("audio");
    const [joinedCall, socket] = await joined({ audio: microphone });
    expect(joinedCall.handOver()?.participant).toBe(7);
    expect(socket.types).toContain("away");
    expect(socket.types).not.toContain("leave");
    expect(log.at(-1)).toBe("ended moved");
    expect([microphone.stopped, FakeWorker.last.terminated]).toEqual([true, true]);
  });

  it("ends with an error only by the server's word, and with none when the person leaves", async () => {
    const [, socket] = await joined();
    socket.drop(4403);
    expect(log.at(-1)).toBe("ended removed");
    log = [];
    const [second, other] = await joined();
    second.leave();
    expect(log.at(-1)).toBe("ended");
    expect(other.types.at(-1)).toBe("leave");
  });

  it("learns of a wrong clock during the call", async () => {
    const [joinedCall, socket] = await joined();
    const minutes: unknown[] = [];
    joinedCall.on("problem", (problem) => minutes.push(problem.code, problem.minutes));
    socket.drop();
    await pass(100);
    const { socket: next, hello: said } = await hello();
    next.deliver({ ...welcome("session", { time: Date.now() + 30 * 60_000 }), re: said.id });
    await pass();
    next.deliver({ t: "pong", ms: 0, re: next.find("ping")?.id, seq: 0 });
    await pass();
    expect(minutes).toEqual(["clock-skew", -30]);
  });
});

describe("audio of speakers", () => {
  const SLOTS = ["a0", "a1"].map((mid, index) => ({ mid, kind: "audio", codec: "opus", ssrc: index + 1 }) as const);

  /** Joins a large call with two slots for speakers. */
  async function joinedLarge(): Promise<Call> {
    const [joinedCall, socket] = await joined();
    joinedCall.on("trackAdded", ({ participant, source }) => log.push(`added ${participant} ${source}`));
    joinedCall.on("trackRemoved", ({ participant, source }) => log.push(`removed ${participant} ${source}`));
    const set = SLOTS.map(({ mid }, speaker) => ({ mid, source: { speaker } }));
    socket.deliver({ t: "slots", rev: 1, add: SLOTS, set });
    await pass();
    log = [];
    return joinedCall;
  }
  async function arrives(mid: string, participant: number): Promise<void> {
    FakeWorker.last.post({ t: "authenticated", id: `0.${mid}`, origin: { participant, stream: 0 } });
    await pass();
  }
  const owners = (): number[] => (call?.tracks ?? []).map(({ participant }) => participant);

  it("is that of the participant whose frames arrive", async () => {
    await joinedLarge();
    await arrives("a0", 3);
    await arrives("a0", 4);
    expect(log).toEqual(["added 3 microphone", "removed 3 microphone", "added 4 microphone"]);
    expect(owners()).toEqual([4]);
  });

  it("has one place a participant, although it moves between slots", async () => {
    await joinedLarge();
    await arrives("a0", 3);
    await arrives("a1", 3);
    expect(owners()).toEqual([3]);
    await arrives("a0", 4);
    expect(log).toEqual(["added 3 microphone", "added 3 microphone", "added 4 microphone"]);
    expect(owners().sort()).toEqual([3, 4]);
  });

  it("is known from the server where the browser measures nothing, and of those alone who are heard", async () => {
    const joinedCall = await joinedLarge();
    const speaking: number[][] = [];
    joinedCall.on("speaking", (participants) => speaking.push([...participants]));
    const speakers = [3, 4].map((participant) => ({ participant, level: 20 }));
    FakeSocket.last.deliver({ t: "speakers", speakers });
    await pass(400);
    expect(speaking).toEqual([]);
    await arrives("a0", 3);
    await pass(2_000);
    expect(speaking).toEqual([[3]]);
    FakeSocket.last.deliver({ t: "speakers", speakers: [] });
    await pass(1_000);
    expect(speaking).toEqual([[3], []]);
  });

  it("is measured for its own speaker, and not with what is left of the one before", async () => {
    const joinedCall = await joinedLarge();
    const speaking: number[][] = [];
    joinedCall.on("speaking", (participants) => speaking.push([...participants]));
    const receiver = FakePeerConnection.last.transceivers.find(({ mid }) => mid === "a0")?.receiver;
    if (receiver === undefined) throw new Error("no receiver");
    vi.spyOn(receiver, "getSynchronizationSources").mockReturnValue([{ audioLevel: 0.5 }] as never);
    await arrives("a0", 3);
    await pass(400);
    expect(speaking).toEqual([[3]]);
    await arrives("a0", 4);
    await pass(160);
    expect(speaking).toEqual([[3]]);
    await pass(300);
    expect(speaking.at(-1)).toEqual([3, 4]);
    await pass(1_000);
    expect(speaking.at(-1)).toEqual([4]);
  });
});

describe("video", () => {
  const camera = { track: 5, participant: 3, kind: "video", source: "camera", codec: "vp8", muted: false } as const;

  it("tells which layer is sent, and why not more", async () => {
    const [joinedCall, socket] = await joined();
    const layers: unknown[] = [];
    joinedCall.on("layer", (change) => layers.push(change));
    socket.deliver({ t: "tracks", add: [camera], del: [], upd: [] });
    const slot = { mid: "v0", kind: "video", codec: "vp8", ssrc: 9, rtx: 10 } as const;
    socket.deliver({ t: "slots", rev: 1, add: [slot], set: [{ mid: "v0", source: { track: 5, participant: 3 } }] });
    await pass();
    expect(joinedCall.layer(3, "camera")).toBeNull();
    FakeWorker.last.post({ t: "authenticated", id: "0.v0", origin: { participant: 3, stream: 1 } });
    await pass();
    socket.deliver({ t: "layer", slots: [{ mid: "v0", height: 180, temporal: 1, reason: "bandwidth" }] });
    const layer = { paused: false, height: 180, temporal: 1, reason: "bandwidth" };
    expect(layers).toEqual([{ participant: 3, source: "camera", layer }]);
    expect(joinedCall.layer(3, "camera")).toEqual(layer);
    expect(joinedCall.layer(3, "screen")).toBeNull();
  });

  it("is viewed no longer than the call lasts", async () => {
    const [joinedCall, socket] = await joined();
    joinedCall.view({ participant: 3, source: "camera", shown: 360 });
    await pass(100);
    expect(socket.types).toContain("layers");
    joinedCall.leave();
    expect(() => joinedCall.view({ participant: 3, source: "camera", shown: 360 })).toThrow();
  });
});

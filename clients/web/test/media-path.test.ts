// A media path against a fake browser, session and server.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MediaPath } from "../src/media-path.ts";
import { AUDIO_LEVEL } from "../src/offer-check.ts";
import type { PeerSetup } from "../src/peer.ts";
import type { ClientMessage, ServerMessage } from "../src/protocol/generated.ts";
import type { TransformCounters, TransformOptions } from "../src/worker/messages.ts";
import { FakePeerConnection, serverTransport } from "./fake-peer-connection.ts";

const SETUP = {
  codecs: [
    { codec: "opus", pt: 111, clock: 48_000, fmtp: "" } as const,
    { codec: "vp8", pt: 96, rtx: 97, clock: 90_000, fmtp: "" } as const,
  ],
  hdrext: [],
  videoCodec: "vp8" as const,
  spatialLayers: false,
  constantAudioRate: false,
};
const MEDIA = { id: "m", contentHint: "", getSettings: () => ({}) } as unknown as MediaStreamTrack;

/** All calls on the session and the server, in order. */
let log: string[];
let counters: TransformCounters[];
let paths: MediaPath[];

beforeEach(() => {
  log = [];
  counters = [];
  paths = [];
  FakePeerConnection.all = [];
  vi.stubGlobal("RTCPeerConnection", FakePeerConnection);
});
afterEach(() => {
  for (const path of paths) path.close();
  vi.unstubAllGlobals();
});

const session = {
  transform: ({ id }: TransformOptions) => {
    log.push(`transform ${id}`);
    return { transform: {} as RTCRtpScriptTransform, attached: Promise.resolve() };
  },
  streams: {
    open: async (stream: number) => void log.push(`open ${stream}`),
    close: (stream: number) => void log.push(`close ${stream}`),
  },
  counters: async () => counters,
  forget: (ids: readonly string[]) => void log.push(`forget ${ids}`),
};
const signaling = {
  request: async (message: ClientMessage): Promise<ServerMessage> => {
    log.push(message.t);
    return message.t === "ice.restart"
      ? { t: "transport", ...serverTransport("restarted") }
      : { t: "published", cid: "", track: 4 };
  },
  send: (message: ClientMessage) => void log.push(message.t),
};

function path(setup: PeerSetup = SETUP): MediaPath {
  const path = new MediaPath({ setup, session, signaling, number: paths.length });
  paths.push(path);
  path.start(serverTransport("first"));
  return path;
}

function counter(id: string, frames: number): TransformCounters {
  return {
    id,
    role: "seal",
    framesIn: frames,
    framesEmpty: 0,
    framesOut: frames,
    bytesOut: 1_000 * frames,
    failures: {},
  };
}

describe("MediaPath", () => {
  it("restarts ICE once at a time, and tells the server the new credentials", async () => {
    const one = path();
    await vi.waitFor(() => expect(log).toContain("transport"));
    log = [];
    await Promise.all([one.restartIce(), one.restartIce()]);
    expect(log).toEqual(["ice.restart", "transport"]);
    expect(FakePeerConnection.last.offers.at(-1)).toContain("a=ice-ufrag:restarted");
  });

  it("keeps its transforms through an ICE restart", async () => {
    const one = path();
    await one.send("microphone", MEDIA);
    log = [];
    await one.restartIce();
    expect(log.filter((entry) => /transform|open|close|publish/.test(entry))).toEqual([]);
    expect(FakePeerConnection.last.sending("sa")).toBe(MEDIA);
  });

  it("closes its streams, and touches those of its successor no more", async () => {
    const first = path();
    await first.send("microphone", MEDIA);
    first.close();
    expect(log.slice(-2)).toEqual(["close 0", "forget 0.sa,0.sv"]);
    const second = path();
    await second.send("microphone", MEDIA);
    log = [];
    await first.send("microphone", null).catch(() => {});
    await first.unpublish("microphone").catch(() => {});
    expect(log.filter((entry) => entry.startsWith("close"))).toEqual([]);
    expect(FakePeerConnection.last.sending("sa")).toBe(MEDIA);
  });

  it("tells when someone speaks only where packets do not", async () => {
    let meters = 0;
    class LoudAudio {
      constructor() {
        meters += 1;
      }
      createAnalyser = () => ({
        fftSize: 0,
        getFloatTimeDomainData: (samples: Float32Array) => void samples.fill(0.5),
      });
      createMediaStreamSource = () => ({ connect: () => {}, disconnect: () => {} });
      close = async () => {};
    }
    vi.stubGlobal("AudioContext", LoudAudio);
    vi.stubGlobal("MediaStream", class {});
    const level = { uri: AUDIO_LEVEL, id: 2, kinds: ["audio" as const] };
    await path({ ...SETUP, hdrext: [level] }).send("microphone", MEDIA);
    expect(meters).toBe(0);
    const silent = path();
    await silent.send("microphone", MEDIA);
    expect(meters).toBe(1);
    await vi.waitFor(() => expect(log).toContain("speech"));
    log = [];
    await silent.send("microphone", null);
    expect(log.filter((entry) => ["speech", "mute"].includes(entry))).toEqual(["speech", "mute"]);
  });

  it("stops a source that bypasses its transform, and says so", async () => {
    const one = path();
    const ended: unknown[] = [];
    one.on("bypassed", (source) => ended.push(source));
    await one.send("screen", MEDIA);
    counters = [counter("0.ss", 0)];
    const frame = { packetsSent: 41, framesSent: 1, bytesSent: 38_000 };
    FakePeerConnection.last.stats = [{ type: "outbound-rtp", kind: "video", mid: "ss", ...frame }];
    await one.watch();
    expect(ended).toEqual(["screen"]);
    expect(FakePeerConnection.last.sending("ss")).toBeNull();
    await expect(one.send("screen", MEDIA)).rejects.toMatchObject({ code: "transform-bypassed" });
  });

  it("lets a shared screen be whose first packet is a bandwidth probe", async () => {
    const one = path();
    const problems: unknown[] = [];
    one.on("problem", (problem) => problems.push(problem));
    await one.send("screen", MEDIA);
    counters = [counter("0.ss", 0)];
    const probe = { packetsSent: 1, framesSent: 0, bytesSent: 0, headerBytesSent: 279 };
    FakePeerConnection.last.stats = [{ type: "outbound-rtp", kind: "video", mid: "ss", ...probe }];
    await one.watch();
    expect(problems).toEqual([]);
    expect(FakePeerConnection.last.sending("ss")).toBe(MEDIA);
  });

  it("ignores the counters of other paths", async () => {
    path().close();
    const second = path();
    await second.send("microphone", MEDIA);
    // Of the path before: it says nothing about this one.
    counters = [counter("0.sa", 500)];
    const sent = { packetsSent: 3, bytesSent: 240 };
    FakePeerConnection.last.stats = [{ type: "outbound-rtp", kind: "audio", mid: "sa", ...sent }];
    const problems: unknown[] = [];
    second.on("problem", ({ code }) => problems.push(code));
    await second.watch();
    expect(problems).toEqual(["transform-bypassed"]);
  });

  it("waits a bounded time for statistics that never come", async () => {
    vi.useFakeTimers();
    try {
      const one = path();
      FakePeerConnection.last.answers = false;
      const silent = expect(one.watch()).rejects.toMatchObject({ code: "media-path" });
      await vi.advanceTimersByTimeAsync(2_000);
      await silent;
    } finally {
      vi.useRealTimers();
    }
  });

  it("reports that packets arrive, whatever they carry", async () => {
    const one = path();
    FakePeerConnection.last.bytesReceived = 100;
    expect(await one.reached()).toBe(true);
    expect(await one.reached()).toBe(false);
    FakePeerConnection.last.bytesReceived = 160;
    expect(await one.reached()).toBe(true);
  });
});

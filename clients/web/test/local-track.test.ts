import { beforeEach, describe, expect, it } from "vitest";
import { TacetError } from "../src/errors.ts";
import { LocalTrack } from "../src/local-track.ts";
import type { ReadySender } from "../src/peer.ts";
import type { ClientMessage, ServerMessage } from "../src/protocol/generated.ts";

/** All calls on the fakes, in order. */
let log: string[];
let attach: () => void;
let refuse: boolean;
let keyless: boolean;
let local: LocalTrack;

const media = (id: string): MediaStreamTrack => ({ id }) as MediaStreamTrack;

beforeEach(() => {
  log = [];
  refuse = false;
  keyless = false;
  const attached = new Promise<void>((resolve) => {
    attach = resolve;
  });
  const sender = {
    replaceTrack: async (track: MediaStreamTrack | null) => void log.push(`track ${track?.id ?? "none"}`),
  } as unknown as RTCRtpSender;
  const audio = { mid: "sa", kind: "audio", codec: "opus", layering: null, ssrcs: { ssrc: 7 } } as const;
  const ready: ReadySender = { ...audio, sender, attached };
  const socket = {
    request: async (message: ClientMessage): Promise<ServerMessage> => {
      log.push(message.t);
      if (refuse) throw new TacetError("protocol");
      return { t: "published", cid: "microphone", track: 3 };
    },
    send: (message: ClientMessage) => void log.push(message.t),
  };
  const gate = {
    open: async (stream: number) => {
      log.push(`open ${stream}`);
      if (keyless) throw new TacetError("encryption");
    },
    close: (stream: number) => void log.push(`close ${stream}`),
  };
  local = new LocalTrack("microphone", { prepareSender: async () => ready }, socket, gate);
});

/** Waits until all pending promises are settled. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("LocalTrack", () => {
  it("sends media only after the transform, the key and the server's answer", async () => {
    const published = local.set(media("a"));
    await settle();
    expect(log).toEqual([]);
    attach();
    await published;
    expect(log).toEqual(["open 0", "publish", "track a"]);
  });

  it("sends nothing while it is muted, and remains the same track", async () => {
    attach();
    await local.set(media("a"));
    log = [];
    await local.set(null);
    expect(log).toEqual(["track none", "close 0", "mute"]);
    log = [];
    await local.set(media("a"));
    expect(log).toEqual(["open 0", "unmute", "track a"]);
  });

  it("replaces its media without publishing again", async () => {
    attach();
    await local.set(media("a"));
    log = [];
    await local.set(media("b"));
    expect(log).toEqual(["track b"]);
  });

  it("applies only the latest of several requests", async () => {
    const requests = [local.set(media("a")), local.set(null), local.set(media("b"))];
    attach();
    await Promise.all(requests);
    expect(log).toEqual(["open 0", "publish", "track b"]);
  });

  it("sends nothing if no key becomes ready", async () => {
    attach();
    keyless = true;
    await expect(local.set(media("a"))).rejects.toMatchObject({ code: "encryption" });
    expect(log).toEqual(["open 0"]);
  });

  it("closes its stream if the server refuses the track", async () => {
    attach();
    refuse = true;
    await expect(local.set(media("a"))).rejects.toMatchObject({ code: "protocol" });
    expect(log).toEqual(["open 0", "publish", "close 0"]);
  });

  it("stops permanently when its transform is bypassed", async () => {
    attach();
    await local.set(media("a"));
    log = [];
    await local.stopBypassed();
    expect(log[0]).toBe("track none");
    await expect(local.set(media("b"))).rejects.toMatchObject({ code: "transform-bypassed" });
    expect(log).not.toContain("track b");
  });

  it("ends in the state that was asked for last, however often it is published and unpublished", async () => {
    attach();
    const asked: Promise<void>[] = [];
    for (let i = 0; i < 30; i += 1) {
      asked.push(i % 2 === 0 ? local.set(media(`${i}`)) : local.unpublish());
      if (i % 7 === 0) await settle();
    }
    await Promise.all(asked);
    expect(log.slice(-3)).toEqual(["close 0", "mute", "unpublish"]);
    await local.set(media("z"));
    expect(log.slice(-3)).toEqual(["open 0", "publish", "track z"]);
    // The server never knows two tracks of one m-line.
    const published = log.filter((entry) => /publish/.test(entry));
    expect(published.every((entry, index) => entry === (index % 2 === 0 ? "publish" : "unpublish"))).toBe(true);
  });

  it("mutes before it is unpublished", async () => {
    attach();
    await local.set(media("a"));
    log = [];
    await local.unpublish();
    expect(log).toEqual(["track none", "close 0", "mute", "unpublish"]);
  });
});

describe("a camera with encodings", () => {
  const HD = { width: 1_280, height: 720 };
  const SMALL = { width: 320, height: 240 };
  let camera: LocalTrack;
  let sent: ClientMessage[];
  /** RIDs that are active. */
  let active: string[];
  let sets: number;

  function video(id: string, size: { width: number; height: number }): MediaStreamTrack {
    return { id, contentHint: "", getSettings: () => size } as unknown as MediaStreamTrack;
  }

  beforeEach(() => {
    [sent, active, sets] = [[], [], 0];
    let encodings: RTCRtpEncodingParameters[] = [{ rid: "q" }, { rid: "h" }, { rid: "f" }];
    const sender = {
      replaceTrack: async (track: MediaStreamTrack | null) => void log.push(`track ${track?.id ?? "none"}`),
      getParameters: () => structuredClone({ encodings }),
      setParameters: async (parameters: RTCRtpSendParameters) => {
        sets += 1;
        encodings = parameters.encodings;
        active = encodings.flatMap(({ rid = "", active }) => (active === true ? [rid] : []));
      },
    } as unknown as RTCRtpSender;
    const line = { mid: "sv", kind: "video", codec: "vp8", layering: "simulcast", ssrcs: null } as const;
    let tracks = 3;
    const signaling = {
      request: async (message: ClientMessage): Promise<ServerMessage> => {
        sent.push(message);
        return message.t === "publish" ? { t: "published", cid: "camera", track: tracks++ } : { t: "ok" };
      },
      send: (message: ClientMessage) => void sent.push(message),
    };
    const gate = { open: async () => {}, close: () => {} };
    const prepareSender = async (): Promise<ReadySender> => ({ ...line, sender, attached: Promise.resolve() });
    camera = new LocalTrack("camera", { prepareSender }, signaling, gate);
  });

  it("names its RIDs and no SSRC", async () => {
    await camera.set(video("a", HD));
    expect(sent).toEqual([
      {
        ...{ t: "publish", cid: "camera", kind: "video", source: "camera", codec: "vp8", mid: "sv" },
        encodings: [
          { rid: "q", height: 180, kbps: 150 },
          { rid: "h", height: 360, kbps: 500 },
          { rid: "f", height: 720, kbps: 1_700 },
        ],
      },
    ]);
    expect(active).toEqual(["q", "h", "f"]);
  });

  it("sends what is wanted, and only the latest of what was", async () => {
    await camera.set(video("a", HD));
    sets = 0;
    camera.want(3, [true, false, false]);
    camera.want(3, [true, true, false]);
    camera.want(99, [false, false, false]);
    await settle();
    expect([active, sets]).toEqual([["q", "h"], 1]);
    camera.want(3, [true, true, false]);
    await settle();
    expect(sets).toBe(1);
  });

  it("remembers what is wanted while it is muted", async () => {
    await camera.set(video("a", HD));
    await camera.set(null);
    camera.want(3, [true, false, false]);
    await camera.set(video("b", HD));
    expect(active).toEqual(["q"]);
    expect(sent.map(({ t }) => t)).toEqual(["publish", "mute", "unmute"]);
  });

  it("is published again for a camera with other sizes, and everything of it is wanted", async () => {
    await camera.set(video("a", HD));
    camera.want(3, [false, false, false]);
    await camera.set(video("b", SMALL));
    expect(sent.map(({ t }) => t)).toEqual(["publish", "mute", "unpublish", "publish"]);
    expect(sent.at(-1)).toMatchObject({ encodings: [{ rid: "q" }, { rid: "h" }] });
    expect(active).toEqual(["q", "h"]);
    expect(log).toEqual(["track a", "track none", "track b"]);
    await camera.set(null);
    await camera.set(video("c", HD));
    expect(sent.slice(-2).map(({ t }) => t)).toEqual(["unpublish", "publish"]);
    expect(active).toEqual(["q", "h", "f"]);
  });
});

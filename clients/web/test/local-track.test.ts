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
  const ready: ReadySender = { mid: "sa", kind: "audio", codec: "opus", sender, ssrcs: { ssrc: 7 }, attached };
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

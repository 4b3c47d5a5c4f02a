import { beforeEach, describe, expect, it } from "vitest";
import { TacetError } from "../src/errors.ts";
import type { SendingLine } from "../src/peer.ts";
import type { ClientMessage, ServerMessage } from "../src/protocol/generated.ts";
import { Publication } from "../src/publication.ts";

/** Everything that happens, in order. */
let log: string[];
let attach: () => void;
let refuse: boolean;
let keyless: boolean;
let publication: Publication;

const track = (id: string): MediaStreamTrack => ({ id }) as MediaStreamTrack;

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
  const line: SendingLine = { mid: "sa", kind: "audio", codec: "opus", sender, ssrcs: { ssrc: 7 }, attached };
  const socket = {
    request: async (message: ClientMessage): Promise<ServerMessage> => {
      log.push(message.t);
      if (refuse) throw new TacetError("protocol");
      return { t: "published", cid: "mic", track: 3 };
    },
    send: (message: ClientMessage) => void log.push(message.t),
  };
  const gate = {
    openStream: async (stream: number) => {
      log.push(`open ${stream}`);
      if (keyless) throw new TacetError("encryption");
    },
    closeStream: (stream: number) => void log.push(`close ${stream}`),
  };
  publication = new Publication("mic", { sendingLine: async () => line }, socket, gate);
});

/** Lets everything happen that can. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a publication", () => {
  it("gives the sender its track only after the transform, the key and the server's consent", async () => {
    const published = publication.set(track("a"));
    await settle();
    expect(log).toEqual([]);
    attach();
    await published;
    expect(log).toEqual(["open 0", "publish", "track a"]);
  });

  it("sends nothing while it is muted, and is the same track afterwards", async () => {
    attach();
    await publication.set(track("a"));
    log = [];
    await publication.set(null);
    expect(log).toEqual(["track none", "close 0", "pause"]);
    log = [];
    await publication.set(track("a"));
    expect(log).toEqual(["open 0", "resume", "track a"]);
  });

  it("changes devices without a new publication", async () => {
    attach();
    await publication.set(track("a"));
    log = [];
    await publication.set(track("b"));
    expect(log).toEqual(["track b"]);
  });

  it("follows only the latest of many wishes", async () => {
    const wishes = [publication.set(track("a")), publication.set(null), publication.set(track("b"))];
    attach();
    await Promise.all(wishes);
    expect(log).toEqual(["open 0", "publish", "track b"]);
  });

  it("never gives the sender a track when no key comes", async () => {
    attach();
    keyless = true;
    await expect(publication.set(track("a"))).rejects.toMatchObject({ code: "encryption" });
    expect(log).toEqual(["open 0"]);
  });

  it("closes its stream again when the server refuses", async () => {
    attach();
    refuse = true;
    await expect(publication.set(track("a"))).rejects.toMatchObject({ code: "protocol" });
    expect(log).toEqual(["open 0", "publish", "close 0"]);
  });

  it("stops for good once its transform was bypassed", async () => {
    attach();
    await publication.set(track("a"));
    log = [];
    await publication.bypass();
    expect(log[0]).toBe("track none");
    await expect(publication.set(track("b"))).rejects.toMatchObject({ code: "transform-bypassed" });
    expect(log).not.toContain("track b");
  });

  it("is withdrawn", async () => {
    attach();
    await publication.set(track("a"));
    log = [];
    await publication.withdraw();
    expect(log).toEqual(["track none", "close 0", "pause", "unpublish"]);
  });
});

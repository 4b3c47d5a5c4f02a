// A peer connection without media, for tests. Like a browser, it has new ICE credentials after an offer with new ones.

import { encode } from "../src/base64url.ts";
import type { ServerTransport } from "../src/protocol/generated.ts";

const FINGERPRINT = Array.from({ length: 32 }, () => "AB").join(":");

/** Returns a transport of the server with these ICE credentials. */
export function serverTransport(ufrag: string): ServerTransport {
  return {
    ice: { ufrag, pwd: "p".repeat(22), candidates: [{ ip: "192.0.2.1", port: 4000 }] },
    dtls: { fingerprint: encode(new Uint8Array(32).fill(0xcd)) },
  };
}

/** An encoding of a sender, as its parameters have it. */
export type FakeEncoding = RTCRtpEncodingParameters & { scalabilityMode?: string };

/** The ends of a transceiver. */
class FakeEnd {
  transform: unknown = null;
  /** What was set last; senders only. */
  parameters: { encodings: FakeEncoding[]; degradationPreference?: string };
  /** Media that is sent; senders only. */
  media: unknown = null;
  readonly track = { enabled: true };

  constructor(rids: readonly string[]) {
    this.parameters = { encodings: rids.length === 0 ? [{}] : rids.map((rid) => ({ rid })) };
  }

  getParameters(): FakeEnd["parameters"] {
    return structuredClone(this.parameters);
  }
  async setParameters(parameters: FakeEnd["parameters"]): Promise<void> {
    this.parameters = parameters;
  }
  async replaceTrack(media: unknown): Promise<void> {
    this.media = media;
  }
  getSynchronizationSources(): [] {
    return [];
  }
}

/** A transceiver of one m-line. */
export interface FakeTransceiver {
  readonly mid: string;
  direction: string;
  readonly sender: FakeEnd;
  readonly receiver: FakeEnd;
}

/** A peer connection whose state is set by the test. */
export class FakePeerConnection {
  /** All peer connections that were made, oldest first. */
  static all: FakePeerConnection[] = [];

  connectionState: RTCPeerConnectionState = "new";
  onconnectionstatechange: (() => void) | null = null;
  localDescription: { sdp: string } | null = null;
  bytesReceived = 0;
  /** Further entries of the statistics. */
  stats: object[] = [];
  closed = false;
  /** Whether it answers for its statistics. */
  answers = true;
  readonly offers: string[] = [];
  readonly transceivers: FakeTransceiver[] = [];

  constructor() {
    FakePeerConnection.all.push(this);
  }

  static get last(): FakePeerConnection {
    const last = FakePeerConnection.all.at(-1);
    if (last === undefined) throw new Error("no peer connection was made");
    return last;
  }

  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.offers.push(sdp);
    for (const section of sdp.split("\r\nm=").slice(1)) {
      const mid = /^a=mid:(\S+)/m.exec(section)?.[1] ?? "";
      if (this.transceivers.some((one) => one.mid === mid)) continue;
      const rids = [...section.matchAll(/^a=rid:(\S+) recv/gm)].map(([, rid = ""]) => rid);
      this.transceivers.push({ mid, direction: "", sender: new FakeEnd(rids), receiver: new FakeEnd([]) });
    }
  }

  async createAnswer(): Promise<object> {
    return {};
  }

  async setLocalDescription(): Promise<void> {
    const ufrag = /a=ice-ufrag:(.*)/.exec(this.offers.at(-1) ?? "")?.[1]?.trim();
    const lines = [`a=ice-ufrag:client-${ufrag}`, "a=ice-pwd:q", `a=fingerprint:sha-256 ${FINGERPRINT}`];
    this.transceivers.forEach(({ mid, sender }, index) => {
      const rids = sender.parameters.encodings.flatMap(({ rid }) => (rid === undefined ? [] : [rid]));
      // Like Chromium: no SSRCs where there are RIDs.
      const streams = rids.length === 0 ? `a=ssrc:${1_000 + index} cname:c` : `a=simulcast:send ${rids.join(";")}`;
      lines.push("m=audio 9 UDP/TLS/RTP/SAVPF 111", `a=mid:${mid}`, streams);
    });
    this.localDescription = { sdp: `v=0\r\n${lines.join("\r\n")}\r\n` };
  }

  getTransceivers(): FakeTransceiver[] {
    return this.transceivers;
  }

  /** Returns the encodings of an m-line that are sent, by RID, with what limits them. */
  encodings(mid: string): readonly FakeEncoding[] {
    const sender = this.transceivers.find((one) => one.mid === mid)?.sender;
    return (sender?.parameters.encodings ?? []).filter(({ active }) => active);
  }

  /** Returns what is sent on an m-line. */
  sending(mid: string): unknown {
    return this.transceivers.find((one) => one.mid === mid)?.sender.media ?? null;
  }

  async getStats(): Promise<Map<string, object>> {
    if (!this.answers) return new Promise(() => {});
    const entries = [{ type: "transport", bytesReceived: this.bytesReceived }, ...this.stats];
    return new Map(entries.map((entry, index) => [`${index}`, entry]));
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.closed = true;
  }
}

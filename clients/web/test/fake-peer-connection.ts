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

/** A peer connection whose state is set by the test. */
export class FakePeerConnection {
  /** All peer connections that were made, oldest first. */
  static all: FakePeerConnection[] = [];

  connectionState: RTCPeerConnectionState = "new";
  onconnectionstatechange: (() => void) | null = null;
  localDescription: { sdp: string } | null = null;
  bytesReceived = 0;
  closed = false;
  readonly offers: string[] = [];

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
  }

  async createAnswer(): Promise<object> {
    return {};
  }

  async setLocalDescription(): Promise<void> {
    const ufrag = /a=ice-ufrag:(.*)/.exec(this.offers.at(-1) ?? "")?.[1]?.trim();
    const lines = [`a=ice-ufrag:client-${ufrag}`, "a=ice-pwd:q", `a=fingerprint:sha-256 ${FINGERPRINT}`];
    this.localDescription = { sdp: `v=0\r\n${lines.join("\r\n")}\r\n` };
  }

  getTransceivers(): [] {
    return [];
  }

  async getStats(): Promise<Map<string, object>> {
    return new Map([["T", { type: "transport", bytesReceived: this.bytesReceived }]]);
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.closed = true;
  }
}

// Reads from the browser's answer what the server needs: ICE credentials, the certificate fingerprint, and the SSRCs of
// m-lines that send one encoding. Nothing else of it leaves the browser. The SSRCs of RIDs are not in every answer
// (Chromium writes none), so the server learns all of them from the packets.

import { encode } from "./base64url.ts";
import type { ClientTransport } from "./protocol/generated.ts";

/** SSRCs of one sending m-line. */
export interface SenderSsrcs {
  readonly ssrc: number;
  /** SSRC of the retransmissions (RFC 4588). */
  readonly rtx?: number;
}

/** The parts of an answer that the server needs. */
export interface Answer {
  readonly transport: ClientTransport;
  /** By MID; only m-lines without RIDs that announce an SSRC. */
  readonly senders: ReadonlyMap<string, SenderSsrcs>;
}

/**
 * Reads a local answer. Transport attributes may be at session level or in any section: they are the same under BUNDLE.
 *
 * @throws {RangeError} if the answer lacks ICE credentials or a SHA-256 fingerprint.
 */
export function parseAnswer(sdp: string): Answer {
  const [session = "", ...media] = sdp.split(/\r?\n(?=m=)/);
  const ufrag = attribute(session, "ice-ufrag") ?? first(media, "ice-ufrag");
  const pwd = attribute(session, "ice-pwd") ?? first(media, "ice-pwd");
  const fingerprint = sha256(session) ?? media.map(sha256).find((value) => value !== undefined);
  if (ufrag === undefined || pwd === undefined) throw new RangeError("the answer has no ICE credentials");
  if (fingerprint === undefined) throw new RangeError("the answer has no SHA-256 fingerprint");
  const senders = new Map<string, SenderSsrcs>();
  for (const section of media) {
    const mid = attribute(section, "mid");
    const ssrcs = senderSsrcs(section);
    if (mid !== undefined && ssrcs !== undefined) senders.set(mid, ssrcs);
  }
  return { transport: { ice: { ufrag, pwd }, dtls: { fingerprint: encode(fingerprint) } }, senders };
}

/** Value of the first `a=NAME:` line. */
function attribute(text: string, name: string): string | undefined {
  return new RegExp(`^a=${name}:(.*)$`, "m").exec(text)?.[1]?.trim();
}

function first(sections: readonly string[], name: string): string | undefined {
  return sections.map((section) => attribute(section, name)).find((value) => value !== undefined);
}

function sha256(text: string): Uint8Array | undefined {
  const hex = /^a=fingerprint:sha-256 ([0-9A-F]{2}(?::[0-9A-F]{2}){31})\s*$/im.exec(text)?.[1];
  return hex === undefined ? undefined : Uint8Array.from(hex.split(":"), (byte) => Number.parseInt(byte, 16));
}

function senderSsrcs(section: string): SenderSsrcs | undefined {
  if (attribute(section, "simulcast") !== undefined) return undefined;
  const [, primary, rtx] = /^a=ssrc-group:FID (\d+) (\d+)\s*$/m.exec(section) ?? [];
  if (primary !== undefined && rtx !== undefined) return { ssrc: Number(primary), rtx: Number(rtx) };
  const single = /^a=ssrc:(\d+) /m.exec(section)?.[1];
  return single === undefined ? undefined : { ssrc: Number(single) };
}

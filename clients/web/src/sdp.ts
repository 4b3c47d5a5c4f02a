// Builds the server's offer (RFC 8866, RFC 8829) from its parameters, as a pure function. What the server may ask for is
// in `offer-check.ts`.
//
// No SDP crosses the wire: with 25 subscriptions, a session description is 86 kB. The client writes the server's offers
// itself, so MIDs, payload types and header-extension ids are chosen by the server and are the same in every browser.
// With offers made by the browser, Firefox can reset existing receive streams at a renegotiation. The text is the
// minimum that Chromium and Firefox both accept: each line is required by one of them, or enables bandwidth estimation
// or retransmission.
//
// Invariant: sections are only ever appended. A section keeps its position, MID, kind and codec for the lifetime of the
// connection.

import { decodeExactly } from "./base64url.ts";
import { checkOffer, ServerViolation } from "./offer-check.ts";
import type { Codec, CodecParameters, HeaderExtension, Kind, ServerTransport } from "./protocol/generated.ts";

/** An m-line. */
export interface Section {
  readonly mid: string;
  readonly kind: Kind;
  readonly codec: Codec;
  /** From the server's point of view: it receives what this client publishes, and sends in slots. */
  readonly direction: "recvonly" | "sendonly";
  /** RIDs that the client sends, lowest quality first (RFC 8851). Empty or absent: a single encoding, named by its SSRC. */
  readonly rids?: readonly string[];
  /** Whether the client sends audio whose packets reveal nothing of what is said: at a constant rate, without pauses. */
  readonly constantRate?: boolean;
  /** SSRC of the stream; slots only. */
  readonly ssrc?: number;
  /** SSRC of the retransmissions; video slots only. */
  readonly rtx?: number;
  /** Media stream id by which the browser synchronizes a participant's audio and video (RFC 8830). */
  readonly msid?: string;
}

/** The content of an offer. */
export interface OfferState {
  /** Increases with every offer of a connection. */
  readonly version: number;
  readonly transport: ServerTransport;
  readonly codecs: readonly CodecParameters[];
  readonly hdrext: readonly HeaderExtension[];
  readonly sections: readonly Section[];
}

/** Header extensions that name the encoding of a packet (RFC 8852); they are of use only where there are RIDs. */
const RID_EXTENSIONS: ReadonlySet<string> = new Set([
  "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
  "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
]);
const TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/** Priority of the first host candidate (RFC 8445 section 5.1.2.1); each further candidate has one less. */
const CANDIDATE_PRIORITY = 2_130_706_431;

/** Length of a SHA-256 certificate fingerprint. */
const FINGERPRINT_BYTES = 32;

/** Encoding names in `a=rtpmap`. */
const ENCODING_NAMES: Record<Codec, string> = { opus: "opus", vp8: "VP8", vp9: "VP9", av1: "AV1", h264: "H264" };

/**
 * Writes the server's offer.
 *
 * @throws {ServerViolation} if the server sent anything that must not be part of it
 */
export function offer(state: OfferState): string {
  checkOffer(state);
  const mids = state.sections.map((section) => section.mid).join(" ");
  const lines = [
    "v=0",
    `o=- 1 ${state.version} IN IP4 127.0.0.1`,
    "s=-",
    "t=0 0",
    `a=group:BUNDLE ${mids}`,
    "a=extmap-allow-mixed",
    "a=ice-lite",
    `a=ice-ufrag:${state.transport.ice.ufrag}`,
    `a=ice-pwd:${state.transport.ice.pwd}`,
    `a=fingerprint:sha-256 ${colonHex(state.transport.dtls.fingerprint)}`,
    "a=setup:actpass",
  ];
  state.sections.forEach((section, index) => {
    lines.push(...sectionLines(section, state, index === 0 ? candidateLines(state.transport) : []));
  });
  return `${lines.join("\r\n")}\r\n`;
}

function sectionLines(section: Section, state: OfferState, candidates: readonly string[]): string[] {
  const codec = state.codecs.find((entry) => entry.codec === section.codec);
  if (codec === undefined) throw new ServerViolation("a codec without a payload type");
  const { rids = [] } = section;
  const extensions = state.hdrext.filter(
    ({ uri, kinds }) => kinds.includes(section.kind) && (rids.length > 0 || !RID_EXTENSIONS.has(uri)),
  );
  const payloadTypes = codec.rtx === undefined ? `${codec.pt}` : `${codec.pt} ${codec.rtx}`;
  return [
    `m=${section.kind} 9 UDP/TLS/RTP/SAVPF ${payloadTypes}`,
    "c=IN IP4 0.0.0.0",
    ...candidates,
    `a=mid:${section.mid}`,
    `a=${section.direction}`,
    ...(section.msid === undefined ? [] : [`a=msid:${section.msid} ${section.mid}`]),
    "a=rtcp-mux",
    ...codecLines(section, codec, extensions),
    ...extensions.map((extension) => `a=extmap:${extension.id} ${extension.uri}`),
    ...ridLines(rids),
    ...ssrcLines(section),
  ];
}

/** The client sends each of these, so the server receives it (RFC 8853). */
function ridLines(rids: readonly string[]): string[] {
  if (rids.length === 0) return [];
  return [...rids.map((rid) => `a=rid:${rid} recv`), `a=simulcast:recv ${rids.join(";")}`];
}

function codecLines(
  { kind, constantRate = false }: Section,
  codec: CodecParameters,
  extensions: readonly HeaderExtension[],
): string[] {
  const channels = codec.codec === "opus" ? "/2" : "";
  const feedback = kind === "video" ? ["nack", "nack pli"] : [];
  if (extensions.some((extension) => extension.uri === TRANSPORT_CC)) feedback.push("transport-cc");
  const lines = [`a=rtpmap:${codec.pt} ${ENCODING_NAMES[codec.codec]}/${codec.clock}${channels}`];
  const fmtp = constantRate ? withConstantRate(codec.fmtp) : codec.fmtp;
  if (fmtp !== "") lines.push(`a=fmtp:${codec.pt} ${fmtp}`);
  lines.push(...feedback.map((value) => `a=rtcp-fb:${codec.pt} ${value}`));
  if (codec.rtx !== undefined)
    lines.push(`a=rtpmap:${codec.rtx} rtx/${codec.clock}`, `a=fmtp:${codec.rtx} apt=${codec.pt}`);
  return lines;
}

/** Returns format parameters of Opus by which the sender pauses never, and varies no packet (RFC 7587 section 6.1). */
function withConstantRate(fmtp: string): string {
  const kept = fmtp.split(";").filter((parameter) => parameter !== "" && !/^(usedtx|cbr)=/.test(parameter));
  return [...kept, "cbr=1"].join(";");
}

function ssrcLines(section: Section): string[] {
  if (section.ssrc === undefined) return [];
  const cname = `cname:${section.mid}`;
  if (section.rtx === undefined) return [`a=ssrc:${section.ssrc} ${cname}`];
  return [
    `a=ssrc-group:FID ${section.ssrc} ${section.rtx}`,
    `a=ssrc:${section.ssrc} ${cname}`,
    `a=ssrc:${section.rtx} ${cname}`,
  ];
}

function candidateLines(transport: ServerTransport): string[] {
  return transport.ice.candidates.map(
    ({ ip, port }, index) => `a=candidate:${index + 1} 1 udp ${CANDIDATE_PRIORITY - index} ${ip} ${port} typ host`,
  );
}

function colonHex(fingerprint: string): string {
  const bytes = decodeExactly(fingerprint, FINGERPRINT_BYTES);
  if (bytes === null) throw new ServerViolation("a certificate fingerprint");
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(":");
}

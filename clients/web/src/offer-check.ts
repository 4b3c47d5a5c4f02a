// What the server may have the browser negotiate.
//
// The client writes the server's offers from parameters that the server sends. Each of them is checked before it becomes
// part of a session description: text against a grammar that has no way to end a line or an attribute, numbers against
// their ranges, and header extensions and format parameters against lists. A browser offers to send more extensions than
// a call needs, and some carry what frame encryption must hide: the device's clock, or samples of the clear video.
//
// What does not fit is refused and never repaired: a server that sends it is faulty or hostile. Errors name the parameter,
// and repeat nothing of its value.

import { TacetError } from "./errors.ts";
import type { Codec, CodecParameters, HeaderExtension, Kind, ServerTransport } from "./protocol/generated.ts";
import type { OfferState, Section } from "./sdp.ts";
import { SOURCES } from "./sources.ts";

/** Audio level of the client (RFC 6464), from which the server finds active speakers. */
export const AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

/** Header extensions that may be negotiated, and the kinds of media that carry them. */
export const HEADER_EXTENSIONS: Readonly<Record<string, readonly Kind[]>> = {
  /** MID (RFC 8843). */
  "urn:ietf:params:rtp-hdrext:sdes:mid": ["audio", "video"],
  [AUDIO_LEVEL]: ["audio"],
  /** Transport-wide sequence number, for bandwidth estimation. */
  "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": ["audio", "video"],
  /** Dependency Descriptor (AV1 RTP specification, appendix A), from which the server selects layers. */
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension": ["video"],
  /** RID (RFC 8852): which encoding a packet belongs to, or repairs. */
  "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": ["video"],
  "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id": ["video"],
};

interface CodecRules {
  readonly kind: Kind;
  readonly clock: number;
  /** Format parameters that change neither how much a stream reveals nor to which party. */
  readonly fmtp: readonly string[];
}

const CODECS: Readonly<Record<Codec, CodecRules>> = {
  opus: { kind: "audio", clock: 48_000, fmtp: ["minptime", "useinbandfec", "usedtx"] },
  vp8: { kind: "video", clock: 90_000, fmtp: [] },
  vp9: { kind: "video", clock: 90_000, fmtp: ["profile-id"] },
  av1: { kind: "video", clock: 90_000, fmtp: ["profile", "level-idx", "tier"] },
  h264: {
    kind: "video",
    clock: 90_000,
    fmtp: ["level-asymmetry-allowed", "packetization-mode", "profile-level-id"],
  },
};

/** Lengths of ICE user name fragment and password: the minimum of RFC 8839 section 5.4, and the server's own maximum. */
const UFRAG = /^[A-Za-z0-9+/]{4,256}$/;
const PASSWORD = /^[A-Za-z0-9+/]{22,256}$/;
/** A MID, and a RID, fits a one-byte header extension (RFC 8285 section 4.2). */
const MID = /^[A-Za-z0-9]{1,16}$/;
const MSID = /^p[0-9]{1,10}$/;
const IPV4 = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;
const IPV6 = /^[0-9A-Fa-f:.]{2,45}$/;
const FORMAT_VALUE = /^[0-9A-Fa-f]{1,8}$/;

/** Dynamic payload types (RFC 3551 section 6). */
const PAYLOAD_TYPES = [96, 127] as const;
/** Ids of one-byte header extensions (RFC 8285 section 4.2). */
const EXTENSION_IDS = [1, 14] as const;
const PORTS = [1, 65_535] as const;
const SSRCS = [1, 0xffff_ffff] as const;
/** Candidates of one server: addresses of its interfaces. */
const MAX_CANDIDATES = 32;
/** More than the server has slots and a client has sources. */
const MAX_SECTIONS = 512;

const OWN_MIDS: ReadonlySet<string> = new Set(Object.values(SOURCES).map(({ mid }) => mid));

/** The server asked for something that no server may ask for. */
export class ServerViolation extends TacetError {
  /** @param what the parameter at fault, as part of a sentence */
  constructor(what: string) {
    super(
      "server-violation",
      `The server sent connection parameters that must not be used: ${what}. Nothing of them was used.`,
    );
  }
}

function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new ServerViolation(what);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function matches(value: unknown, grammar: RegExp): value is string {
  return typeof value === "string" && grammar.test(value);
}

/** Whether this is a key of a table: text, since an array of one text would pass as that text. */
function isKey<Table extends object>(table: Table, key: unknown): key is keyof Table {
  return typeof key === "string" && Object.hasOwn(table, key);
}

function inRange(value: unknown, [lowest, highest]: readonly [number, number]): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= lowest && value <= highest;
}

function distinct(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length;
}

/**
 * Checks the tables of `welcome`.
 *
 * @throws {ServerViolation} if one of them may not be used
 */
export function checkTables(codecs: readonly CodecParameters[], hdrext: readonly HeaderExtension[]): void {
  demand(Array.isArray(codecs) && Array.isArray(hdrext), "a table that is none");
  demand([...codecs, ...hdrext].every(isObject), "a table that is none");
  for (const codec of codecs) checkCodec(codec);
  demand(distinct(codecs.flatMap(({ pt, rtx }) => (rtx === undefined ? [pt] : [pt, rtx]))), "a repeated payload type");
  for (const extension of hdrext) checkExtension(extension);
  demand(distinct(hdrext.map(({ id }) => id)), "a repeated id of a header extension");
  demand(distinct(hdrext.map(({ uri }) => uri)), "a repeated header extension");
}

function checkCodec({ codec, pt, rtx, clock, fmtp }: CodecParameters): void {
  demand(isKey(CODECS, codec), "an unknown codec");
  const rules = CODECS[codec];
  demand(inRange(pt, PAYLOAD_TYPES), "a payload type");
  demand(rtx === undefined || (rules.kind === "video" && inRange(rtx, PAYLOAD_TYPES)), "a payload type");
  demand(clock === rules.clock, "a clock rate");
  demand(typeof fmtp === "string", "format parameters");
  for (const parameter of fmtp === "" ? [] : fmtp.split(";")) {
    const [name = "", value, ...rest] = parameter.split("=");
    demand(rules.fmtp.includes(name) && matches(value, FORMAT_VALUE) && rest.length === 0, "format parameters");
  }
}

function checkExtension({ uri, id, kinds }: HeaderExtension): void {
  demand(isKey(HEADER_EXTENSIONS, uri), "a header extension that is not allowed");
  demand(inRange(id, EXTENSION_IDS), "the id of a header extension");
  const allowed = HEADER_EXTENSIONS[uri] ?? [];
  demand(Array.isArray(kinds) && kinds.every((kind) => allowed.includes(kind)), "the use of a header extension");
}

/**
 * Checks everything of an offer that comes from the server.
 *
 * @throws {ServerViolation} if any of it may not be used
 */
export function checkOffer({ transport, codecs, hdrext, sections }: OfferState): void {
  checkTables(codecs, hdrext);
  checkTransport(transport);
  demand(sections.length <= MAX_SECTIONS, "too many slots");
  for (const section of sections) checkSection(section);
  demand(distinct(sections.map(({ mid }) => mid)), "a repeated media identification");
}

function checkTransport({ ice, dtls }: ServerTransport): void {
  demand(matches(ice?.ufrag, UFRAG), "an ICE user name");
  demand(matches(ice.pwd, PASSWORD), "an ICE password");
  demand(Array.isArray(ice.candidates) && ice.candidates.length <= MAX_CANDIDATES, "ICE candidates");
  demand(ice.candidates.every(isObject), "ICE candidates");
  for (const { ip, port } of ice.candidates) {
    demand(isAddress(ip), "the address of a candidate");
    demand(inRange(port, PORTS), "the port of a candidate");
  }
  demand(typeof dtls?.fingerprint === "string", "a certificate fingerprint");
}

/** Whether this is an IP address: the browser would look up a name, and the server would learn who resolves it. */
function isAddress(ip: unknown): boolean {
  if (matches(ip, IPV4)) return ip.split(".").every((byte) => Number(byte) <= 255);
  return matches(ip, IPV6) && ip.includes(":") && URL.canParse(`http://[${ip}]/`);
}

function checkSection({ mid, kind, codec, direction, rids = [], ssrc, rtx, msid }: Section): void {
  demand(matches(mid, MID) && (direction === "recvonly" || !OWN_MIDS.has(mid)), "a media identification");
  demand(isKey(CODECS, codec) && CODECS[codec].kind === kind, "the kind of a slot");
  demand(rids.length === 0 || direction === "recvonly", "the encodings of a slot");
  demand(ssrc === undefined || inRange(ssrc, SSRCS), "the source of a slot");
  demand(rtx === undefined || (inRange(rtx, SSRCS) && rtx !== ssrc), "the source of a slot");
  demand(msid === undefined || matches(msid, MSID), "the owner of a slot");
}

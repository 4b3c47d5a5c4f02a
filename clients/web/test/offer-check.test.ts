// What a server may not have the browser negotiate: every parameter of an offer, with every kind of wrong value.

import { describe, expect, it } from "vitest";
import { encode } from "../src/base64url.ts";
import { checkTables, HEADER_EXTENSIONS, ServerViolation } from "../src/offer-check.ts";
import { type OfferState, offer, type Section } from "../src/sdp.ts";

/** Texts that would end a line, an attribute or a token, or that no server needs. */
const INJECTIONS = [
  "abcd\r\na=injected:1",
  "abcd\na=injected:1",
  "abcd\ra=injected:1",
  "abcd\0efgh",
  "a=injected:1",
  "abcd efgh",
  "abcd\tefgh",
  " ",
  "",
  "abcd:efgh",
  "ab\u2028cd\u0085",
  "аbcd",
  "ａｂｃｄ",
  "abc\u{1f600}",
  "ab\u202ecd",
  "a".repeat(257),
  `${"a".repeat(30)}\r\n`,
] as const;
/** Values of other types, which JSON can carry as well. */
const OTHER_TYPES = [null, undefined, true, {}, ["abcd"], ["vp8"], [["a=x"]], { toString: "abcd" }] as const;
const NO_INTEGERS = [-1, 0.5, Number.NaN, Infinity, "7", "7\r\na=injected:1", ...OTHER_TYPES] as const;
const NO_TEXTS = [...INJECTIONS, ...OTHER_TYPES, 7] as const;

const MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid";
const SLOT: Section = { mid: "r0", kind: "video", codec: "vp8", direction: "sendonly", ssrc: 5, rtx: 6, msid: "p7" };

function good(): OfferState {
  return {
    version: 1,
    transport: {
      ice: { ufrag: "abcd", pwd: "p".repeat(22), candidates: [{ ip: "192.0.2.1", port: 4_000 }] },
      dtls: { fingerprint: encode(new Uint8Array(32).fill(1)) },
    },
    codecs: [
      { codec: "opus", pt: 111, clock: 48_000, fmtp: "minptime=10;useinbandfec=1" },
      { codec: "vp8", pt: 96, rtx: 97, clock: 90_000, fmtp: "" },
      { codec: "h264", pt: 102, rtx: 103, clock: 90_000, fmtp: "packetization-mode=1;profile-level-id=42e01f" },
    ],
    hdrext: [{ uri: MID_URI, id: 1, kinds: ["audio", "video"] }],
    sections: [{ ...SLOT }],
  };
}

/** Returns a good offer in which the value at a path is another one. */
function withValue(path: string, value: unknown): OfferState {
  const state = good();
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  let at = state as unknown as Record<string, unknown>;
  for (const key of keys) at = at[key] as Record<string, unknown>;
  at[last] = value;
  return state;
}

const TABLE: readonly (readonly [path: string, values: readonly unknown[]])[] = [
  ["transport.ice.ufrag", [...NO_TEXTS, "abc", "abc-", "ab_cd", "abcd="]],
  ["transport.ice.pwd", [...NO_TEXTS, "p".repeat(21), `${"p".repeat(22)}-`, `${"p".repeat(22)}\r\na=x`]],
  ["transport.ice.candidates", [...OTHER_TYPES, Array(33).fill({ ip: "192.0.2.1", port: 1 })]],
  [
    "transport.ice.candidates.0.ip",
    [
      ...NO_TEXTS,
      "localhost",
      "tracker.example",
      "192.0.2.256",
      "192.0.2",
      "192.0.2.1.1",
      "0x7f.1",
      "::g",
      "fe80::1%eth0",
    ],
  ],
  ["transport.ice.candidates.0.ip", ["1::2::3", "192.0.2.1 1 typ relay", "[::1]", ":", "a:b"]],
  ["transport.ice.candidates.0.port", [...NO_INTEGERS, 0, 65_536]],
  ["transport.dtls.fingerprint", [...NO_TEXTS, encode(new Uint8Array(31)), encode(new Uint8Array(33))]],
  ["transport.ice.candidates.0", OTHER_TYPES],
  ["codecs", OTHER_TYPES],
  ["codecs.0", OTHER_TYPES],
  ["codecs.1.codec", [...NO_TEXTS, "VP8", "constructor", "__proto__", "h265"]],
  ["codecs.1.pt", [...NO_INTEGERS, 0, 95, 128, 111, 97]],
  ["codecs.1.rtx", [...NO_INTEGERS.filter((value) => value !== undefined), 0, 95, 128, 96]],
  ["codecs.0.rtx", [98]],
  ["codecs.1.clock", [...NO_INTEGERS, 8_000, 48_000]],
  ["codecs.0.fmtp", [...NO_TEXTS.filter((value) => value !== ""), "cbr=0", "stereo=1", "minptime", "minptime=10;"]],
  ["codecs.0.fmtp", ["minptime=10\r\na=x", "minptime=10;useinbandfec=1;x=y", "minptime=1=2", "minptime=123456789"]],
  ["codecs.1.fmtp", ["x-google-start-bitrate=1", "max-fr=1"]],
  ["codecs.2.fmtp", ["sprop-parameter-sets=Z0IACpZTBYmI,aMljiA=="]],
  ["hdrext", OTHER_TYPES],
  ["hdrext.0", OTHER_TYPES],
  [
    "hdrext.0.uri",
    [
      ...NO_TEXTS,
      `${MID_URI}\r\na=injected:1`,
      `${MID_URI} `,
      MID_URI.toUpperCase(),
      "toString",
      "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
      "http://www.webrtc.org/experiments/rtp-hdrext/corruption-detection",
      "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
      "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
      "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
      "urn:3gpp:video-orientation",
    ],
  ],
  ["hdrext.0.id", [...NO_INTEGERS, 0, 15, 256]],
  [
    "hdrext.0.kinds",
    [...OTHER_TYPES.filter((value) => !Array.isArray(value)), ["text"], ["audio", "video\r\na=x"], "audio"],
  ],
  ["sections.0.mid", [...NO_TEXTS, "a".repeat(17), "r-0", "r0 r1", "sa", "sv", "ss", "sx"]],
  ["sections.0.kind", ["audio", "text", "video\r\na=x"]],
  ["sections.0.codec", ["opus", "vp9", "toString", 7]],
  ["sections.0.ssrc", [...NO_INTEGERS.filter((value) => value !== undefined), 0, 2 ** 32, 6]],
  ["sections.0.rtx", [...NO_INTEGERS.filter((value) => value !== undefined), 0, 2 ** 32, 5]],
  ["sections.0.rids", [["q"], ["q", "h"]]],
  ["sections.0.msid", ["p", "p7\r\na=injected:1", "px", "7", "p12345678901"]],
  ["sections", [[SLOT, SLOT], Array.from({ length: 513 }, (_, index) => ({ ...SLOT, mid: `r${index}` }))]],
];

describe("checkOffer", () => {
  it("accepts what a server needs", () => {
    expect(offer(good())).toContain("a=mid:r0\r\n");
    const addresses = ["2001:db8::5", "::1", "::ffff:192.0.2.1", "fe80::1"];
    for (const ip of addresses) expect(offer(withValue("transport.ice.candidates.0.ip", ip))).toContain(` ${ip} 4000 `);
    const all = Object.entries(HEADER_EXTENSIONS).map(([uri, kinds], index) => ({
      uri,
      id: index + 1,
      kinds: [...kinds],
    }));
    // Those of RIDs are left out where there are none.
    expect(offer(withValue("hdrext", all)).match(/a=extmap:/g)).toHaveLength(3);
    const sections = [{ mid: "sv", kind: "video", codec: "vp8", direction: "recvonly", rids: ["q", "h", "f"] }];
    expect(offer({ ...withValue("hdrext", all), ...withValue("sections", sections), hdrext: all })).toContain(
      "a=simulcast:recv q;h;f\r\n",
    );
  });

  it.each(TABLE)("refuses a wrong %s, and repeats nothing of it", (path, values) => {
    for (const value of values) {
      const refused = (): string => offer(withValue(path, value));
      expect(refused, JSON.stringify(value)).toThrow(ServerViolation);
      expect(refused, JSON.stringify(value)).toThrow(
        /^The server sent connection parameters that must not be used: [a-zA-Z ]+\./,
      );
    }
  });

  it("writes no line that it was not made to write", () => {
    const lines = offer(good()).split("\r\n");
    expect(lines.every((line) => /^(?:[a-z]=[\x20-\x7e]+)?$/.test(line))).toBe(true);
  });
});

describe("checkTables", () => {
  it("refuses an extension on a kind of media that it is not for", () => {
    const level = { uri: "urn:ietf:params:rtp-hdrext:ssrc-audio-level", id: 2, kinds: ["video" as const] };
    expect(() => checkTables([], [level])).toThrow(ServerViolation);
  });

  it("refuses two extensions with one id, and one extension with two", () => {
    const [first = "", second = ""] = Object.keys(HEADER_EXTENSIONS);
    const entry = (uri: string, id: number) => ({ uri, id, kinds: ["audio" as const] });
    expect(() => checkTables([], [entry(first, 1), entry(second, 1)])).toThrow(ServerViolation);
    expect(() => checkTables([], [entry(first, 1), entry(first, 2)])).toThrow(ServerViolation);
    expect(() => checkTables([], [entry(first, 1), entry(second, 2)])).not.toThrow();
  });
});

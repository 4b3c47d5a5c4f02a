import { describe, expect, it } from "vitest";
import { encode } from "../src/base64url.ts";
import { ServerViolation } from "../src/offer-check.ts";
import { type OfferState, offer, type Section } from "../src/sdp.ts";

const MID = { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", id: 1, kinds: ["audio", "video"] } as const;
const LEVEL = { uri: "urn:ietf:params:rtp-hdrext:ssrc-audio-level", id: 2, kinds: ["audio"] } as const;
const TWCC = {
  uri: "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
  id: 3,
  kinds: ["audio", "video"],
} as const;
const PASSWORD = "0123456789abcdefghij+/";
const MIC: Section = { mid: "sa", kind: "audio", codec: "opus", direction: "recvonly" };
const CAMERA: Section = { mid: "sv", kind: "video", codec: "vp8", direction: "recvonly" };

function state(changes: Partial<OfferState>): OfferState {
  return {
    version: 1,
    transport: {
      ice: { ufrag: "ufrag", pwd: PASSWORD, candidates: [{ ip: "10.99.0.1", port: 8801 }] },
      dtls: { fingerprint: encode(Uint8Array.from({ length: 32 }, (_, index) => index * 8)) },
    },
    codecs: [
      { codec: "opus", pt: 111, clock: 48_000, fmtp: "" },
      { codec: "vp8", pt: 96, rtx: 97, clock: 90_000, fmtp: "" },
    ],
    hdrext: [MID, TWCC, LEVEL].map((extension) => ({ ...extension, kinds: [...extension.kinds] })),
    sections: [MIC, CAMERA],
    ...changes,
  };
}

const PUBLISHING = `v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE sa sv
a=extmap-allow-mixed
a=ice-lite
a=ice-ufrag:ufrag
a=ice-pwd:${PASSWORD}
a=fingerprint:sha-256 00:08:10:18:20:28:30:38:40:48:50:58:60:68:70:78:80:88:90:98:A0:A8:B0:B8:C0:C8:D0:D8:E0:E8:F0:F8
a=setup:actpass
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2130706431 10.99.0.1 8801 typ host
a=mid:sa
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:sv
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 transport-cc
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
`;

const SLOTS = `m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:a2
a=sendonly
a=msid:p7 a2
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=ssrc:1001 cname:a2
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:v3
a=sendonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 transport-cc
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=ssrc-group:FID 1002 1003
a=ssrc:1002 cname:v3
a=ssrc:1003 cname:v3
`;

const crlf = (text: string): string => text.replaceAll("\n", "\r\n");

describe("offer", () => {
  it("matches the text that both browsers accept, for publishing", () => {
    expect(offer(state({}))).toBe(crlf(PUBLISHING));
  });

  it("appends slots with their owners, and leaves the rest unchanged", () => {
    const slots: Section[] = [
      { mid: "a2", kind: "audio", codec: "opus", direction: "sendonly", ssrc: 1001, msid: "p7" },
      { mid: "v3", kind: "video", codec: "vp8", direction: "sendonly", ssrc: 1002, rtx: 1003 },
    ];
    const expected = PUBLISHING.replace("o=- 1 1 ", "o=- 1 2 ").replace("BUNDLE sa sv", "BUNDLE sa sv a2 v3") + SLOTS;
    expect(offer(state({ version: 2, sections: [MIC, CAMERA, ...slots] }))).toBe(crlf(expected));
  });

  it("lists all candidates in order of priority", () => {
    const { transport } = state({});
    const candidates = [
      { ip: "203.0.113.5", port: 1 },
      { ip: "2001:db8::5", port: 2 },
    ];
    const text = offer(state({ transport: { ...transport, ice: { ...transport.ice, candidates } } }));
    expect(text).toContain("a=candidate:1 1 udp 2130706431 203.0.113.5 1 typ host\r\n");
    expect(text).toContain("a=candidate:2 1 udp 2130706430 2001:db8::5 2 typ host\r\n");
  });

  it("writes format parameters, and no feedback that the server did not list", () => {
    const codecs = [{ codec: "opus" as const, pt: 109, clock: 48_000, fmtp: "useinbandfec=1" }];
    const text = offer(state({ codecs, hdrext: [], sections: [MIC] }));
    expect(text).toContain("a=fmtp:109 useinbandfec=1\r\n");
    expect(text).not.toContain("transport-cc");
    expect(text).not.toContain("extmap:");
  });

  it("asks for the encodings of a track, with the extensions that name them", () => {
    const extension = (name: string, id: number) => ({
      uri: `urn:ietf:params:rtp-hdrext:sdes:${name}`,
      id,
      kinds: ["video" as const],
    });
    const hdrext = [extension("rtp-stream-id", 5), extension("repaired-rtp-stream-id", 6)];
    const slot: Section = { mid: "v3", kind: "video", codec: "vp8", direction: "sendonly", ssrc: 1002 };
    const text = offer(state({ hdrext, sections: [{ ...CAMERA, rids: ["q", "h", "f"] }, slot] }));
    const [, camera = "", received = ""] = text.split("\r\nm=");
    expect(camera.split("\r\n").slice(-6)).toEqual([
      "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
      "a=extmap:6 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
      "a=rid:q recv",
      "a=rid:h recv",
      "a=rid:f recv",
      "a=simulcast:recv q;h;f",
    ]);
    expect(received).not.toMatch(/extmap|rid|simulcast/);
  });

  it("asks for audio without pauses and at a constant rate, whatever the server would have", () => {
    const codecs = [{ codec: "opus" as const, pt: 109, clock: 48_000, fmtp: "useinbandfec=1;usedtx=1" }];
    const text = (constantRate: boolean): string => offer(state({ codecs, sections: [{ ...MIC, constantRate }] }));
    expect(text(false)).toContain("a=fmtp:109 useinbandfec=1;usedtx=1\r\n");
    expect(text(true)).toContain("a=fmtp:109 useinbandfec=1;cbr=1\r\n");
  });

  it("refuses a codec that is not in the server's table", () => {
    expect(() => offer(state({ codecs: [] }))).toThrow(ServerViolation);
  });
});

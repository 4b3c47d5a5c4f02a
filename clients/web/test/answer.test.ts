import { describe, expect, it } from "vitest";
import { parseAnswer } from "../src/answer.ts";
import { decode } from "../src/base64url.ts";

const FINGERPRINT = Array.from({ length: 32 }, (_, index) => index.toString(16).padStart(2, "0")).join(":");

const CHROMIUM = [
  "v=0",
  "o=- 1 2 IN IP4 127.0.0.1",
  "s=-",
  "t=0 0",
  "a=group:BUNDLE sa sv a2",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "c=IN IP4 0.0.0.0",
  "a=ice-ufrag:AbCd",
  "a=ice-pwd:0123456789abcdefghijklmn",
  `a=fingerprint:sha-256 ${FINGERPRINT.toUpperCase()}`,
  "a=setup:active",
  "a=mid:sa",
  "a=sendonly",
  "a=ssrc:111111 cname:x",
  "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
  "a=ice-ufrag:AbCd",
  "a=mid:sv",
  "a=ssrc-group:FID 4294967295 333333",
  "a=ssrc:4294967295 cname:x",
  "a=ssrc:333333 cname:x",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=mid:a2",
  "a=recvonly",
  "",
].join("\r\n");

const FIREFOX = [
  "v=0",
  "o=mozilla 1 0 IN IP4 0.0.0.0",
  `a=fingerprint:sha-256 ${FINGERPRINT}`,
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=ice-pwd:ffffffffffffffffffffffffffffffff",
  "a=ice-ufrag:cafe0000",
  "a=mid:sa",
  "a=ssrc:5 cname:{x}",
].join("\n");

describe("parseAnswer", () => {
  it("reads credentials, fingerprint and SSRCs from an answer of Chromium", () => {
    const { transport, senders } = parseAnswer(CHROMIUM);
    expect(transport.ice).toEqual({ ufrag: "AbCd", pwd: "0123456789abcdefghijklmn" });
    expect(decode(transport.dtls.fingerprint)).toEqual(Uint8Array.from({ length: 32 }, (_, index) => index));
    expect([...senders]).toEqual([
      ["sa", { ssrc: 111_111 }],
      ["sv", { ssrc: 4_294_967_295, rtx: 333_333 }],
    ]);
  });

  it("reads an answer of Firefox, which has the fingerprint at session level", () => {
    const { transport, senders } = parseAnswer(FIREFOX);
    expect(transport.ice.ufrag).toBe("cafe0000");
    expect(decode(transport.dtls.fingerprint)).toHaveLength(32);
    expect([...senders]).toEqual([["sa", { ssrc: 5 }]]);
  });

  it.each([
    ["Chromium, which writes none", []],
    ["Firefox, which writes them without RIDs", ["a=ssrc:7 cname:{x}", "a=ssrc:8 cname:{x}", "a=ssrc-group:FID 7 8"]],
  ])("leaves the SSRCs of encodings to be learned, in an answer of %s", (_, ssrcs) => {
    const simulcast = ["m=video 9 UDP/TLS/RTP/SAVPF 96 97", "a=mid:sv", "a=rid:q send", "a=rid:f send"];
    const answer = [FIREFOX, ...simulcast, "a=simulcast:send q;f", ...ssrcs].join("\n");
    expect([...parseAnswer(answer).senders.keys()]).toEqual(["sa"]);
  });

  it("rejects an answer without credentials or with another hash", () => {
    expect(() => parseAnswer("v=0\r\n")).toThrow(RangeError);
    expect(() => parseAnswer(FIREFOX.replace("sha-256", "sha-1"))).toThrow("SHA-256");
  });
});

import { describe, expect, it } from "vitest";
import { decode, encode } from "../src/base64url.ts";
import { TacetError } from "../src/errors.ts";
import { formatLink, parseLink } from "../src/link.ts";

const ROOM = encode(new Uint8Array(16).fill(0xab));
const SECRET = encode(new Uint8Array(32).fill(0xcd));

function refusal(link: string): string {
  try {
    parseLink(link);
  } catch (thrown) {
    if (thrown instanceof TacetError && thrown.code === "bad-link") return thrown.message;
  }
  throw new Error("accepted, or refused for another reason");
}

describe("a room link", () => {
  it("is read into server, room and secret, and written back", () => {
    const link = `https://calls.example:8443/r/${ROOM}#${SECRET}`;
    const parsed = parseLink(link);
    expect(parsed.server).toBe("https://calls.example:8443");
    expect(parsed.roomBytes).toEqual(new Uint8Array(16).fill(0xab));
    expect(parsed.secret).toEqual(new Uint8Array(32).fill(0xcd));
    expect(formatLink(parsed)).toBe(link);
  });

  it("is refused with what is wrong with it", () => {
    expect(refusal("calls")).toContain("not a link");
    expect(refusal(`ftp://x/r/${ROOM}#${SECRET}`)).toContain("https://");
    expect(refusal(`https://x/${ROOM}#${SECRET}`)).toContain("does not name a room");
    expect(refusal(`https://x/r/${ROOM.slice(1)}#${SECRET}`)).toContain("room");
    expect(refusal(`https://x/r/${ROOM}`)).toContain("lacks its secret");
    expect(refusal(`https://x/r/${ROOM}#${SECRET.slice(1)}`)).toContain("secret");
    expect(refusal(`https://x/r/${ROOM}#${SECRET}=`)).toContain("secret");
  });

  it("never repeats its secret in an error", () => {
    expect(refusal(`https://x/r/${ROOM}#${SECRET}x`)).not.toContain(SECRET.slice(0, 8));
  });
});

describe("base64url", () => {
  it("survives every length", () => {
    for (let length = 0; length < 70; length += 1) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 37) & 0xff);
      expect(decode(encode(bytes))).toEqual(bytes);
    }
  });

  it("refuses padding, foreign characters and stray bits", () => {
    for (const text of ["AA==", "A", "A+", "A/", "AB", "a b", "\n"]) expect(decode(text)).toBeNull();
  });
});

import { describe, expect, it } from "vitest";
import { decode, encode } from "../src/base64url.ts";
import { TacetError } from "../src/errors.ts";
import { formatLink, parseLink } from "../src/link.ts";

const ROOM = encode(new Uint8Array(16).fill(0xab));
const SECRET = encode(new Uint8Array(32).fill(0xcd));

function errorOf(link: string): string {
  try {
    parseLink(link);
  } catch (thrown) {
    if (thrown instanceof TacetError && thrown.code === "bad-link") return thrown.message;
  }
  throw new Error("parsed, or rejected for another reason");
}

describe("parseLink", () => {
  it("returns server, room and secret, and formatLink restores the link", () => {
    const link = `https://calls.example:8443/r/${ROOM}#${SECRET}`;
    const parsed = parseLink(link);
    expect(parsed.server).toBe("https://calls.example:8443");
    expect(parsed.roomBytes).toEqual(new Uint8Array(16).fill(0xab));
    expect(parsed.secret).toEqual(new Uint8Array(32).fill(0xcd));
    expect(formatLink(parsed)).toBe(link);
  });

  it("says what is wrong with an invalid link", () => {
    expect(errorOf("calls")).toContain("not a link");
    expect(errorOf(`ftp://x/r/${ROOM}#${SECRET}`)).toContain("https://");
    expect(errorOf(`https://x/${ROOM}#${SECRET}`)).toContain("does not lead to a room");
    expect(errorOf(`https://x/r/${ROOM.slice(1)}#${SECRET}`)).toContain("room");
    expect(errorOf(`https://x/r/${ROOM}`)).toContain("missing its secret");
    expect(errorOf(`https://x/r/${ROOM}#${SECRET.slice(1)}`)).toContain("secret");
    expect(errorOf(`https://x/r/${ROOM}#${SECRET}=`)).toContain("secret");
  });

  it("does not repeat the secret in an error", () => {
    expect(errorOf(`https://x/r/${ROOM}#${SECRET}x`)).not.toContain(SECRET.slice(0, 8));
  });
});

describe("base64url", () => {
  it("round-trips every length", () => {
    for (let length = 0; length < 70; length += 1) {
      const bytes = Uint8Array.from({ length }, (_, index) => (index * 37) & 0xff);
      expect(decode(encode(bytes))).toEqual(bytes);
    }
  });

  it("rejects padding, other characters and stray bits", () => {
    for (const text of ["AA==", "A", "A+", "A/", "AB", "a b", "\n"]) expect(decode(text)).toBeNull();
  });
});

// The peer's SFrame against the vectors of RFC 9605 Appendix C, so that what agrees with it agrees with the standard.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { fromHex, hex } from "./peer/bytes.ts";
import { encodeHeader, frameKeys, nonce, open, parseHeader, SUITE, seal } from "./peer/sframe.ts";

interface Vector {
  readonly cipher_suite: number;
  readonly kid: number;
  readonly ctr: number;
  readonly base_key: string;
  readonly sframe_key: string;
  readonly sframe_salt: string;
  readonly nonce: string;
  readonly metadata: string;
  readonly pt: string;
  readonly ct: string;
}

const FILE = new URL("../../../e2ee-frames/vectors/rfc9605.json", import.meta.url);
const { sframe } = JSON.parse(readFileSync(FILE, "utf8")) as { sframe: Vector[] };

it("suite 5 of RFC 9605 Appendix C.3", async () => {
  const vectors = sframe.filter((vector) => vector.cipher_suite === SUITE);
  expect(vectors).toHaveLength(1);
  for (const vector of vectors) {
    const header = { kid: BigInt(vector.kid), ctr: BigInt(vector.ctr) };
    const [baseKey, metadata, plain] = [vector.base_key, vector.metadata, vector.pt].map(fromHex) as [
      ReturnType<typeof fromHex>,
      ReturnType<typeof fromHex>,
      ReturnType<typeof fromHex>,
    ];
    const keys = await frameKeys(baseKey, header.kid);
    expect(hex(keys.key)).toBe(vector.sframe_key);
    expect(hex(keys.salt)).toBe(vector.sframe_salt);
    expect(hex(nonce(keys.salt, header.ctr))).toBe(vector.nonce);
    expect(hex(await seal(baseKey, header, metadata, plain))).toBe(vector.ct);
    expect(hex(await open(baseKey, metadata, fromHex(vector.ct)))).toBe(vector.pt);
  }
});

it.each([
  ["00", 0n, 0n],
  ["08ff", 0n, 255n],
  ["190100", 1n, 256n],
  ["80ff", 255n, 0n],
  ["9901234567", 0x123n, 0x4567n],
  ["c80100000000ff", 1n << 32n, 255n],
  ["ff".repeat(17), 2n ** 64n - 1n, 2n ** 64n - 1n],
])("header %s", (bytes, kid, ctr) => {
  expect(hex(encodeHeader({ kid, ctr }))).toBe(bytes);
  expect(parseHeader(fromHex(`${bytes}aabb`)).header).toEqual({ kid, ctr });
});

it.each(["", "08", "0807", "0900ff", "9000ff", "99012345"])("%j is no header", (bytes) => {
  expect(() => parseHeader(fromHex(bytes))).toThrow(RangeError);
});

// The peer's SFrame implementation against the test vectors of RFC 9605 Appendix C.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { fromHex, hex, toNumber } from "./peer/bytes.ts";
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
const { header: headers, sframe } = JSON.parse(readFileSync(FILE, "utf8")) as {
  /** KID, CTR and the header as bytes, all in hex. */
  header: [string, string, string][];
  sframe: Vector[];
};

it("sframe: cipher suite 5 (Appendix C.3)", async () => {
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

it("header: encoding (Appendix C.1)", () => {
  expect(headers).toHaveLength(289);
  for (const [kid, ctr, encoded] of headers) {
    const header = { kid: toNumber(fromHex(kid)), ctr: toNumber(fromHex(ctr)) };
    expect(hex(encodeHeader(header))).toBe(encoded);
    expect(parseHeader(fromHex(`${encoded}aabb`)).header).toEqual(header);
  }
});

it.each(["", "08", "0807", "0900ff", "9000ff", "99012345"])("header: %j is rejected", (bytes) => {
  expect(() => parseHeader(fromHex(bytes))).toThrow(RangeError);
});

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { callCode } from "../src/call-code.ts";
import { FrameCrypto } from "../src/e2ee/wasm.ts";
import { EventKind } from "../src/worker/action.ts";
import { Device, introduce, moduleBytes } from "./device.ts";
import { fromHex } from "./peer/bytes.ts";

const VECTORS = JSON.parse(readFileSync(new URL("../../../e2ee-frames/vectors/v1.json", import.meta.url), "utf8")) as {
  call_codes: readonly { readonly code: string; readonly digits: string }[];
};

describe("callCode", () => {
  it("has the digits of the published vectors", () => {
    expect(VECTORS.call_codes.length).toBeGreaterThan(2);
    for (const { code, digits } of VECTORS.call_codes) expect(callCode(fromHex(code)).groups.join(" ")).toBe(digits);
  });

  it("keeps leading zeros, and all bytes as text", () => {
    const bytes = new Uint8Array(32);
    bytes.set([0, 0, 0, 0, 7, 0, 0, 1, 0x86, 0xa1]);
    const { groups, text } = callCode(bytes);
    expect(groups).toEqual(["00007", "00001", "00000", "00000", "00000", "00000"]);
    expect(text).toHaveLength(43);
    bytes[31] = 1;
    expect(callCode(bytes).groups).toEqual(groups);
    expect(callCode(bytes).text).not.toBe(text);
  });
});

/** Returns the last code that a device reported. */
function codeOf({ actions }: Device): string {
  const last = actions.findLast((action) => action.kind === "call-code");
  return last === undefined ? "none" : last.code.join();
}

describe("the call code of the module", () => {
  it("is equal for two devices that know each other, changes with a third, and is gone when one has left", async () => {
    const library = await FrameCrypto.fromBytes(moduleBytes());
    const invite = new Uint8Array(32).fill(9);
    const [ada, bo, cy] = [1, 2, 3].map((number) => new Device(library, number, `device ${number}`, invite)) as [
      Device,
      Device,
      Device,
    ];
    const codes = (): string[] => [ada, bo].map(codeOf);
    const alone = codes();
    introduce(ada, bo);
    const together = codes();
    expect(together[0]).toBe(together[1]);
    expect(together[0]).not.toBe(alone[0]);
    introduce(ada, cy);
    introduce(bo, cy);
    const three = codes();
    expect(three[0]).toBe(three[1]);
    expect(three[0]).not.toBe(together[0]);
    ada.event(EventKind.Left, Uint8Array.of(0, 0, 0, 3), 10);
    expect(codeOf(ada)).toBe(together[0]);
  });
});

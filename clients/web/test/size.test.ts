// The module is loaded before a call can start, so it must stay small.

import { expect, it } from "vitest";
import { moduleBytes } from "./device.ts";

it("the wasm module is at most 250 KiB", () => {
  expect(moduleBytes().length).toBeLessThanOrEqual(250 * 1_024);
});

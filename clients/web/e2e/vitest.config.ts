import { defineConfig } from "vitest/config";

/** Browsers use many resources: files run one at a time, with timeouts for a busy machine with two cores. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.ts", "outages/*.test.ts"],
    fileParallelism: false,
    testTimeout: process.env.CHAOS === undefined ? 180_000 : 1_200_000,
    hookTimeout: 120_000,
    retry: 0,
  },
});

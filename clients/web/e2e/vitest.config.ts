import { defineConfig } from "vitest/config";

/** Browsers are heavy: one file at a time, and limits that a busy machine with two cores keeps. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 120_000,
    retry: 0,
  },
});

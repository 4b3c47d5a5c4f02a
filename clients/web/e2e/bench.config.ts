import { defineConfig } from "vitest/config";

/** Benchmarks print their results. They take long, and run one at a time. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.bench.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 600_000,
  },
});

import { defineConfig } from "vitest/config";

/** Benches print; they take their time, and nothing runs beside them. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.bench.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 600_000,
  },
});

import { defineConfig } from "vitest/config";

/** The browser matrix, which takes a quarter of an hour, one row at a time, and the gallery. Both print tables. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["matrix/*.matrix.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 240_000,
    hookTimeout: 120_000,
    retry: 0,
  },
});

import { defineConfig } from "vitest/config";

/** The browser matrix. It takes ten minutes, one row at a time, and prints a table. */
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

import { defineConfig } from "vitest/config";

/** Recordings of what browsers send. They write files, and run one at a time. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.record.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 300_000,
  },
});

import { defineConfig } from "vitest/config";

/** The long run over bad networks. It lasts as long as it is asked to, and prints what it saw. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["soak/*.soak.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 4 * 3_600_000,
    hookTimeout: 120_000,
    retry: 0,
  },
});

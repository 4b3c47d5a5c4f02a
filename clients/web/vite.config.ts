// Builds the call page into `dist`, which the server embeds. All files except `index.html` are in `/assets/`, the only
// folder that the server serves. Nothing is inlined, because the content security policy does not allow `data:`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, sourcemap: false },
  worker: { format: "es" },
  // Much longer than any test needs, so that only a hang reaches it.
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});

// Builds the call page into `dist`, which the server embeds. Everything but `index.html` goes below `/assets/`, the
// only folder that the server serves, and nothing is inlined: the page's content security policy allows no `data:`.
import { defineConfig } from "vitest/config";

export default defineConfig({
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, sourcemap: false },
  worker: { format: "es" },
  // Far beyond what any test needs, so that only a hang meets it.
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});

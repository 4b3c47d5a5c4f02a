// Builds the test pages, with the SDK's sources and worker. They are not part of `dist`.
import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  logLevel: "warn",
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    rollupOptions: {
      input: ["envelopes.html", "bench.html", "states.html", "recorder.html"].map(
        (page) => `${import.meta.dirname}/${page}`,
      ),
    },
  },
  worker: { format: "es" },
});

// Builds the call page into `dist`, which the server embeds. All files except `index.html` are in `/assets/`, the only
// folder that the server serves. Nothing is inlined, because the content security policy does not allow `data:`.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Writes each file that becomes smaller also as `.br` and `.gz`, which the server sends to browsers that accept them. */
function precompress(folder: string): Plugin {
  const forms = {
    br: (bytes: Buffer) =>
      promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }),
    gz: (bytes: Buffer) => promisify(gzip)(bytes, { level: constants.Z_BEST_COMPRESSION }),
  };
  return {
    name: "precompress",
    apply: "build",
    async closeBundle() {
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = await readFile(path);
        for (const [extension, compress] of Object.entries(forms)) {
          const compressed = await compress(bytes);
          if (compressed.length < bytes.length) await writeFile(`${path}.${extension}`, compressed);
        }
      }
    },
  };
}

export default defineConfig({
  plugins: [precompress("dist")],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, sourcemap: false },
  worker: { format: "es" },
  // Much longer than any test needs, so that only a hang reaches it.
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, type PreviewServer, preview } from "vite";

const CONFIG = join(import.meta.dirname, "pages/vite.config.ts");

/** Serves the pages of `e2e/pages`, built into a temporary folder that is removed with the server. */
export class Pages {
  private constructor(
    private readonly folder: string,
    private readonly server: PreviewServer,
  ) {}

  static async serve(): Promise<Pages> {
    const folder = await mkdtemp(join(tmpdir(), "tacet-pages-"));
    await build({ configFile: CONFIG, build: { outDir: folder } });
    const server = await preview({ configFile: CONFIG, build: { outDir: folder }, preview: { host: "127.0.0.1" } });
    return new Pages(folder, server);
  }

  url(page: string): string {
    return new URL(page, this.server.resolvedUrls?.local[0]).href;
  }

  async stop(): Promise<void> {
    await this.server.close();
    await rm(this.folder, { recursive: true });
  }
}

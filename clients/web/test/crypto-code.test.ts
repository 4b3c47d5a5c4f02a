import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { CryptoCode } from "../src/crypto-code.ts";

const WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** The module with nothing loaded yet. */
let code: typeof import("../src/crypto-code.ts");
let fetched: string[];

beforeEach(async () => {
  vi.resetModules();
  code = await import("../src/crypto-code.ts");
  fetched = [];
});
afterEach(() => void vi.unstubAllGlobals());

function serve(answer: () => Response): void {
  vi.stubGlobal("fetch", async (url: string) => {
    fetched.push(url);
    return answer();
  });
}

describe("loadCode", () => {
  it("fetches once for the page", async () => {
    serve(() => new Response(WASM));
    const [first, second]: CryptoCode[] = await Promise.all([code.loadCode(), code.loadCode()]);
    const count = fetched.length;
    expect(await code.loadCode()).toBe(first);
    expect(second).toBe(first);
    expect(first?.module).toBeInstanceOf(WebAssembly.Module);
    expect(fetched).toHaveLength(count);
  });

  it("calls code that does not arrive a fault of the network, and fetches again", async () => {
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("Failed to fetch");
    });
    await expect(code.loadCode()).rejects.toMatchObject({ code: "server-unreachable" });
    serve(() => new Response("busy", { status: 503 }));
    await expect(code.preload()).rejects.toMatchObject({ code: "server-unreachable" });
    serve(() => new Response("<html>Sign in to this network</html>"));
    await expect(code.loadCode()).rejects.toMatchObject({ code: "server-unreachable" });
    serve(() => new Response(WASM));
    await expect(code.loadCode()).resolves.toHaveProperty("module");
  });

  it("says offline if the browser knows of no network", async () => {
    vi.stubGlobal("navigator", { onLine: false });
    vi.stubGlobal("fetch", async () => {
      throw new TypeError("Failed to fetch");
    });
    await expect(code.loadCode()).rejects.toMatchObject({ code: "offline" });
  });

  it("calls a module that the browser rejects a fault of encryption", async () => {
    serve(() => new Response(Uint8Array.of(...WASM.subarray(0, 4), 9, 9, 9, 9)));
    await expect(code.loadCode()).rejects.toMatchObject({ code: "encryption" });
  });
});

// The code of the worker and the wasm module in it, fetched once for the page and kept.
//
// Repairing a call needs neither the network nor the server for code: a new worker starts from a `blob:` URL and receives
// the compiled module. Code that cannot be fetched is a fault of the network, not of encryption.

import wasmUrl from "./e2ee/e2ee_frames.wasm?url";
import { TacetError, unreachable } from "./errors.ts";
import workerUrl from "./worker/worker.ts?worker&url";

/** How long fetching may take. */
const FETCH_TIMEOUT_MS = 15_000;
/** First bytes of a wasm module. */
const WASM_MAGIC = [0x00, 0x61, 0x73, 0x6d];

/** The code of a worker. */
export interface CryptoCode {
  /** URL of the worker's script. */
  readonly script: string;
  readonly module: WebAssembly.Module;
}

let loaded: Promise<CryptoCode> | undefined;

/**
 * Fetches the code, or returns what was fetched before.
 *
 * @throws {TacetError} `offline` or `server-unreachable`; `encryption` if the browser rejects the module
 */
export function loadCode(): Promise<CryptoCode> {
  loaded ??= fetchCode().catch((thrown: unknown) => {
    // A failure is not kept: the next call fetches again.
    loaded = undefined;
    throw thrown;
  });
  return loaded;
}

/**
 * Fetches the code that a call needs, so that joining needs nothing but the signaling connection.
 *
 * @throws {TacetError} `offline` or `server-unreachable`; `encryption` if the browser rejects the module
 */
export async function preload(): Promise<void> {
  await loadCode();
}

async function fetchCode(): Promise<CryptoCode> {
  const [script, module] = await Promise.all([fetchScript(), fetchModule()]);
  return { script, module };
}

async function fetchScript(): Promise<string> {
  // Without a bundle, the script imports others by paths, which a `blob:` URL cannot resolve.
  if (import.meta.env.DEV) return workerUrl;
  const text = await fetchBytes(workerUrl);
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}

async function fetchModule(): Promise<WebAssembly.Module> {
  const bytes = await fetchBytes(wasmUrl);
  const start = new Uint8Array(bytes, 0, Math.min(WASM_MAGIC.length, bytes.byteLength));
  // For example the page of a captive portal.
  if (!WASM_MAGIC.every((byte, index) => start[index] === byte)) throw unreachable();
  try {
    return await WebAssembly.compile(bytes);
  } catch (thrown) {
    throw new TacetError("encryption", "The browser could not compile the encryption code.", { cause: thrown });
  }
}

async function fetchBytes(url: string): Promise<ArrayBuffer> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (response.ok) return await response.arrayBuffer();
  } catch {
    // Below: whatever the browser reports, the code did not arrive.
  }
  throw unreachable();
}

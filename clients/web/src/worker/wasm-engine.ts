// The frame-encryption session in wasm, as the worker's engine. The module's loader stands in `e2ee/wasm.ts`.

import type { FrameEngine } from "./engine.ts";

/** A session of the wasm module. */
export type FrameCryptoEngine = FrameEngine;

/** A loaded module. */
export interface FrameCryptoModule {
  accessToken(invite: Uint8Array): Uint8Array<ArrayBuffer>;
  session(
    room: Uint8Array,
    call: Uint8Array,
    invite: Uint8Array,
    name: string,
    now: number,
    wall: number,
  ): FrameCryptoEngine;
}

/** Loads the module from a URL. */
export function loadEngine(url: string): Promise<FrameCryptoModule> {
  return Promise.reject(new Error(`the cipher is not built: ${new URL(url).pathname}`));
}

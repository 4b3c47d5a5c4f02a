// Temporary
import type { FrameEngine } from "./engine.ts";
export type FrameCryptoEngine = FrameEngine;
export async function loadEngine(_url: string): Promise<{
  accessToken(invite: Uint8Array): Uint8Array<ArrayBuffer>;
  session(room: Uint8Array, call: Uint8Array, invite: Uint8Array, name: string, now: number, wall: number): FrameEngine;
}> {
  throw new Error("x");
}

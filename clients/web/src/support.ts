// Checks whether this browser can encrypt a call. Runs before any device is opened: there is no call without encryption.

import { TacetError } from "./errors.ts";

/** @throws {TacetError} `unsupported-browser` */
export function assertSupported(): void {
  if (!globalThis.isSecureContext) {
    throw new TacetError(
      "unsupported-browser",
      "Browsers allow the camera, the microphone and encryption only on pages loaded over https:// or from localhost.",
    );
  }
  const encrypts =
    "RTCPeerConnection" in globalThis &&
    "RTCRtpScriptTransform" in globalThis &&
    "transform" in RTCRtpSender.prototype &&
    "transform" in RTCRtpReceiver.prototype &&
    "WebAssembly" in globalThis;
  if (!encrypts) throw new TacetError("unsupported-browser");
}

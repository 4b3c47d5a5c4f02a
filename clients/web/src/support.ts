// Whether this browser can take part. Asked before any device is touched: there is no call without encryption.

import { TacetError } from "./errors.ts";

/** @throws {TacetError} `unsupported-browser` */
export function assertSupported(): void {
  if (!globalThis.isSecureContext) {
    throw new TacetError(
      "unsupported-browser",
      "Browsers give camera, microphone and encryption only to pages loaded over https:// or from localhost.",
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

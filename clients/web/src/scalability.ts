// Whether this browser encodes spatial layers.

import { SPATIAL_LAYERS, SVC_CODECS } from "./encodings.ts";
import type { Codec } from "./protocol/generated.ts";

type Encodings = (RTCRtpEncodingParameters & { scalabilityMode?: string; codec?: RTCRtpCodec })[];

/**
 * Returns whether this browser sends a codec in spatial layers. Chromium refuses a mode that an encoder lacks; browsers that
 * know no modes drop it.
 */
export function hasSpatialLayers(codec: Codec): boolean {
  if (!SVC_CODECS.has(codec)) return false;
  const mime = `video/${codec}`;
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs ?? [];
  const known = codecs.find(({ mimeType }) => mimeType.toLowerCase() === mime);
  if (known === undefined) return false;
  const connection = new RTCPeerConnection();
  try {
    const sendEncodings: Encodings = [{ scalabilityMode: SPATIAL_LAYERS, codec: known }];
    const { sender } = connection.addTransceiver("video", { direction: "sendonly", sendEncodings });
    const [encoding] = sender.getParameters().encodings as Encodings;
    return encoding?.scalabilityMode === SPATIAL_LAYERS;
  } catch {
    return false;
  } finally {
    connection.close();
  }
}

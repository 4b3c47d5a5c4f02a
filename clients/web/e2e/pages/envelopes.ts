// Two devices in one page. One sends a stream of every codec that the browser can encode, the other receives them.

import type { Codec } from "../../src/protocol/generated.ts";
import { SOURCES, type StreamNumber } from "../../src/sources.ts";
import { EventKind } from "../../src/worker/action.ts";
import type { TransformCounters } from "../../src/worker/messages.ts";
import { u32 } from "../../test/peer/bytes.ts";
import { Device, meet, play } from "./devices.ts";

/** Progress of one stream. */
export interface Progress {
  /** Codec of the received stream, as the browser names it. */
  readonly mimeType: string;
  /** Decoded video frames, or audio samples that left the jitter buffer. */
  readonly decoded: number;
  readonly sealed: TransformCounters;
  readonly opened: TransformCounters;
}

export interface Loopback {
  /** Codecs of the streams; one stream each. */
  readonly codecs: readonly Codec[];
  /** Problems of both devices. */
  readonly problems: readonly string[];
  progress(): Promise<Partial<Record<Codec, Progress>>>;
}

declare global {
  interface Window {
    /** Starts the call. Resolves when media is being sent. */
    startLoopback?: () => Promise<void>;
    loopback?: Loopback;
  }
}

const CODECS: readonly Codec[] = ["opus", "vp8", "vp9", "av1", "h264"];
const kindOf = (codec: Codec): "audio" | "video" => (codec === "opus" ? "audio" : "video");
/** Stream of a codec: the microphone, or a camera by its index. */
const streamOf = (codec: Codec): StreamNumber =>
  codec === "opus" ? SOURCES.microphone.stream : ((SOURCES.camera.stream + 8 * CODECS.indexOf(codec)) as StreamNumber);

/** Capabilities of a codec that the SDK would use: base profiles, and H.264 with packetization mode 1. */
function offered(codec: Codec): RTCRtpCodec[] {
  const all = RTCRtpSender.getCapabilities(kindOf(codec))?.codecs ?? [];
  return all.filter(({ mimeType, sdpFmtpLine = "" }) => {
    if (mimeType.toLowerCase() !== `${kindOf(codec)}/${codec}`) return false;
    if (codec === "h264") return sdpFmtpLine.includes("packetization-mode=1");
    return !/profile(-id)?=[1-9]/.test(sdpFmtpLine);
  });
}

/** RTX. Without it, Chromium probes the path with padding-only packets between the frames. */
function retransmission(codec: Codec): RTCRtpCodec[] {
  const all = RTCRtpSender.getCapabilities(kindOf(codec))?.codecs ?? [];
  return all.filter(({ mimeType }) => mimeType.toLowerCase() === "video/rtx");
}

window.startLoopback = async () => {
  const codecs = CODECS.filter((codec) => offered(codec).length > 0);
  const problems: string[] = [];
  const media = await navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: 320, height: 180, frameRate: 15 },
  });
  const invite = crypto.getRandomValues(new Uint8Array(32));
  const [ada, bob] = [await Device.load(1, invite), await Device.load(2, invite)];
  for (const { worker, number } of [ada, bob]) {
    worker.on("failed", ({ message }) => problems.push(`${number}: ${message}`));
    worker.on("action", (action) => {
      if (action.kind === "problem") problems.push(`${number}: ${action.code}`);
    });
  }
  await meet(ada, bob);

  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  from.onicecandidate = ({ candidate }) => void to.addIceCandidate(candidate ?? undefined);
  to.onicecandidate = ({ candidate }) => void from.addIceCandidate(candidate ?? undefined);
  const attached: Promise<void>[] = [];
  for (const codec of codecs) {
    const transceiver = from.addTransceiver(kindOf(codec), { direction: "sendonly" });
    transceiver.setCodecPreferences([...offered(codec), ...retransmission(codec)]);
    const seal = ada.worker.transform({ id: codec, role: "seal", codec, stream: streamOf(codec) });
    transceiver.sender.transform = seal.transform;
    attached.push(seal.attached);
  }
  // Works within one browser only: Firefox leaves attributes of removed codecs in an offer, which Chromium rejects.
  await from.setLocalDescription(await from.createOffer());
  await to.setRemoteDescription(from.localDescription as RTCSessionDescription);
  const receivers = to.getTransceivers().map(({ receiver }) => receiver);
  codecs.forEach((codec, index) => {
    const receiver = receivers[index];
    if (receiver === undefined) throw new Error(`no receiver for ${codec}`);
    const open = bob.worker.transform({ id: codec, role: "open", codec, streams: [streamOf(codec)] });
    receiver.transform = open.transform;
    attached.push(open.attached);
    play(receiver.track);
  });
  await to.setLocalDescription(await to.createAnswer());
  await from.setRemoteDescription(to.localDescription as RTCSessionDescription);
  await Promise.all(attached);

  for (const codec of codecs) {
    const stream = streamOf(codec);
    ada.worker.event(EventKind.StreamOpened, u32(stream));
    await ada.action("stream-ready", (action) => action.stream === stream);
  }
  await bob.action("key-installed");
  const tracks = { audio: media.getAudioTracks()[0] ?? null, video: media.getVideoTracks()[0] ?? null };
  for (const [index, codec] of codecs.entries()) {
    await from.getTransceivers()[index]?.sender.replaceTrack(tracks[kindOf(codec)]);
  }

  window.loopback = {
    codecs,
    problems,
    async progress() {
      const [sealed, opened] = [await ada.worker.counters(), await bob.worker.counters()];
      const progress: Partial<Record<Codec, Progress>> = {};
      for (const [index, codec] of codecs.entries()) {
        const report = await receivers[index]?.getStats();
        const stats = [...(report?.values() ?? [])];
        const inbound = stats.find(({ type }) => type === "inbound-rtp");
        const [out, into] = [sealed.find(({ id }) => id === codec), opened.find(({ id }) => id === codec)];
        if (inbound === undefined || out === undefined || into === undefined) continue;
        progress[codec] = {
          mimeType: stats.find(({ id }) => id === inbound.codecId)?.mimeType ?? "",
          decoded: (codec === "opus" ? inbound.jitterBufferEmittedCount : inbound.framesDecoded) ?? 0,
          sealed: out,
          opened: into,
        };
      }
      return progress;
    },
  };
};

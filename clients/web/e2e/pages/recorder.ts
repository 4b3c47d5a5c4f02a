// A sender of one sealed video in several encodings or layers, and a receiver of all of them, for recordings of what
// browsers put into RTP headers. The page negotiates as the SDK does with a server: the sender answers an offer with fixed
// payload types and extension ids, and with RIDs.
//
// Browsers send simulcast but do not receive it. To the receiver each encoding is a separate section, whose MID is the RID of
// the packets: it gets the extension id of RIDs for MIDs.

import type { Codec } from "../../src/protocol/generated.ts";
import { SOURCES } from "../../src/sources.ts";
import { EventKind } from "../../src/worker/action.ts";
import { u32 } from "../../test/peer/bytes.ts";
import { Device, meet, play } from "./devices.ts";

/** Parameters of an encoding, with a member that TypeScript does not know. */
export interface Encoding extends RTCRtpEncodingParameters {
  readonly scalabilityMode?: string;
}

/** What to send. */
export interface Recording {
  readonly codec: Exclude<Codec, "opus">;
  /** Encodings, lowest first; a single one without a RID. */
  readonly encodings: readonly Encoding[];
  readonly width: number;
  readonly height: number;
  readonly framesPerSecond: number;
  /**
   * Negotiates RTX. Firefox as the receiver reports no retransmissions of encodings, so a sender that probes with them
   * believes that they are lost, and stops its upper encodings.
   */
  readonly retransmissions: boolean;
}

/** What an encoding has sent. */
export interface Sent {
  readonly rid: string | undefined;
  readonly height: number;
  readonly frames: number;
  readonly mode: string | undefined;
}

interface Address {
  readonly ip: string;
  readonly port: number;
}

interface Recorder {
  /** Starts sending over a path to the receiver. */
  send(path: Address, recording: Recording): Promise<void>;
  /** Changes the size of the source, which makes a key frame. */
  resize(width: number, height: number): void;
  sent(): Promise<Sent[]>;
}

declare global {
  interface Window {
    recorder?: Recorder;
    /** Makes sender and receiver; returns the receiver's port. */
    startRecorder?: () => Promise<number>;
  }
}

const NAMES = { vp8: "VP8", vp9: "VP9", av1: "AV1", h264: "H264" } as const;
/** Payload types, `fmtp` parameters and extension ids as in every call. */
const PAYLOAD_TYPES = { vp8: 96, vp9: 98, av1: 100, h264: 102 } as const;
const PARAMETERS = {
  vp8: "",
  vp9: "profile-id=0",
  av1: "",
  h264: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
} as const;
const SDES = "urn:ietf:params:rtp-hdrext:sdes";
const MID = 1;
const RID = 5;
const EXTENSIONS: readonly (readonly [number, string])[] = [
  [3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"],
  [4, "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"],
];
const SENDER_EXTENSIONS = [
  ...EXTENSIONS,
  [MID, `${SDES}:mid`],
  [RID, `${SDES}:rtp-stream-id`],
  [6, `${SDES}:repaired-rtp-stream-id`],
] as const;

/** MID of the video at the sender. */
const VIDEO = "v";
const STREAM = SOURCES.camera.stream;

window.startRecorder = async () => {
  const invite = crypto.getRandomValues(new Uint8Array(32));
  const [ada, bob] = [await Device.load(1, invite), await Device.load(2, invite)];
  await meet(ada, bob);
  ada.worker.event(EventKind.StreamOpened, u32(STREAM));
  await ada.action("stream-ready", ({ stream }) => stream === STREAM);
  await bob.action("key-installed");

  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  to.createDataChannel("first section");
  await to.setLocalDescription();
  await gathered(to);
  const port = /^a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ host/im.exec(local(to))?.[1];
  if (port === undefined) throw new Error(`no candidate: ${local(to)}`);

  const canvas = document.createElement("canvas");
  window.recorder = {
    async send(path, recording) {
      const { codec, encodings, framesPerSecond } = recording;
      [canvas.width, canvas.height] = [recording.width, recording.height];
      const line = `a=candidate:1 1 udp 2130706431 ${path.ip} ${path.port} typ host`;
      await connect(from, to, (sdp) => sdp.replace(/^a=candidate:.*\r\n/gm, "").replace(/^a=mid:/m, `${line}\r\n$&`));

      const rids = encodings.flatMap(({ rid }) => rid ?? []);
      await from.setRemoteDescription({
        type: "offer",
        sdp: offerOf(to, [section(recording, "recvonly", VIDEO, rids)]),
      });
      const transceiver = from.getTransceivers()[0];
      if (transceiver === undefined) throw new Error("no transceiver");
      transceiver.direction = "sendonly";
      transceiver.sender.transform = ada.worker.transform({ id: "s", role: "seal", codec, stream: STREAM }).transform;
      await from.setLocalDescription();

      const mids = rids.length === 0 ? [VIDEO] : rids;
      to.ontrack = ({ receiver }) => {
        const id = `${receiver.track.id}`;
        receiver.transform = bob.worker.transform({ id, role: "open", codec, streams: [STREAM] }).transform;
        play(receiver.track);
      };
      const sections = mids.map((mid) => {
        const text = section(recording, "sendonly", mid, []);
        return rids.length === 0 ? text : text.replace(`:${MID} ${SDES}`, `:${RID} ${SDES}`);
      });
      await to.setRemoteDescription({ type: "offer", sdp: offerOf(from, sections) });
      await to.setLocalDescription();

      const parameters = transceiver.sender.getParameters();
      for (const [index, encoding] of parameters.encodings.entries()) Object.assign(encoding, encodings[index]);
      parameters.degradationPreference = "maintain-resolution";
      await transceiver.sender.setParameters(parameters);
      draw(canvas, framesPerSecond);
      await transceiver.sender.replaceTrack(canvas.captureStream(framesPerSecond).getVideoTracks()[0] ?? null);
    },
    resize(width, height) {
      [canvas.width, canvas.height] = [width, height];
    },
    async sent() {
      const stats = [...(await from.getStats()).values()].filter(({ type }) => type === "outbound-rtp");
      return stats.map((one) => ({
        rid: one.rid,
        height: one.frameHeight ?? 0,
        frames: one.framesSent ?? 0,
        mode: one.scalabilityMode,
      }));
    },
  };
  return Number(port);
};

/** Connects both over the path alone: the sender knows only this address, and the receiver none. */
async function connect(from: RTCPeerConnection, to: RTCPeerConnection, onPath: (sdp: string) => string): Promise<void> {
  await from.setRemoteDescription({ type: "offer", sdp: onPath(local(to)) });
  await from.setLocalDescription();
  await to.setRemoteDescription({ type: "answer", sdp: local(from).replace(/^a=candidate:.*\r\n/gm, "") });
  await new Promise<void>((resolve) => {
    const check = (): void => void (from.connectionState === "connected" && resolve());
    from.addEventListener("connectionstatechange", check);
    check();
  });
}

/** Offer of a connection that exists, with more sections. */
function offerOf(peer: RTCPeerConnection, sections: readonly string[]): string {
  const known = local(peer);
  const attribute = (name: string): string => new RegExp(`^a=${name}:.*$`, "m").exec(known)?.[0]?.trim() ?? "";
  const mids = [/^a=mid:(.*)$/m.exec(known)?.[1]?.trim(), ...sections.map((text) => /^a=mid:(.*)$/m.exec(text)?.[1])];
  // The sender answered the first offer, so it began the handshake.
  const setup = known.includes("a=setup:active") ? "active" : "passive";
  return [
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0",
    `a=group:BUNDLE ${mids.join(" ")}`,
    "a=extmap-allow-mixed",
    ...["ice-ufrag", "ice-pwd", "fingerprint"].map(attribute),
    `a=setup:${setup}`,
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0",
    `a=mid:${mids[0]}`,
    "a=sctp-port:5000",
    ...sections,
    "",
  ].join("\r\n");
}

/** A video section; with RIDs if several encodings are to be sent. */
function section(
  { codec, retransmissions }: Recording,
  direction: "sendonly" | "recvonly",
  mid: string,
  rids: readonly string[],
): string {
  const type = PAYLOAD_TYPES[codec];
  const parameters = PARAMETERS[codec];
  return [
    `m=video 9 UDP/TLS/RTP/SAVPF ${type}${retransmissions ? ` ${type + 1}` : ""}`,
    "c=IN IP4 0.0.0.0",
    `a=mid:${mid}`,
    `a=${direction}`,
    "a=rtcp-mux",
    `a=rtpmap:${type} ${NAMES[codec]}/90000`,
    ...(parameters === "" ? [] : [`a=fmtp:${type} ${parameters}`]),
    ...["nack", "nack pli", "transport-cc"].map((feedback) => `a=rtcp-fb:${type} ${feedback}`),
    ...(retransmissions ? [`a=rtpmap:${type + 1} rtx/90000`, `a=fmtp:${type + 1} apt=${type}`] : []),
    ...SENDER_EXTENSIONS.filter(([id]) => rids.length > 0 || id < RID).map(([id, uri]) => `a=extmap:${id} ${uri}`),
    ...rids.map((rid) => `a=rid:${rid} recv`),
    ...(rids.length > 0 ? [`a=simulcast:recv ${rids.join(";")}`] : []),
  ].join("\r\n");
}

/** Moving stripes: cheap to encode, and never the same. */
function draw(canvas: HTMLCanvasElement, framesPerSecond: number): void {
  const context = canvas.getContext("2d");
  let frame = 0;
  setInterval(() => {
    frame += 1;
    if (context === null) return;
    context.fillStyle = `hsl(${(frame * 7) % 360} 60% 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "white";
    for (let stripe = 0; stripe < 8; stripe += 1) {
      context.fillRect((stripe * 160 + frame * 12) % canvas.width, stripe * 80, 60, 60);
    }
  }, 1_000 / framesPerSecond);
}

function local(peer: RTCPeerConnection): string {
  return peer.localDescription?.sdp ?? "";
}

function gathered(peer: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    const check = (): void => void (peer.iceGatheringState === "complete" && resolve());
    peer.addEventListener("icegatheringstatechange", check);
    check();
  });
}

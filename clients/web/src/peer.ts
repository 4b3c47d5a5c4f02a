// The RTCPeerConnection of a media path, and its negotiation with offers that the client writes itself.
//
// Invariants: a transceiver only sends or only receives, because Chromium ignores the receiving transform of one that
// does both; it gets its transform before the answer that activates it; a sender has no track before `attached`.

import { parseAnswer, type SenderSsrcs } from "./answer.ts";
import type { AttachedTransform } from "./crypto-worker.ts";
import { type Layering, layering, ridsOf } from "./encodings.ts";
import { TacetError } from "./errors.ts";
import type {
  ClientTransport,
  Codec,
  CodecParameters,
  HeaderExtension,
  Kind,
  ParticipantId,
  ServerTransport,
  Slot,
  Source,
} from "./protocol/generated.ts";
import { offer, type Section } from "./sdp.ts";
import { isAudio, SOURCES, streamsOf } from "./sources.ts";
import { withinTime } from "./time-limit.ts";
import type { TransformOptions } from "./worker/messages.ts";

/** An RTP sender that is ready for a track. */
export interface ReadySender {
  readonly mid: string;
  readonly kind: Kind;
  readonly codec: Codec;
  readonly sender: RTCRtpSender;
  /** How the m-line carries layers; `null` for audio, which has none. */
  readonly layering: Layering | null;
  /** Of an m-line without RIDs. */
  readonly ssrcs: SenderSsrcs | null;
  /** Resolves when the worker handles the sender's frames. */
  readonly attached: Promise<void>;
}

/** Makes the transforms that seal and open frames. */
export interface Transforms {
  transform(options: TransformOptions): AttachedTransform;
}

/** Notifications to the owner of a peer. */
export interface PeerListener {
  /** The client's half of the transport is known, or has new ICE credentials. */
  localTransport(transport: ClientTransport): void;
  /** The state of the media path changed. */
  state(state: RTCPeerConnectionState): void;
}

/** The server's tables, and the client's choice of codec. */
export interface PeerSetup {
  readonly codecs: readonly CodecParameters[];
  readonly hdrext: readonly HeaderExtension[];
  /** Codec of published video. */
  readonly videoCodec: Codec;
  /** Whether this browser encodes spatial layers in that codec. */
  readonly spatialLayers: boolean;
  /** Whether audio is sent at a constant rate. */
  readonly constantAudioRate: boolean;
}

/** With a dependency descriptor, the server can select layers without reading payloads. Browsers do not offer it by default. */
const DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/** How long the browser may take for its statistics. */
const STATS_TIMEOUT_MS = 2_000;

interface MLine {
  section: Section;
  /** Sending m-lines only; the others are slots. */
  readonly source?: Source;
  /** Of sending m-lines of video. */
  readonly layering?: Layering;
  transceiver?: RTCRtpTransceiver;
  attached?: Promise<void>;
}

/** A peer connection and its m-lines. */
export class Peer {
  readonly #connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  readonly #transforms: Transforms;
  readonly #listener: PeerListener;
  readonly #setup: PeerSetup;
  readonly #lines: MLine[] = [];
  /** Resolves when the server's half of the transport is known. */
  readonly #started: Promise<void>;
  #start: () => void = () => {};
  #server: ServerTransport | undefined;
  /** ICE user name fragment of this client, as last passed to the listener. */
  #ufrag = "";
  #ssrcs: ReadonlyMap<string, SenderSsrcs> = new Map();
  /** Version of the last offer (`o=`); 0 before the first. */
  #version = 0;
  #negotiation: Promise<void> = Promise.resolve();
  #negotiationNeeded = false;
  #closed = false;

  constructor(setup: PeerSetup, transforms: Transforms, listener: PeerListener) {
    this.#setup = setup;
    this.#transforms = transforms;
    this.#listener = listener;
    this.#started = new Promise((resolve) => {
      this.#start = resolve;
    });
    this.#connection.onconnectionstatechange = () => listener.state(this.#connection.connectionState);
    this.#addSendingLine("microphone");
    this.#addSendingLine("camera");
  }

  /** State of the media path. */
  get state(): RTCPeerConnectionState {
    return this.#connection.connectionState;
  }

  /** Whether the server's half of the transport is known. */
  get started(): boolean {
    return this.#server !== undefined;
  }

  /**
   * Sets the server's half of the transport, which starts the negotiation. With new ICE credentials, the browser restarts
   * ICE (RFC 8445 section 2.4) and keeps DTLS, the keys of SRTP, and all tracks.
   */
  async setServerTransport(transport: ServerTransport): Promise<void> {
    this.#server = transport;
    this.#start();
    await this.#negotiate();
  }

  /** Appends slots. Resolves when their transforms are attached, so that media may flow in them. */
  async addSlots(slots: readonly Slot[]): Promise<void> {
    for (const { mid, kind, codec, ssrc, rtx } of slots) {
      if (this.#line(mid) !== undefined) continue;
      const section: Section = { mid, kind, codec, direction: "sendonly", ssrc, ...(rtx === undefined ? {} : { rtx }) };
      this.#lines.push({ section });
    }
    await this.#negotiate();
    await Promise.all(slots.map(({ mid }) => this.#line(mid)?.attached));
  }

  /**
   * Sets the participant of slots, by MID, so that the browser synchronizes each participant's audio and video. `null` for
   * slots in which the participants change too often for that.
   */
  async setOwners(owners: ReadonlyMap<string, ParticipantId | null>): Promise<void> {
    let changed = false;
    for (const [mid, participant] of owners) {
      const line = this.#line(mid);
      const owner = participant === null ? {} : { msid: `p${participant}` };
      if (line === undefined || line.section.msid === owner.msid) continue;
      const { msid: _, ...section } = line.section;
      line.section = { ...section, ...owner };
      changed = true;
    }
    if (changed) await this.#negotiate();
  }

  /** Returns the sender of a source; adds its m-line if there is none. */
  async prepareSender(source: Source): Promise<ReadySender> {
    const { mid } = SOURCES[source];
    if (this.#line(mid) === undefined) this.#addSendingLine(source);
    await this.#negotiate();
    const line = this.#line(mid);
    const ssrcs = this.#ssrcs.get(mid) ?? null;
    const simulcast = line?.layering === "simulcast";
    if (line?.transceiver === undefined || line.attached === undefined || (ssrcs === null && !simulcast)) {
      throw new TacetError("media-path", "The browser did not set up a track for sending.");
    }
    const { layering = null, attached, transceiver } = line;
    const { kind, codec } = line.section;
    return { mid, kind, codec, layering, sender: transceiver.sender, ssrcs, attached };
  }

  /** Returns the receiver of a slot, once it is negotiated. */
  receiver(mid: string): RTCRtpReceiver | undefined {
    const line = this.#line(mid);
    return line?.source === undefined ? line?.transceiver?.receiver : undefined;
  }

  /**
   * Returns the browser's statistics. Firefox never answers for a connection that is closed meanwhile.
   *
   * @throws {TacetError} `media-path` if the browser does not answer in time
   */
  stats(): Promise<RTCStatsReport> {
    const silent = new TacetError("media-path", "The browser does not answer.");
    return withinTime(this.#connection.getStats(), STATS_TIMEOUT_MS, silent);
  }

  /** Stops all media at once. */
  close(): void {
    this.#closed = true;
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #line(mid: string): MLine | undefined {
    return this.#lines.find((line) => line.section.mid === mid);
  }

  #addSendingLine(source: Source): void {
    const { kind, mid } = SOURCES[source];
    const { videoCodec, spatialLayers, constantAudioRate } = this.#setup;
    if (isAudio(source)) {
      const section: Section = { mid, kind, codec: "opus", direction: "recvonly", constantRate: constantAudioRate };
      this.#lines.push({ source, section });
      return;
    }
    const layers = layering(source, videoCodec, spatialLayers);
    const section: Section = { mid, kind, codec: videoCodec, direction: "recvonly", rids: ridsOf(source, layers) };
    this.#lines.push({ source, layering: layers, section });
  }

  /**
   * Brings the browser to the current m-lines, once the server's transport is known. Any number of calls during a
   * negotiation lead to one more negotiation after it.
   */
  #negotiate(): Promise<void> {
    this.#negotiationNeeded = true;
    const run = async (): Promise<void> => {
      await this.#started;
      const transport = this.#server;
      if (transport === undefined || !this.#negotiationNeeded || this.#closed) return;
      this.#negotiationNeeded = false;
      await this.#exchange(transport);
    };
    this.#negotiation = this.#negotiation.then(run, run);
    return this.#negotiation;
  }

  /** Runs one exchange of offer and answer. */
  async #exchange(transport: ServerTransport): Promise<void> {
    const { codecs, hdrext } = this.#setup;
    const sections = this.#lines.map((line) => line.section);
    this.#version += 1;
    const connection = this.#connection;
    await connection.setRemoteDescription({
      type: "offer",
      sdp: offer({ version: this.#version, transport, codecs, hdrext, sections }),
    });
    this.#setUpTransceivers();
    await connection.setLocalDescription(await connection.createAnswer());
    const answer = parseAnswer(connection.localDescription?.sdp ?? "");
    this.#ssrcs = answer.senders;
    const { ufrag } = answer.transport.ice;
    if (ufrag === this.#ufrag) return;
    this.#ufrag = ufrag;
    this.#listener.localTransport(answer.transport);
  }

  /** Sets the direction and the transform of every new transceiver. */
  #setUpTransceivers(): void {
    for (const transceiver of this.#connection.getTransceivers()) {
      const line = transceiver.mid === null ? undefined : this.#line(transceiver.mid);
      if (line === undefined || line.transceiver !== undefined) continue;
      const { mid: id, codec, kind } = line.section;
      line.transceiver = transceiver;
      if (line.source === undefined) {
        line.attached = this.#attach(transceiver.receiver, { id, role: "open", codec, streams: streamsOf(kind) });
        transceiver.direction = "recvonly";
      } else {
        const { stream } = SOURCES[line.source];
        line.attached = this.#attach(transceiver.sender, { id, role: "seal", codec, stream });
        transceiver.direction = "sendonly";
        this.#enableDependencyDescriptor(transceiver);
      }
      // Callers that await it still get the rejection; without one it must not count as unhandled.
      line.attached.catch(() => {});
    }
  }

  /** Sets a transform. Resolves when both the browser and the worker confirm it. */
  async #attach(end: RTCRtpSender | RTCRtpReceiver, options: TransformOptions): Promise<void> {
    const { transform, attached } = this.#transforms.transform(options);
    end.transform = transform;
    if (end.transform !== transform) {
      throw new TacetError("encryption", "The browser did not attach encryption to a track.");
    }
    await attached;
  }

  #enableDependencyDescriptor(transceiver: RTCRtpTransceiver & HeaderExtensionControl): void {
    if (!this.#setup.hdrext.some(({ uri }) => uri === DEPENDENCY_DESCRIPTOR)) return;
    const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
    if (extensions === undefined) return;
    for (const extension of extensions) if (extension.uri === DEPENDENCY_DESCRIPTOR) extension.direction = "sendrecv";
    transceiver.setHeaderExtensionsToNegotiate?.(extensions);
  }
}

/** WebRTC Extensions, section "RTP header extension control". Chromium implements it, Firefox does not. */
interface HeaderExtensionControl {
  getHeaderExtensionsToNegotiate?(): { uri: string; direction: RTCRtpTransceiverDirection }[];
  setHeaderExtensionsToNegotiate?(extensions: { uri: string; direction: RTCRtpTransceiverDirection }[]): void;
}

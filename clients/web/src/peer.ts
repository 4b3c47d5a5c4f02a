// The one RTCPeerConnection of a connection, and its negotiation with offers that the page writes itself.
//
// Invariants: a transceiver only sends or only receives, because Chromium ignores the receiving transform of one that
// does both; it gets its transform before the answer that brings it to life; a sender has no track until `attached`.

import { parseAnswer, type SenderSsrcs } from "./answer.ts";
import type { CryptoWorker } from "./crypto-worker.ts";
import { TacetError } from "./errors.ts";
import type {
  ClientTransport,
  Codec,
  CodecParameters,
  HeaderExtension,
  Kind,
  ServerTransport,
  Slot,
  Source,
} from "./protocol/generated.ts";
import { offer, type Section } from "./sdp.ts";
import { kindOfSource, MID_OF_SOURCE, STREAM_OF_SOURCE } from "./stream.ts";
import type { TransformOptions } from "./worker/messages.ts";

/** A sending m-line that is ready for a track. */
export interface SendingLine {
  readonly mid: string;
  readonly kind: Kind;
  readonly codec: Codec;
  readonly sender: RTCRtpSender;
  readonly ssrcs: SenderSsrcs;
  /** Resolves when the worker takes the sender's frames. */
  readonly attached: Promise<void>;
}

/** What the owner of a peer is told. */
export interface PeerListener {
  /** The client's half of the transport, once. */
  localTransport(transport: ClientTransport): void;
  /** A slot's receiver exists, with its transform. */
  slotReady(mid: string, receiver: RTCRtpReceiver): void;
  /** The media path came up or broke. */
  state(state: RTCPeerConnectionState): void;
}

/** The server's tables. */
export interface PeerSetup {
  readonly codecs: readonly CodecParameters[];
  readonly hdrext: readonly HeaderExtension[];
  /** Codec of published pictures. */
  readonly videoCodec: Codec;
}

/** A dependency descriptor lets the server pick layers without reading a payload; browsers offer it only if told. */
const DEPENDENCY_DESCRIPTOR = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

interface Line {
  section: Section;
  readonly source?: Source;
  transceiver?: RTCRtpTransceiver;
  attached?: Promise<void>;
}

/** A peer connection and its m-lines. */
export class Peer {
  readonly #connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  readonly #crypto: CryptoWorker;
  readonly #listener: PeerListener;
  readonly #setup: PeerSetup;
  readonly #lines: Line[] = [];
  readonly #server: Promise<ServerTransport>;
  #setServer: (transport: ServerTransport) => void = () => {};
  #ssrcs: ReadonlyMap<string, SenderSsrcs> = new Map();
  #version = 0;
  #negotiating: Promise<void> = Promise.resolve();
  #wanted = false;
  #closed = false;

  constructor(setup: PeerSetup, crypto: CryptoWorker, listener: PeerListener) {
    this.#setup = setup;
    this.#crypto = crypto;
    this.#listener = listener;
    this.#server = new Promise((resolve) => {
      this.#setServer = resolve;
    });
    this.#connection.onconnectionstatechange = () => listener.state(this.#connection.connectionState);
    this.#addPublication("mic");
    this.#addPublication("cam");
  }

  /** The server's half of the transport: negotiation starts. */
  async setServerTransport(transport: ServerTransport): Promise<void> {
    this.#setServer(transport);
    await this.#negotiate();
  }

  /** Appends slots; resolves when the browser has them and the worker their frames: media may flow in them. */
  async addSlots(slots: readonly Slot[]): Promise<void> {
    for (const { mid, kind, codec, ssrc, rtx } of slots) {
      if (this.#line(mid) !== undefined) continue;
      const section: Section = { mid, kind, codec, direction: "sendonly", ssrc, ...(rtx === undefined ? {} : { rtx }) };
      this.#lines.push({ section });
    }
    await this.#negotiate();
    await Promise.all(slots.map(({ mid }) => this.#line(mid)?.attached));
  }

  /** Names the participants in slots, so that the browser pairs each one's sound and picture (lip sync). */
  async setOwners(owners: ReadonlyMap<string, number>): Promise<void> {
    let changed = false;
    for (const [mid, participant] of owners) {
      const line = this.#line(mid);
      const msid = `p${participant}`;
      if (line === undefined || line.section.msid === msid) continue;
      line.section = { ...line.section, msid };
      changed = true;
    }
    if (changed) await this.#negotiate();
  }

  /** The m-line of a source, made if need be. */
  async sendingLine(source: Source): Promise<SendingLine> {
    if (this.#line(MID_OF_SOURCE[source]) === undefined) this.#addPublication(source);
    await this.#negotiate();
    const line = this.#line(MID_OF_SOURCE[source]);
    const ssrcs = this.#ssrcs.get(MID_OF_SOURCE[source]);
    if (line?.transceiver === undefined || line.attached === undefined || ssrcs === undefined) {
      throw new TacetError("media-path", "The browser did not prepare a track for sending.");
    }
    const { mid, kind, codec } = line.section;
    return { mid, kind, codec, sender: line.transceiver.sender, ssrcs, attached: line.attached };
  }

  /** The browser's statistics. */
  stats(): Promise<RTCStatsReport> {
    return this.#connection.getStats();
  }

  /** Ends all media at once. */
  close(): void {
    this.#closed = true;
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
  }

  #line(mid: string): Line | undefined {
    return this.#lines.find((line) => line.section.mid === mid);
  }

  #addPublication(source: Source): void {
    const kind = kindOfSource(source);
    const codec = kind === "audio" ? "opus" : this.#setup.videoCodec;
    this.#lines.push({ source, section: { mid: MID_OF_SOURCE[source], kind, codec, direction: "recvonly" } });
  }

  /**
   * Brings the browser to the present lines, once the server's transport is known. Calls during a negotiation are
   * answered by one more after it.
   */
  #negotiate(): Promise<void> {
    this.#wanted = true;
    const run = async (): Promise<void> => {
      const transport = await this.#server;
      if (!this.#wanted || this.#closed) return;
      this.#wanted = false;
      await this.#apply(transport);
    };
    this.#negotiating = this.#negotiating.then(run, run);
    return this.#negotiating;
  }

  async #apply(transport: ServerTransport): Promise<void> {
    const { codecs, hdrext } = this.#setup;
    const sections = this.#lines.map((line) => line.section);
    const firstTime = this.#version === 0;
    this.#version += 1;
    const connection = this.#connection;
    await connection.setRemoteDescription({
      type: "offer",
      sdp: offer({ version: this.#version, transport, codecs, hdrext, sections }),
    });
    const fresh = this.#equip();
    await connection.setLocalDescription(await connection.createAnswer());
    const answer = parseAnswer(connection.localDescription?.sdp ?? "");
    this.#ssrcs = answer.senders;
    if (firstTime) this.#listener.localTransport(answer.transport);
    for (const { section, transceiver } of fresh) {
      if (section.direction === "sendonly" && transceiver !== undefined) {
        this.#listener.slotReady(section.mid, transceiver.receiver);
      }
    }
  }

  /** Gives every new transceiver its direction and transform; returns the lines that were new. */
  #equip(): Line[] {
    const fresh: Line[] = [];
    for (const transceiver of this.#connection.getTransceivers()) {
      const line = transceiver.mid === null ? undefined : this.#line(transceiver.mid);
      if (line === undefined || line.transceiver !== undefined) continue;
      const { mid: id, codec } = line.section;
      line.transceiver = transceiver;
      if (line.source === undefined) {
        line.attached = this.#attach(transceiver.receiver, { id, role: "open", codec });
        transceiver.direction = "recvonly";
      } else {
        const stream = STREAM_OF_SOURCE[line.source];
        line.attached = this.#attach(transceiver.sender, { id, role: "seal", codec, stream });
        transceiver.direction = "sendonly";
        this.#enableDependencyDescriptor(transceiver);
      }
      // Whoever needs the line is told; nobody waiting is no fault.
      line.attached.catch(() => {});
      fresh.push(line);
    }
    return fresh;
  }

  /** Sets a transform; the promise resolves when both browser and worker say that it is there. */
  async #attach(end: RTCRtpSender | RTCRtpReceiver, options: TransformOptions): Promise<void> {
    const { transform, attached } = this.#crypto.transform(options);
    end.transform = transform;
    if (end.transform !== transform)
      throw new TacetError("encryption", "The browser ignored the encryption of a track.");
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

/** WebRTC Extensions, section "RTP header extension control": Chromium has it, Firefox not. */
interface HeaderExtensionControl {
  getHeaderExtensionsToNegotiate?(): { uri: string; direction: RTCRtpTransceiverDirection }[];
  setHeaderExtensionsToNegotiate?(extensions: { uri: string; direction: RTCRtpTransceiverDirection }[]): void;
}

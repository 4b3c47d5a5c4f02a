// The media path of a session: one peer connection with its slots and local tracks.
//
// It is replaced when the server sets up another transport. The frame-encryption session stays: transforms are attached
// again, and its counters go on. Signaling may be lost meanwhile; media flows without it.

import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { LocalTrack, type StreamGate } from "./local-track.ts";
import { AUDIO_LEVEL } from "./offer-check.ts";
import { Peer, type PeerSetup, type Transforms } from "./peer.ts";
import type { Problem } from "./problem.ts";
import type {
  ParticipantId,
  ServerTransport,
  SlotLayer,
  Slots as SlotsMessage,
  Source,
  TrackWant,
} from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import type { Signaling } from "./protocol/signaling.ts";
import { type RemoteTrack, type SlotChange, Slots, type VideoLayer } from "./slots.ts";
import type { StreamNumber } from "./sources.ts";
import { SpeechWatch } from "./speech.ts";
import { countMedia, Watchdog } from "./watchdog.ts";
import type { FrameOrigin } from "./worker/engine.ts";
import type { TransformCounters } from "./worker/messages.ts";

/** Times after the start of a source at which the watchdog runs; the owner also runs it every second. */
const EARLY_WATCHES_MS = [40, 100, 200, 400];

/** The members of a session that a media path uses. */
export interface MediaSession extends Transforms {
  readonly streams: StreamGate;
  counters(): Promise<readonly TransformCounters[]>;
  forget(ids: readonly string[]): void;
}

type MediaPathEvents = {
  shown: SlotChange;
  /** The server sends another layer of a shown track. */
  layer: RemoteTrack;
  problem: Problem;
  /** A local source ended because its transform was bypassed. */
  bypassed: Source;
  state: RTCPeerConnectionState;
  /** The browser rejected what the server asked for. */
  failed: TacetError;
};

/** What a media path is made of. */
export interface MediaPathOptions {
  readonly setup: PeerSetup;
  readonly session: MediaSession;
  readonly signaling: Pick<Signaling, "request" | "send">;
  /** Number of this path among those of its session. */
  readonly number: number;
}

/** A media path. */
export class MediaPath extends Emitter<MediaPathEvents> {
  readonly #peer: Peer;
  readonly #watchdog = new Watchdog();
  readonly #session: MediaSession;
  readonly #signaling: Pick<Signaling, "request" | "send">;
  readonly #prefix: string;
  readonly #slots = new Slots();
  readonly #localTracks = new Map<Source, LocalTrack>();
  readonly #transforms: string[] = [];
  readonly #openStreams = new Set<StreamNumber>();
  readonly #gate: StreamGate;
  /** Of the microphone, if its packets carry no levels. */
  readonly #speech: SpeechWatch | null;
  #restarting = false;
  #closed = false;
  /** Bytes that the transport had received at the last look. */
  #bytesReceived = 0;

  constructor({ setup, session, signaling, number }: MediaPathOptions) {
    super();
    this.#session = session;
    this.#signaling = signaling;
    this.#prefix = `${number}.`;
    const levels = setup.hdrext.some(({ uri }) => uri === AUDIO_LEVEL);
    this.#speech = levels ? null : new SpeechWatch((speaking) => this.#tellSpeech(speaking));
    // A path that is closed no longer opens or closes streams, which its successor uses.
    this.#gate = {
      open: (stream) => {
        if (this.#closed) return Promise.reject(new TacetError("ended"));
        this.#openStreams.add(stream);
        return session.streams.open(stream);
      },
      close: (stream) => {
        if (!this.#closed && this.#openStreams.delete(stream)) session.streams.close(stream);
      },
    };
    const transforms: Transforms = {
      transform: (options) => {
        const id = this.#prefix + options.id;
        this.#transforms.push(id);
        return session.transform({ ...options, id });
      },
    };
    this.#peer = new Peer(setup, transforms, {
      localTransport: (transport) =>
        this.#signaling.send({ t: "transport", ...transport }, Priority.Control, "transport"),
      state: (state) => {
        if (!this.#closed) this.emit("state", state);
      },
    });
  }

  /** State of the peer connection. */
  get state(): RTCPeerConnectionState {
    return this.#peer.state;
  }

  /** Whether the path is closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether the server's half of the transport is known. */
  get started(): boolean {
    return this.#peer.started;
  }

  /** The remote tracks that are shown. */
  get shown(): RemoteTrack[] {
    return this.#slots.shown();
  }

  /** Sets the server's half of the transport. */
  start(transport: ServerTransport): void {
    this.#inBackground(this.#peer.setServerTransport(transport));
  }

  /**
   * Restarts ICE: new credentials on both sides, the same DTLS and keys. A second call during one does nothing.
   *
   * @throws {TacetError} if the server does not answer or refuses, or the browser does
   */
  async restartIce(): Promise<void> {
    if (this.#restarting || this.#closed || !this.started) return;
    this.#restarting = true;
    try {
      const answer = await this.#signaling.request({ t: "ice.restart" }, Priority.Control, "ice.restart");
      if (answer.t !== "transport") throw new TacetError("protocol");
      if (!this.#closed) await this.#peer.setServerTransport({ ice: answer.ice, dtls: answer.dtls });
    } finally {
      this.#restarting = false;
    }
  }

  /** Applies a change of the slots. */
  applySlots(message: SlotsMessage): void {
    this.#inBackground(this.#applySlots(message));
  }

  /** The server sends other layers in these slots. */
  applyLayers(layers: readonly SlotLayer[]): void {
    for (const layer of layers) {
      const shown = this.#slots.setLayer(layer);
      if (shown !== null && !this.#closed) this.emit("layer", shown);
    }
  }

  /** Sends only the encodings that are received by anyone. */
  want(tracks: readonly TrackWant[]): void {
    for (const { track, active } of tracks) for (const local of this.#localTracks.values()) local.want(track, active);
  }

  /** Returns the layer of a shown track; `null` if the server named none. */
  layer({ mid }: RemoteTrack): VideoLayer | null {
    return this.#slots.layer(mid);
  }

  /** The frames in a receiver are authenticated as this origin. Receivers of other paths are ignored. */
  authenticate(transform: string, origin: FrameOrigin): void {
    const mid = this.#mid(transform);
    if (mid !== null) this.#show(this.#slots.authenticate(mid, origin));
  }

  /** Returns the participants whose frames were opened by these transforms. */
  senders(transforms: readonly string[]): Set<ParticipantId> {
    const mids = new Set(transforms.map((transform) => this.#mid(transform)));
    return new Set(this.shown.flatMap(({ mid, participant }) => (mids.has(mid) ? [participant] : [])));
  }

  /** Sends this media as this source, or nothing if it is `null`. */
  async send(source: Source, media: MediaStreamTrack | null): Promise<void> {
    if (this.#closed) throw new TacetError("ended");
    let track = this.#localTracks.get(source);
    if (track === undefined) {
      if (media === null) return;
      track = new LocalTrack(source, this.#peer, this.#signaling, this.#gate);
      this.#localTracks.set(source, track);
    }
    if (source === "microphone" && media === null) this.#speech?.stop();
    await track.set(media);
    if (source === "microphone" && !this.#closed) this.#speech?.follow(track.sending);
    if (media !== null) this.#watchSoon();
  }

  /** Unpublishes a source. */
  async unpublish(source: Source): Promise<void> {
    if (source === "microphone") this.#speech?.stop();
    // It is kept: what is published next waits until this is done, and a source whose transform was bypassed stays silent.
    await this.#localTracks.get(source)?.unpublish();
  }

  /** Returns the receiver of a shown track. */
  receiver(track: RemoteTrack): RTCRtpReceiver | undefined {
    return this.#peer.receiver(track.mid);
  }

  /** Returns the level of a shown audio track as the browser measures it (linear, 0 to 1), if it does. */
  audioLevel(track: RemoteTrack): number | undefined {
    return this.receiver(track)?.getSynchronizationSources()[0]?.audioLevel;
  }

  /** Returns the browser's statistics. */
  stats(): Promise<RTCStatsReport> {
    return this.#peer.stats();
  }

  /** Returns whether packets arrived since the last call, of any kind: feedback for sent media shows a working path too. */
  async reached(): Promise<boolean> {
    let bytes = 0;
    for (const { type, bytesReceived = 0 } of (await this.stats()).values()) {
      // Firefox counts in candidate pairs alone.
      if (type === "transport" || type === "candidate-pair") bytes += bytesReceived;
    }
    const more = bytes > this.#bytesReceived;
    this.#bytesReceived = bytes;
    return more;
  }

  /** Runs the watchdog: silences media that bypasses its transform. */
  async watch(): Promise<void> {
    const report = await this.stats();
    const now = performance.now();
    // In this order: the counters must not be older than the statistics.
    const counters = await this.#session.counters();
    if (this.#closed) return;
    const own = counters.flatMap((counter) => {
      const mid = this.#mid(counter.id);
      return mid === null ? [] : [{ ...counter, id: mid }];
    });
    for (const { mid, role } of this.#watchdog.bypassed(now, countMedia(report), own)) {
      if (role === "open") {
        const receiver = this.#peer.receiver(mid);
        if (receiver?.track.enabled !== true) continue;
        receiver.track.enabled = false;
        this.emit("problem", { code: "transform-bypassed", participant: this.#participantIn(mid) });
      } else {
        const track = [...this.#localTracks.values()].find((one) => one.mid === mid);
        if (track === undefined || track.bypassed) continue;
        this.emit("problem", { code: "transform-bypassed", participant: null });
        this.emit("bypassed", track.source);
        if (track.source === "microphone") this.#speech?.stop();
        await track.stopBypassed();
      }
    }
  }

  /** Stops all media of this path at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#speech?.stop();
    this.#peer.close();
    for (const stream of this.#openStreams) this.#session.streams.close(stream);
    this.#session.forget(this.#transforms);
    for (const removed of this.shown) this.emit("shown", { removed, added: null });
  }

  /** Returns the MID of a transform, or `null` if it belongs to another path. */
  #mid(transform: string): string | null {
    return transform.startsWith(this.#prefix) ? transform.slice(this.#prefix.length) : null;
  }

  async #applySlots({ rev, add, set }: SlotsMessage): Promise<void> {
    for (const slot of add) this.#slots.add(slot);
    if (add.length > 0) await this.#peer.addSlots(add);
    if (this.#closed) return;
    this.#signaling.send({ t: "slots.ready", rev }, Priority.Control, "slots.ready");
    for (const content of set) this.#show(this.#slots.hint(content));
    const owners = new Map<string, ParticipantId | null>();
    for (const { mid, source } of set) {
      if (source !== null) owners.set(mid, "participant" in source ? source.participant : null);
    }
    await this.#peer.setOwners(owners);
  }

  #tellSpeech(speaking: boolean): void {
    const track = this.#localTracks.get("microphone")?.id;
    if (track === undefined || this.#closed) return;
    this.#signaling.send({ t: "speech", track, speaking }, Priority.State, `speech ${track}`);
  }

  #show(change: SlotChange | null): void {
    if (change !== null && !this.#closed) this.emit("shown", change);
  }

  #participantIn(mid: string): ParticipantId | null {
    return this.shown.find((track) => track.mid === mid)?.participant ?? null;
  }

  /** Runs the watchdog often while a source is new: a browser that ignores the transform does so from the first frame. */
  #watchSoon(): void {
    // Rejects if the path is closed in the meantime, which needs no report.
    for (const delay of EARLY_WATCHES_MS) setTimeout(() => void this.watch().catch(() => {}), delay);
  }

  /** Runs work that nothing awaits. If it fails, the browser rejected what the server asked for. */
  #inBackground(work: Promise<void>): void {
    work.catch((thrown: unknown) => {
      if (!this.#closed) this.emit("failed", asTacetError(thrown, "media-path"));
    });
  }
}

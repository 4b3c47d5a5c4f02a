// One connection to a room: a socket, a worker and a peer connection, from `hello` until one of them is lost. A call
// that loses its connection opens a new one, with a new worker and new keys; only the published media is carried over.

import { decodeExactly, encode } from "./base64url.ts";
import { CryptoWorker } from "./crypto-worker.ts";
import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError } from "./errors.ts";
import type { RoomLink } from "./link.ts";
import { LocalTrack } from "./local-track.ts";
import { Peer } from "./peer.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import { BinaryType, keyRequestBodies, type ServerBinary } from "./protocol/binary.ts";
import type {
  Codec,
  Joined,
  ParticipantId,
  Roster as RosterMessage,
  ServerMessage,
  Slots as SlotsMessage,
  Source,
  Speaker,
  Welcome,
} from "./protocol/generated.ts";
import { errorOfClose, errorOfRefusal } from "./protocol/refusal.ts";
import { Refused, Socket } from "./protocol/socket.ts";
import { type MuteChange, RemoteTracks } from "./remote-tracks.ts";
import { Roster } from "./roster.ts";
import { type RemoteTrack, type SlotChange, Slots } from "./slots.ts";
import { StreamKeys } from "./stream-keys.ts";
import { bypassed, countMedia } from "./watchdog.ts";
import { type Action, EventKind } from "./worker/action.ts";
import { joinedEvent, keyBatchAcceptedEvent, leftEvent, type SessionEvent } from "./worker/event.ts";
import type { TransformCounters } from "./worker/messages.ts";

/** Name and version of this client, as sent to the server. */
const CLIENT = "tacet-web/0.1.0";
const CALL_BYTES = 16;

/** Times after the start of a source at which the watchdog runs; the call also runs it every second. */
const EARLY_WATCHES_MS = [40, 100, 200, 400];

/** How to connect. */
export interface ConnectionOptions {
  readonly link: RoomLink;
  readonly name: string;
  readonly videoCodec: Codec;
  /** Guest access to show instead of the one that is derived from the secret. */
  readonly guestAccess?: Uint8Array;
}

type Announce = Action & { kind: "announce" };

type ConnectionEvents = {
  /** A participant proved that it has the secret. */
  verified: { readonly participant: ParticipantId; readonly name: string };
  removed: ParticipantId;
  shown: SlotChange;
  muted: MuteChange;
  speakers: readonly Speaker[];
  problem: Problem;
  generation: KeyEpoch;
  media: RTCPeerConnectionState;
  /** The connection has ended. */
  lost: TacetError;
};

/** A connection that has joined. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly #options: ConnectionOptions;
  readonly #crypto: CryptoWorker;
  readonly #socket: Socket;
  readonly #roster = new Roster();
  readonly #slots = new Slots();
  readonly #remoteTracks = new RemoteTracks();
  readonly #localTracks = new Map<Source, LocalTrack>();
  readonly #streamKeys = new StreamKeys((event) => this.#sessionEvent(event));
  #participant: ParticipantId | null = null;
  #peer: Peer | undefined;
  #firstAnnounce: (announce: Announce) => void = () => {};
  #closed = false;

  private constructor(options: ConnectionOptions, crypto: CryptoWorker) {
    super();
    this.#options = options;
    this.#crypto = crypto;
    crypto.on("action", (action) => this.#act(action));
    crypto.on("authenticated", ({ id, origin }) => this.#show(this.#slots.authenticate(id, origin)));
    crypto.on("failed", (error) => this.#lose(error));
    this.#socket = new Socket(options.link.server, {
      message: (message) => this.#receive(message),
      binary: (message) => this.#receiveBinary(message),
      closed: (code) => this.#lose(errorOfClose(code)),
    });
  }

  /**
   * Connects and joins. `prepare` can add listeners before the first event.
   *
   * @throws {TacetError} if that fails; the connection is closed then
   */
  static async open(options: ConnectionOptions, prepare: (connection: Connection) => void): Promise<Connection> {
    const { worker, guestAccess } = await CryptoWorker.load(options.link.secret);
    const connection = new Connection(options, worker);
    prepare(connection);
    let lost: TacetError | undefined;
    connection.on("lost", (error) => {
      lost = error;
    });
    try {
      await connection.#join(options.guestAccess ?? guestAccess);
      return connection;
    } catch (thrown) {
      connection.close();
      // What closed the connection is a better explanation than the request that failed because of it.
      throw (
        lost ?? (thrown instanceof Refused ? errorOfRefusal(thrown.reason) : asTacetError(thrown, "server-unreachable"))
      );
    }
  }

  /** Participant id of this device, or `null` before the server has assigned it. */
  get participant(): ParticipantId | null {
    return this.#participant;
  }

  /** Sends this media as this source, or nothing if it is `null`. */
  async publish(source: Source, media: MediaStreamTrack | null): Promise<void> {
    await this.#localTrack(source, media)?.set(media);
    if (media !== null) this.#watchSoon();
  }

  /** Unpublishes a source. */
  async unpublish(source: Source): Promise<void> {
    const track = this.#localTracks.get(source);
    // A track whose transform was bypassed is kept, so that its source stays silent on this connection.
    if (track?.bypassed === false) this.#localTracks.delete(source);
    await track?.unpublish();
  }

  /** Returns the receiver of a shown track. */
  receiver(track: RemoteTrack): RTCRtpReceiver | undefined {
    return this.#peer?.receiver(track.mid);
  }

  /** Returns the remote tracks that are shown. */
  shown(): RemoteTrack[] {
    return this.#slots.shown();
  }

  /** Returns the level of a shown audio track as the browser measures it (linear, 0 to 1), if it does. */
  audioLevel(track: RemoteTrack): number | undefined {
    return this.receiver(track)?.getSynchronizationSources()[0]?.audioLevel;
  }

  /** Whether a participant's source is muted or not published, according to the server. */
  muted(participant: ParticipantId, source: Source): boolean {
    return this.#remoteTracks.muted(participant, source);
  }

  /** Returns the counters of every transform. */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#crypto.counters();
  }

  /** Returns the browser's statistics. */
  stats(): Promise<RTCStatsReport> | undefined {
    return this.#peer?.stats();
  }

  /** Runs the watchdog: silences media that bypasses its transform. */
  async watch(): Promise<void> {
    const report = await this.stats();
    if (report === undefined) return;
    // In this order: the counters must not be older than the statistics.
    const counters = await this.counters();
    if (this.#closed) return;
    for (const { mid, role } of bypassed(countMedia(report), counters)) {
      if (role === "open") {
        const receiver = this.#peer?.receiver(mid);
        if (receiver?.track.enabled !== true) continue;
        receiver.track.enabled = false;
        this.emit("problem", { code: "transform-bypassed", participant: this.#participantIn(mid) });
      } else {
        const track = [...this.#localTracks.values()].find((one) => one.mid === mid);
        if (track === undefined || track.bypassed) continue;
        this.emit("problem", { code: "transform-bypassed", participant: null });
        await track.stopBypassed();
      }
    }
  }

  /** Leaves. No event is emitted afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#peer?.close();
    this.#socket.close();
    this.#crypto.terminate();
  }

  async #join(guestAccess: Uint8Array): Promise<void> {
    const { link, name, videoCodec } = this.#options;
    const welcome = await this.#socket.request({
      t: "hello",
      room: link.room,
      credential: { type: "guest", token: encode(guestAccess) },
      client: CLIENT,
      features: [],
    });
    if (welcome.t !== "welcome") throw new TacetError("protocol");
    this.#participant = welcome.participant;
    this.#peer = this.#createPeer(welcome, videoCodec);
    const announced = new Promise<Announce>((resolve) => {
      this.#firstAnnounce = resolve;
    });
    const failed = this.once("lost").then((error): never => {
      throw error;
    });
    // After joining, nothing awaits it any more; a later loss is reported by the event alone.
    failed.catch(() => {});
    this.#crypto.start({ room: link.roomBytes, call: decodeCall(welcome), name });
    const { announce, display } = await Promise.race([announced, failed]);
    const joined = this.#socket.request({ t: "join", announce: encode(announce), display: encode(display) });
    this.#socket.send({ t: "subscribe", auto: true });
    const answer = await joined;
    if (answer.t !== "joined") throw new TacetError("protocol");
    this.#joined(answer);
  }

  #joined(joined: Joined): void {
    this.#sessionEvent(joinedEvent(joined.seat));
    this.#roster.start(joined);
    this.#emitMuted(this.#remoteTracks.apply({ add: joined.tracks, del: [], upd: [] }));
  }

  #createPeer({ codecs, hdrext }: Welcome, videoCodec: Codec): Peer {
    return new Peer({ codecs, hdrext, videoCodec }, this.#crypto, {
      localTransport: (transport) => this.#socket.send({ t: "transport", ...transport }),
      state: (state) => {
        if (this.#closed) return;
        this.emit("media", state);
        if (state === "failed") this.#lose(new TacetError("media-path"));
      },
    });
  }

  #receive(message: ServerMessage): void {
    if (this.#closed) return;
    switch (message.t) {
      case "transport":
        this.#inBackground(this.#peer?.setServerTransport({ ice: message.ice, dtls: message.dtls }));
        break;
      case "roster":
        this.#applyRoster(message);
        break;
      case "tracks":
        this.#emitMuted(this.#remoteTracks.apply(message));
        break;
      case "slots":
        this.#inBackground(this.#applySlots(message));
        break;
      case "speakers":
        this.emit("speakers", message.speakers);
        break;
      case "transport.state":
        if (message.state === "failed") this.#lose(new TacetError("media-path"));
        break;
      default:
        // Answers that nothing awaits, and messages of newer servers.
        break;
    }
  }

  #receiveBinary({ type, body }: ServerBinary): void {
    if (this.#closed) return;
    if (type === BinaryType.Announces) this.#crypto.event(EventKind.Announces, body);
    else if (type === BinaryType.Keys) this.#crypto.event(EventKind.Keys, body);
    else if (type === BinaryType.KeyRequest) this.#crypto.event(EventKind.KeyRequest, body);
  }

  #sessionEvent({ kind, body }: SessionEvent): void {
    this.#crypto.event(kind, body);
  }

  #act(action: Action): void {
    if (this.#closed) return;
    switch (action.kind) {
      case "announce":
        if (action.first) this.#firstAnnounce(action);
        else this.#socket.send({ t: "announce", announce: encode(action.announce), display: encode(action.display) });
        break;
      case "key-batch":
        this.#socket.sendBinary(BinaryType.KeyBatch, action.body);
        this.#sessionEvent(keyBatchAcceptedEvent(action.number));
        break;
      case "key-request":
        for (const body of keyRequestBodies(action.wanted)) this.#socket.sendBinary(BinaryType.KeyRequest, body);
        break;
      case "verified":
        this.emit("verified", { participant: action.participant, name: action.name });
        break;
      case "removed":
        this.emit("removed", action.participant);
        break;
      case "stream-ready":
        this.#streamKeys.ready(action.stream);
        break;
      case "problem":
        this.emit("problem", { code: action.code, participant: action.participant });
        break;
      case "generation":
        this.emit("generation", { generation: action.generation, step: action.step });
        break;
      case "key-installed":
        break;
      case "ended":
        // The machine slept or its clock jumped. The others have rotated this session out, so a new one has to join.
        this.#lose(new TacetError("server-unreachable", "This device slept or its clock changed."));
        break;
    }
  }

  /** Returns the local track of a source. Creates it if there is media for it. */
  #localTrack(source: Source, media: MediaStreamTrack | null): LocalTrack | undefined {
    const peer = this.#peer;
    if (peer === undefined || this.#closed) throw new TacetError("ended");
    const known = this.#localTracks.get(source);
    if (known !== undefined || media === null) return known;
    const track = new LocalTrack(source, peer, this.#socket, this.#streamKeys);
    this.#localTracks.set(source, track);
    return track;
  }

  /** Runs the watchdog often while a source is new: a browser that ignores the transform does so from the first frame. */
  #watchSoon(): void {
    // Rejects if the connection is lost in the meantime, which is reported by `lost`.
    for (const delay of EARLY_WATCHES_MS) setTimeout(() => void this.watch().catch(() => {}), delay);
  }

  #applyRoster(message: RosterMessage): void {
    const { left, gap } = this.#roster.apply(message);
    if (gap) this.#socket.send({ t: "resync" });
    if (left.length > 0) this.#sessionEvent(leftEvent(left));
  }

  async #applySlots({ rev, add, set }: SlotsMessage): Promise<void> {
    for (const slot of add) this.#slots.add(slot);
    if (add.length > 0) await this.#peer?.addSlots(add);
    if (this.#closed) return;
    this.#socket.send({ t: "slots.ready", rev });
    for (const content of set) this.#show(this.#slots.hint(content));
    const owners = set.flatMap(({ mid, source }) => (source === null ? [] : [[mid, source.participant] as const]));
    await this.#peer?.setOwners(new Map(owners));
  }

  #show(change: SlotChange | null): void {
    if (change !== null && !this.#closed) this.emit("shown", change);
  }

  #emitMuted(changes: readonly MuteChange[]): void {
    for (const change of changes) this.emit("muted", change);
  }

  #participantIn(mid: string): ParticipantId | null {
    return this.shown().find((track) => track.mid === mid)?.participant ?? null;
  }

  /** Runs work that nothing awaits. If it fails, the browser rejected what the server asked for, which ends the connection. */
  #inBackground(work: Promise<void> | undefined): void {
    work?.catch((thrown: unknown) => this.#lose(asTacetError(thrown, "media-path")));
  }

  #lose(error: TacetError): void {
    if (this.#closed) return;
    this.emit("lost", error);
    this.close();
  }
}

function decodeCall({ call }: Welcome): Uint8Array {
  const bytes = decodeExactly(call, CALL_BYTES);
  if (bytes === null) throw new TacetError("protocol");
  return bytes;
}

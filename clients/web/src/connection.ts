// One connection to a room: a socket, a worker and a peer, from `hello` until one of them is lost. A call that loses
// its connection opens a new one, with a new worker and new keys; nothing is carried over but what the user published.

import { decodeExactly, encode } from "./base64url.ts";
import { CryptoWorker } from "./crypto-worker.ts";
import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError, type TacetErrorCode } from "./errors.ts";
import type { RoomLink } from "./link.ts";
import { Peer } from "./peer.ts";
import { BinaryType, keyRequestBodies, type ServerBinary } from "./protocol/binary.ts";
import type {
  Codec,
  ErrorCode,
  Joined,
  Roster,
  ServerMessage,
  Slots as SlotsMessage,
  Source,
  Speaker,
  Welcome,
} from "./protocol/generated.ts";
import { Refused, Socket } from "./protocol/socket.ts";
import { Publication } from "./publication.ts";
import { type MuteChange, RemoteTracks } from "./remote-tracks.ts";
import { type RemoteTrack, type SlotChange, Slots } from "./slots.ts";
import { bypassed, readPassed } from "./watchdog.ts";
import { type Action, EventKind, type ProblemCode } from "./worker/action.ts";
import type { TransformCounters } from "./worker/messages.ts";

/** Name and version told to the server. */
const CLIENT = "tacet-web/0.1.0";
/** How long a key for one's own stream may take. The longest switch window is 5 s. */
const KEY_TIMEOUT_MS = 15_000;

/** When the watchdog looks after a source has started; the call looks every second besides. */
const EARLY_WATCHES_MS = [40, 100, 200, 400];

/** How to connect. */
export interface ConnectionOptions {
  readonly link: RoomLink;
  readonly name: string;
  readonly videoCodec: Codec;
  /** Access token instead of the one derived from the secret. */
  readonly access?: Uint8Array;
}

type ConnectionEvents = {
  /** A participant proved that it holds the secret. */
  verified: { readonly participant: number; readonly name: string };
  removed: number;
  shown: SlotChange;
  muted: MuteChange;
  speakers: readonly Speaker[];
  problem: { readonly code: ProblemCode | "transform-bypassed"; readonly participant: number | null };
  generation: { readonly generation: number; readonly step: number };
  media: RTCPeerConnectionState;
  /** The connection is over. */
  lost: TacetError;
};

/** A connection that has joined. */
export class Connection extends Emitter<ConnectionEvents> {
  /** The server's number of this participant. */
  participant = -1;
  readonly #options: ConnectionOptions;
  readonly #crypto: CryptoWorker;
  readonly #socket: Socket;
  readonly #slots = new Slots();
  readonly #tracks = new RemoteTracks();
  readonly #receivers = new Map<string, RTCRtpReceiver>();
  readonly #publications = new Map<Source, Publication>();
  readonly #waitingForKey = new Map<number, () => void>();
  readonly #members = new Set<number>();
  #peer: Peer | undefined;
  #announce: (announce: Action & { kind: "announce" }) => void = () => {};
  #rosterRevision = 0;
  #closed = false;

  private constructor(options: ConnectionOptions, crypto: CryptoWorker) {
    super();
    this.#options = options;
    this.#crypto = crypto;
    crypto.on("action", (action) => this.#act(action));
    crypto.on("attributed", ({ id, participant, stream }) =>
      this.#show(this.#slots.attribute(id, participant, stream)),
    );
    crypto.on("failed", (error) => this.#lose(error));
    this.#socket = new Socket(options.link.server, {
      message: (message) => this.#receive(message),
      binary: (message) => this.#receiveBinary(message),
      closed: (code) => this.#lose(errorOfClose(code)),
    });
  }

  /**
   * Connects and joins.
   *
   * @throws {TacetError} saying why not
   */
  static async open(options: ConnectionOptions, prepare: (connection: Connection) => void): Promise<Connection> {
    const { worker, access } = await CryptoWorker.load(options.link.secret);
    const connection = new Connection(options, worker);
    prepare(connection);
    let lost: TacetError | undefined;
    connection.on("lost", (error) => {
      lost = error;
    });
    try {
      await connection.#join(options.access ?? access);
      return connection;
    } catch (thrown) {
      connection.close();
      // What closed the connection says more than the request that then got no answer.
      throw (
        lost ?? (thrown instanceof Refused ? errorOfRefusal(thrown.reason) : asTacetError(thrown, "server-unreachable"))
      );
    }
  }

  /** Sends this track as this source, or nothing. */
  async publish(source: Source, track: MediaStreamTrack | null): Promise<void> {
    await this.#publication(source, track)?.set(track);
    if (track !== null) this.#watchSoon();
  }

  /** Withdraws a source. */
  async unpublish(source: Source): Promise<void> {
    const publication = this.#publications.get(source);
    // One whose transform was bypassed is remembered: the source stays silent on this connection.
    if (publication?.bypassed === false) this.#publications.delete(source);
    await publication?.withdraw();
  }

  /** The media of a shown track. */
  receiver(track: RemoteTrack): RTCRtpReceiver | undefined {
    return this.#receivers.get(track.mid);
  }

  /** The remote tracks that are shown. */
  shown(): RemoteTrack[] {
    return this.#slots.shown();
  }

  /** Whether a participant's source is muted or absent, as the server says. */
  muted(participant: number, source: Source): boolean {
    return this.#tracks.muted(participant, source);
  }

  /** What each transform has done. */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#crypto.counters();
  }

  /** The browser's statistics. */
  stats(): Promise<RTCStatsReport> | undefined {
    return this.#peer?.stats();
  }

  /** Looks for media that passed without its transform, and silences it. */
  async watch(): Promise<void> {
    const report = await this.stats();
    if (report === undefined) return;
    // In this order: the counters must not be older than the statistics.
    const counters = await this.counters();
    if (this.#closed) return;
    for (const { mid, role } of bypassed(readPassed(report), counters)) {
      if (role === "open") {
        const receiver = this.#receivers.get(mid);
        if (receiver?.track.enabled !== true) continue;
        receiver.track.enabled = false;
        this.emit("problem", { code: "transform-bypassed", participant: this.#shownIn(mid) });
      } else {
        const publication = [...this.#publications.values()].find((one) => one.mid === mid);
        if (publication === undefined || publication.bypassed) continue;
        this.emit("problem", { code: "transform-bypassed", participant: null });
        await publication.bypass();
      }
    }
  }

  /** Leaves. Nothing is emitted any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#peer?.close();
    this.#socket.close();
    this.#crypto.terminate();
  }

  async #join(access: Uint8Array): Promise<void> {
    const { link, name, videoCodec } = this.#options;
    const welcome = await this.#socket.request({
      t: "hello",
      room: link.room,
      access: encode(access),
      client: CLIENT,
      features: [],
    });
    if (welcome.t !== "welcome") throw new TacetError("protocol");
    this.participant = welcome.participant;
    this.#peer = this.#makePeer(welcome, videoCodec);
    const announced = new Promise<Action & { kind: "announce" }>((resolve) => {
      this.#announce = resolve;
    });
    const failed = this.once("lost").then((error): never => {
      throw error;
    });
    // Once joined, nobody waits for this; a later loss is told as an event.
    failed.catch(() => {});
    this.#crypto.start(link.roomBytes, decodeCall(welcome), name);
    const { announce, display } = await Promise.race([announced, failed]);
    const joined = this.#socket.request({ t: "join", announce: encode(announce), display: encode(display) });
    this.#socket.send({ t: "subscribe", auto: true });
    const answer = await joined;
    if (answer.t !== "joined") throw new TacetError("protocol");
    this.#joined(answer);
  }

  #joined({ seat, rev, roster, tracks }: Joined): void {
    const body = new Uint8Array(2);
    new DataView(body.buffer).setUint16(0, seat);
    this.#crypto.event(EventKind.Joined, body);
    this.#rosterRevision = rev;
    for (const { participant } of roster) this.#members.add(participant);
    this.#mute(this.#tracks.apply({ add: tracks, del: [], upd: [] }));
  }

  #makePeer({ codecs, hdrext }: Welcome, videoCodec: Codec): Peer {
    return new Peer({ codecs, hdrext, videoCodec }, this.#crypto, {
      localTransport: (transport) => this.#socket.send({ t: "transport", ...transport }),
      slotReady: (mid, receiver) => this.#receivers.set(mid, receiver),
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
        this.#background(this.#peer?.setServerTransport({ ice: message.ice, dtls: message.dtls }));
        break;
      case "roster":
        this.#applyRoster(message);
        break;
      case "tracks":
        this.#mute(this.#tracks.apply(message));
        break;
      case "slots":
        this.#background(this.#applySlots(message));
        break;
      case "speakers":
        this.emit("speakers", message.speakers);
        break;
      case "transport.state":
        if (message.state === "failed") this.#lose(new TacetError("media-path"));
        break;
      default:
        // Answers that nobody waits for, and messages of a newer server.
        break;
    }
  }

  #receiveBinary({ type, body }: ServerBinary): void {
    if (this.#closed) return;
    if (type === BinaryType.Announces) this.#crypto.event(EventKind.Announces, body);
    else if (type === BinaryType.Keys) this.#crypto.event(EventKind.Keys, body);
    else if (type === BinaryType.KeyRequest) this.#crypto.event(EventKind.KeyRequest, body);
  }

  #act(action: Action): void {
    if (this.#closed) return;
    switch (action.kind) {
      case "announce":
        if (action.first) this.#announce(action);
        else this.#socket.send({ t: "announce", announce: encode(action.announce), display: encode(action.display) });
        break;
      case "key-batch":
        this.#socket.sendBinary(BinaryType.KeyBatch, action.body);
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
        this.#waitingForKey.get(action.stream)?.();
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
        // The machine slept, or its clock jumped: the others have rotated this session out, so join with a new one.
        this.#lose(new TacetError("server-unreachable", "The clock of this device jumped; joining again."));
        break;
    }
  }

  /** The publication of a source; made if there is a track for it. */
  #publication(source: Source, track: MediaStreamTrack | null): Publication | undefined {
    const peer = this.#peer;
    if (peer === undefined || this.#closed) throw new TacetError("ended");
    const known = this.#publications.get(source);
    if (known !== undefined || track === null) return known;
    const gate = {
      openStream: (stream: number) => this.#openStream(stream),
      closeStream: (stream: number) => this.#streamEvent(EventKind.StreamClosed, stream),
    };
    const publication = new Publication(source, peer, this.#socket, gate);
    this.#publications.set(source, publication);
    return publication;
  }

  /** Looks often while a source is new: a browser that bypasses its transform does so from the first frame. */
  #watchSoon(): void {
    // A connection that is lost meanwhile tells it by itself.
    for (const delay of EARLY_WATCHES_MS) setTimeout(() => void this.watch().catch(() => {}), delay);
  }

  #applyRoster({ rev, full, add, del }: Roster): void {
    const left = new Set(del);
    if (full) {
      const present = new Set(add.map(({ participant }) => participant));
      for (const participant of this.#members) if (!present.has(participant)) left.add(participant);
    } else if (rev !== this.#rosterRevision + 1) {
      this.#socket.send({ t: "resync" });
    }
    this.#rosterRevision = rev;
    for (const { participant } of add) this.#members.add(participant);
    for (const participant of left) this.#members.delete(participant);
    if (left.size === 0) return;
    const body = new Uint8Array(left.size * 4);
    const view = new DataView(body.buffer);
    [...left].forEach((participant, index) => {
      view.setUint32(index * 4, participant);
    });
    this.#crypto.event(EventKind.Left, body);
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

  #mute(changes: readonly MuteChange[]): void {
    for (const change of changes) this.emit("muted", change);
  }

  #shownIn(mid: string): number | null {
    return this.shown().find((track) => track.mid === mid)?.participant ?? null;
  }

  #openStream(stream: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waitingForKey.delete(stream);
        this.#streamEvent(EventKind.StreamClosed, stream);
        reject(new TacetError("encryption", "No key is ready for sending."));
      }, KEY_TIMEOUT_MS);
      this.#waitingForKey.set(stream, () => {
        clearTimeout(timer);
        this.#waitingForKey.delete(stream);
        resolve();
      });
      this.#streamEvent(EventKind.StreamOpened, stream);
    });
  }

  #streamEvent(kind: number, stream: number): void {
    const body = new Uint8Array(4);
    new DataView(body.buffer).setUint32(0, stream);
    this.#crypto.event(kind, body);
  }

  /** Runs work that nobody awaits. If it fails, the browser refused what the server asked: the connection is over. */
  #background(work: Promise<void> | undefined): void {
    work?.catch((thrown: unknown) => this.#lose(asTacetError(thrown, "media-path")));
  }

  #lose(error: TacetError): void {
    if (this.#closed) return;
    this.emit("lost", error);
    this.close();
  }
}

function decodeCall({ call }: Welcome): Uint8Array {
  const bytes = decodeExactly(call, 16);
  if (bytes === null) throw new TacetError("protocol");
  return bytes;
}

function errorOfRefusal(reason: ErrorCode): TacetError {
  const codes: Partial<Record<ErrorCode, TacetErrorCode>> = {
    unauthenticated: "access-refused",
    forbidden: "access-refused",
    no_room: "no-room",
    room_full: "room-full",
    server_busy: "server-unreachable",
  };
  return new TacetError(codes[reason] ?? "protocol");
}

function errorOfClose(code: number): TacetError {
  if (code === 4401) return new TacetError("access-refused");
  if (code === 4404) return new TacetError("no-room", "The room has been closed.");
  if (code === 4400 || code === 4429 || code === 1008 || code === 1009) return new TacetError("protocol");
  return new TacetError("server-unreachable", "The connection to the server was lost.");
}

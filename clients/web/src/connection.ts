// The connection of a call to its room, for as long as the call lasts.
//
// It consists of three things with lifetimes of their own:
//
//   session      worker, keys, streams      until the keys are void: the device slept, or the worker crashed
//   signaling    one socket after another   continued, or joined again, whenever the socket is lost
//   media        one path after another     ICE restarts on it; replaced with each new transport of the server
//
// Repair takes the cheapest step that works: restart ICE; continue signaling, and with it everything; join again with the
// same keys, if the server forgot the rest; join with new keys. There is always a next attempt.

import { Attempts } from "./attempts.ts";
import type { CallCode } from "./call-code.ts";
import type { ChatContent, ChatKind } from "./chat.ts";
import { type ConnectionStatus, connectedSince, nextStatus } from "./connection-status.ts";
import type { CryptoSession } from "./crypto-session.ts";
import { Emitter } from "./emitter.ts";
import { type ConnectionOptions, Entrance } from "./entrance.ts";
import { watchEnvironment } from "./environment.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { Media } from "./media.ts";
import type { MediaState } from "./media-watch.ts";
import { Others, type Verified } from "./others.ts";
import type { Presence } from "./participant.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import type {
  Downlink,
  ParticipantId,
  RoleChange,
  ServerMessage,
  Source,
  Speaker,
  Tokens,
} from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import { Signaling } from "./protocol/signaling.ts";
import { type MuteChange, RemoteTracks, type StallChange, type TracksUpdate } from "./remote-tracks.ts";
import { endsCall } from "./retry.ts";
import type { RemoteTrack, SlotChange, VideoLayer } from "./slots.ts";
import { VideoViews } from "./video-views.ts";
import type { Pulse, TransformCounters } from "./worker/messages.ts";

/** How long the first connection may take. */
const CONNECT_TIMEOUT_MS = 15_000;
/** Longest time between two signs of life. */
const HEARTBEAT_MS = 1_000;
/** A worker without a pulse for this long slept, and the page with it. */
const SLEPT_MS = 5_000;

export type { ConnectionOptions } from "./entrance.ts";

type ConnectionEvents = {
  /** A participant proved that it has the secret. Repeated when it returns with new keys. */
  verified: Verified;
  /** A participant is no longer in the call. */
  gone: ParticipantId;
  presence: { readonly participant: ParticipantId; readonly presence: Presence };
  shown: SlotChange;
  /** Videos are left out because too many are viewed, or no longer. */
  leftOut: undefined;
  /** The server sends another layer of a shown track. */
  layer: RemoteTrack;
  /** What the server knows of the path to this device has changed. */
  downlink: Downlink;
  muted: MuteChange;
  stalled: StallChange;
  /** What this participant is in the room has changed. */
  role: RoleChange;
  /** A moderator asks for the microphone to be muted. */
  muteRequested: ParticipantId;
  /** The room was locked, or unlocked. */
  locked: boolean;
  speakers: readonly Speaker[];
  problem: Problem;
  /** A problem that lasted does so no longer. */
  problemSolved: Problem;
  generation: KeyEpoch;
  callCode: CallCode | null;
  /** A participant says something. */
  chat: { readonly participant: ParticipantId; readonly content: ChatContent };
  media: MediaState;
  status: ConnectionStatus;
  /** The token for a return has changed. */
  returnToken: string;
  /** A local source is not sent any more. */
  sourceEnded: { readonly source: Source; readonly error: TacetError };
  /** The server's word that the call is over for this participant. */
  ended: TacetError;
};

/** A connection that has joined. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly media: Media;
  readonly others = new Others();
  readonly views: VideoViews;
  readonly #signaling: Signaling;
  readonly #remoteTracks = new RemoteTracks();
  readonly #unwatch: () => void;
  readonly #entrance: Entrance;
  readonly #attempts: Attempts;
  /** Whether the present link leads to the call, and not only to the server. */
  #joined = false;
  /** When the signaling link was lost, and why; `null` while there is one. */
  #loss: { readonly since: number; readonly error: TacetError } | null = null;
  #lastPulse = performance.now();
  #lastSign = Number.NEGATIVE_INFINITY;
  #callCode: CallCode | null = null;
  #status = connectedSince(performance.now());
  #closed = false;

  private constructor(options: ConnectionOptions) {
    super();
    this.#signaling = new Signaling(options.link.server, {
      message: (message) => this.#receive(message),
      binary: (message) => this.#entrance.session?.receive(message),
      continued: () => this.#entrance.continued(),
      lost: (error) => this.#lost(error),
      tokens: (tokens) => this.#setTokens(tokens),
    });
    this.media = new Media(this.#signaling, (track) => this.#expects(track));
    this.views = new VideoViews(
      (participant, source) => this.#remoteTracks.id(participant, source),
      // Before subscriptions, whose priority it has: what they bring depends on it.
      (layers) => this.#signaling.send({ t: "layers", ...layers }, Priority.Control, "layers"),
      () => this.emit("leftOut", undefined),
      options.viewedOnly,
    );
    this.#entrance = new Entrance(options, {
      signaling: this.#signaling,
      media: this.media,
      others: this.others,
      session: (session) => this.#listenTo(session),
      joining: () => this.views.restart(),
      joined: ({ tracks }) => this.#emitTracks(this.#remoteTracks.start(tracks)),
      problem: (problem) => this.emit("problem", problem),
    });
    this.#attempts = new Attempts(
      (limit) => void this.#attempt(limit),
      () => this.#updateStatus(),
    );
    this.#forward();
    this.#unwatch = watchEnvironment({
      awake: () => this.tryNow(),
      networkChanged: () => {
        this.tryNow();
        this.media.hurry();
      },
      offline: () => {
        this.#signaling.probe();
        this.#updateStatus();
      },
    });
  }

  /**
   * Connects and joins. `prepare` can add listeners before the first event.
   *
   * @throws {TacetError} if that fails; the connection is closed then
   */
  static async open(options: ConnectionOptions, prepare: (connection: Connection) => void): Promise<Connection> {
    const connection = new Connection(options);
    prepare(connection);
    try {
      await connection.#entrance.enterFirst(CONNECT_TIMEOUT_MS);
      connection.#entered();
      return connection;
    } catch (thrown) {
      connection.close();
      throw asTacetError(thrown, "server-unreachable");
    }
  }

  /** Participant id of this device, or `null` before the server has assigned it. */
  get participant(): ParticipantId | null {
    return this.#entrance.place?.participant ?? null;
  }

  /** Token with which this page, loaded again, returns; `null` before it has joined. */
  get returnToken(): string | null {
    return this.#entrance.place?.tokens.reload ?? null;
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  /** The call code; `null` before this device has joined, and while its keys are void. */
  get callCode(): CallCode | null {
    return this.#callCode;
  }

  /** Returns the receiver of a shown track. */
  receiver(track: RemoteTrack): RTCRtpReceiver | undefined {
    return this.media.path?.receiver(track);
  }

  /** Returns the remote tracks that are shown. */
  shown(): RemoteTrack[] {
    return this.media.path?.shown ?? [];
  }

  /** Returns the level of a shown audio track as the browser measures it (linear, 0 to 1), if it does. */
  audioLevel(track: RemoteTrack): number | undefined {
    return this.media.path?.audioLevel(track);
  }

  /** Returns the layer of a shown track; `null` if the server named none. */
  layer(track: RemoteTrack): VideoLayer | null {
    return this.media.path?.layer(track) ?? null;
  }

  /** Whether a participant's source is muted or not published, according to the server. */
  muted(participant: ParticipantId, source: Source): boolean {
    return this.#remoteTracks.muted(participant, source);
  }

  /** Whether a participant's source is unmuted and sends nothing, although the participant is present. */
  stalled(participant: ParticipantId, source: Source): boolean {
    return this.#remoteTracks.stalled(participant, source);
  }

  /** Returns the counters of every transform; none if the worker does not answer. */
  async counters(): Promise<readonly TransformCounters[]> {
    return (await this.#entrance.session?.counters().catch(() => [])) ?? [];
  }

  /** Returns the browser's statistics; none if it does not answer. */
  async stats(): Promise<RTCStatsReport> {
    return (await this.media.path?.stats().catch(() => undefined)) ?? new Map();
  }

  /** Runs the watchdog: silences media that bypasses its transform. */
  async watch(): Promise<void> {
    // Rejects if the path is closed in the meantime, or browser or worker do not answer.
    await this.media.path?.watch().catch(() => {});
  }

  /** Repairs at once, and suspects what seems to work: the network changed, the device woke up, or the person asks. */
  tryNow(): void {
    if (this.#closed) return;
    this.#attempts.hurry();
    this.#signaling.probe();
    if (this.media.state !== "connected") this.media.hurry();
  }

  /**
   * Says something to everyone. Resolves when the server has accepted it.
   *
   * @throws {TacetError} see `ChatOutbox.say`
   */
  say(kind: ChatKind, text: string): Promise<void> {
    const session = this.#entrance.session;
    return session?.chat.say(kind, text) ?? Promise.reject(new TacetError("ended"));
  }

  /** Tells the server that this page goes away and may return. */
  away(): void {
    this.#signaling.away();
  }

  /**
   * Leaves, and says so, if need be by one more attempt to reach the server: without a goodbye, the others would wait for
   * this participant. No event is emitted afterwards.
   */
  leave(): void {
    if (this.#closed) return;
    const detached = !this.#joined && this.#entrance.place !== undefined;
    this.#silence();
    if (detached) void this.#entrance.sayGoodbye().then(() => this.#release());
    else this.#release();
  }

  /** Closes without a goodbye. No event is emitted afterwards. */
  close(): void {
    if (this.#closed) return;
    this.#silence();
    this.#signaling.end(new TacetError("ended"));
    this.#release();
  }

  /** Ends all media, and all events. */
  #silence(): void {
    this.#closed = true;
    this.#unwatch();
    this.#attempts.stop();
    this.#entrance.close();
    this.others.close();
    this.media.close();
    this.views.close();
  }

  /** Erases the keys. */
  #release(): void {
    this.#signaling.leave();
    this.#entrance.erase();
  }

  /** Passes on what the parts report. */
  #forward(): void {
    const { media, others } = this;
    media.on("shown", (change) => this.#emitOpen("shown", change));
    media.on("layer", (track) => this.#emitOpen("layer", track));
    media.on("problem", (problem) => this.#emitOpen("problem", problem));
    media.on("ended", (end) => this.#emitOpen("sourceEnded", end));
    media.on("failed", (error) => this.#voidPlace(error));
    media.on("state", (state) => {
      this.#emitOpen("media", state);
      this.#updateStatus();
    });
    others.on("verified", (verified) => this.#emitOpen("verified", verified));
    others.on("gone", (participant) => this.#emitOpen("gone", participant));
    others.on("presence", (presence) => this.#emitOpen("presence", presence));
    others.on("left", (left) => this.#entrance.session?.left(left));
  }

  #emitOpen<Name extends keyof ConnectionEvents>(name: Name, event: ConnectionEvents[Name]): void {
    if (!this.#closed) this.emit(name, event);
  }

  /** Listens to a session for as long as its keys are used. */
  #listenTo(session: CryptoSession): void {
    const present = (): boolean => this.#entrance.session === session && !this.#closed;
    session.on("verified", (verified) => {
      if (!present()) return;
      this.others.returned(verified.participant);
      this.#updatePresence();
      this.others.verify(verified);
    });
    session.on("removed", (participant) => present() && this.others.remove(participant));
    session.on("problem", (problem) => present() && this.emit("problem", problem));
    session.on("problemSolved", (problem) => present() && this.emit("problemSolved", problem));
    session.on("callCode", (code) => present() && this.#setCallCode(code));
    session.on("chat", (chat) => present() && this.emit("chat", chat));
    session.on("generation", (generation) => present() && this.emit("generation", generation));
    session.on("authenticated", ({ id, origin }) => present() && this.media.path?.authenticate(id, origin));
    session.on("pulse", (pulse) => present() && this.#pulse(pulse));
    session.on("over", (error) => {
      if (!present()) return;
      if (error.code === "encryption") this.emit("problem", { code: "encryption-stopped", participant: null });
      this.#voidPlace(error);
    });
  }

  // ── Loss and repair ──

  #entered(): void {
    this.#joined = true;
    this.#loss = null;
    this.#attempts.entered();
    this.#emitReturnToken();
    this.others.updatePresence(performance.now(), null);
    this.#updateStatus();
  }

  /** The present place cannot be continued: takes it again from the start, with new keys. */
  #voidPlace(error: TacetError): void {
    if (this.#closed || this.#entrance.void !== null) return;
    this.#entrance.invalidate(error);
    this.#setCallCode(null);
    this.media.suspend();
    this.#signaling.drop();
    this.#lost(error);
  }

  #setCallCode(code: CallCode | null): void {
    if (code?.text === this.#callCode?.text) return;
    this.#callCode = code;
    this.emit("callCode", code);
  }

  #lost(error: TacetError): void {
    if (this.#closed) return;
    this.#entrance.abort(error);
    if (!this.#joined) return;
    this.#joined = false;
    this.#loss = { since: performance.now(), error };
    if (endsCall(error)) {
      this.#end(error);
      return;
    }
    this.#entrance.session?.detach();
    this.#attempts.lost();
  }

  async #attempt(limit: number): Promise<void> {
    try {
      await this.#entrance.enter(limit);
      if (!this.#closed) this.#entered();
    } catch (thrown) {
      if (this.#closed) return;
      this.#signaling.drop();
      const error = asTacetError(thrown, "server-unreachable");
      if (this.#entrance.letGo(thrown)) {
        this.#attempts.atOnce();
      } else if (endsCall(error)) {
        this.#end(error);
      } else {
        if (this.#loss !== null) this.#loss = { ...this.#loss, error };
        this.#attempts.again();
      }
    }
  }

  #end(error: TacetError): void {
    this.emit("ended", error);
    this.close();
  }

  // ── Messages ──

  #receive(message: ServerMessage): void {
    if (this.#closed) return;
    switch (message.t) {
      case "transport":
        this.media.start({ ice: message.ice, dtls: message.dtls });
        break;
      case "roster":
        if (this.others.apply(message)) this.#signaling.send({ t: "resync" }, Priority.Control, "resync");
        this.#updatePresence();
        break;
      case "tracks":
        this.#emitTracks(this.#remoteTracks.apply(message));
        break;
      case "slots":
        this.media.applySlots(message);
        break;
      case "layer":
        this.media.applyLayers(message.slots);
        break;
      case "downlink":
        this.emit("downlink", message);
        break;
      case "want":
        this.media.want(message.tracks);
        break;
      case "role":
        this.emit("role", message);
        break;
      case "mute.request":
        this.emit("muteRequested", message.by);
        break;
      case "policy":
        this.emit("locked", message.locked);
        break;
      case "speakers":
        this.emit("speakers", message.speakers);
        break;
      case "transport.state":
        this.media.serverState(message.state);
        break;
      default:
        // Answers that nothing awaits, and messages of newer servers.
        break;
    }
  }

  #emitTracks({ muted, stalled }: TracksUpdate): void {
    for (const change of muted) this.emit("muted", change);
    for (const change of stalled) this.emit("stalled", change);
    this.views.refresh();
  }

  #setTokens(tokens: Tokens): void {
    if (!this.#joined) return;
    this.#entrance.setTokens(tokens);
    this.#emitReturnToken();
  }

  #emitReturnToken(): void {
    if (this.returnToken !== null) this.emit("returnToken", this.returnToken);
  }

  // ── Signs of life ──

  /** The worker lives. What must not go on in a frozen page, or without keys, happens here. */
  #pulse({ sealed, opened }: Pulse): void {
    const now = performance.now();
    if (now - this.#lastPulse > SLEPT_MS) this.tryNow();
    this.#lastPulse = now;
    if (sealed) this.#lastSign = now;
    if (this.#joined && now - this.#lastSign >= HEARTBEAT_MS) {
      this.#signaling.heartbeat();
      this.#lastSign = now;
    }
    this.others.heard(this.media.path?.senders(opened) ?? [], now);
    this.media.observe(opened.length > 0);
    this.#updatePresence();
    this.#updateStatus();
  }

  #updatePresence(): void {
    this.others.updatePresence(performance.now(), this.#loss?.since ?? null);
  }

  /**
   * Whether a shown track should arrive. A shared screen may well be still, a slot for speakers silent, and a video be more
   * than the server has room for; media of those who are away is missed by no one.
   */
  #expects(track: RemoteTrack): boolean {
    const { participant, source, speaker } = track;
    const layer = this.layer(track);
    return (
      !speaker &&
      layer?.paused !== true &&
      (source === "microphone" || source === "camera") &&
      !this.muted(participant, source) &&
      !this.stalled(participant, source) &&
      !this.others.isAway(participant)
    );
  }

  #updateStatus(): void {
    if (this.#closed) return;
    const status = nextStatus(this.#status, {
      now: performance.now(),
      online: globalThis.navigator?.onLine !== false,
      loss: this.#loss?.error ?? null,
      media: this.media.state,
      keysVoid: this.#entrance.void,
      nextAttempt: this.#attempts.next,
    });
    if (status === this.#status) return;
    this.#status = status;
    this.emit("status", status);
  }
}

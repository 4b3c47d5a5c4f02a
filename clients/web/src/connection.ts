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

import { decodeExactly, encode } from "./base64url.ts";
import type { CallCode } from "./call-code.ts";
import { clockSkewMinutes } from "./clock-skew.ts";
import { type ConnectionStatus, connectedSince, nextStatus } from "./connection-status.ts";
import { CryptoSession } from "./crypto-session.ts";
import { Emitter } from "./emitter.ts";
import { watchEnvironment } from "./environment.ts";
import { asTacetError, ClockSkewError, TacetError } from "./errors.ts";
import type { RoomLink } from "./link.ts";
import { Media } from "./media.ts";
import type { MediaState } from "./media-watch.ts";
import { type Membership, membership, resume } from "./membership.ts";
import { checkTables } from "./offer-check.ts";
import { Others, type Verified } from "./others.ts";
import type { Presence } from "./participant.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import type {
  Announce,
  Challenge,
  Codec,
  Expected,
  Hello,
  Joined,
  ParticipantId,
  ServerMessage,
  Source,
  Speaker,
  Tokens,
  Welcome,
} from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import { isNotResumable } from "./protocol/refusal.ts";
import { Signaling } from "./protocol/signaling.ts";
import { type MuteChange, RemoteTracks, type StallChange, type TracksUpdate } from "./remote-tracks.ts";
import { Backoff, endsCall } from "./retry.ts";
import type { RemoteTrack, SlotChange } from "./slots.ts";
import type { Pulse, TransformCounters } from "./worker/messages.ts";

/** Name and version of this client, as sent to the server. */
const CLIENT = "tacet-web/0.1.0";
const CALL_BYTES = 16;

/** How long the first connection may take. */
const CONNECT_TIMEOUT_MS = 15_000;
/** How long a goodbye may take without a connection. */
const GOODBYE_TIMEOUT_MS = 3_000;
/** Longest time between two signs of life. */
const HEARTBEAT_MS = 1_000;
/** A worker without a pulse for this long slept, and the page with it. */
const SLEPT_MS = 5_000;
/** An outage that begins sooner after the last one continues it, so that its attempts become no more frequent. */
const STABLE_MS = 10_000;

/** How to connect. */
export interface ConnectionOptions {
  readonly link: RoomLink;
  readonly name: string;
  readonly videoCodec: Codec;
  /** Guest access to show instead of the one that is derived from the secret. */
  readonly guestAccess?: Uint8Array;
  /** One-use token of a page that was loaded again. */
  readonly returnToken?: string;
  /** Whether to join with a clock that differs much from the server's. */
  readonly ignoreClockSkew?: boolean;
}

type ConnectionEvents = {
  /** A participant proved that it has the secret. Repeated when it returns with new keys. */
  verified: Verified;
  /** A participant is no longer in the call. */
  gone: ParticipantId;
  presence: { readonly participant: ParticipantId; readonly presence: Presence };
  shown: SlotChange;
  muted: MuteChange;
  stalled: StallChange;
  speakers: readonly Speaker[];
  problem: Problem;
  generation: KeyEpoch;
  callCode: CallCode | null;
  media: MediaState;
  status: ConnectionStatus;
  /** The token for a return has changed. */
  returnToken: string;
  /** A local source is not sent any more. */
  sourceEnded: { readonly source: Source; readonly error: TacetError };
  /** The server's word that the call is over for this participant. */
  ended: TacetError;
};

/** Another attempt may begin at once, since it shows the server something else. */
class Again extends TacetError {
  constructor() {
    super("server-unreachable");
  }
}

/** A connection that has joined. */
export class Connection extends Emitter<ConnectionEvents> {
  readonly media: Media;
  readonly others = new Others();
  readonly #options: ConnectionOptions;
  readonly #signaling: Signaling;
  readonly #remoteTracks = new RemoteTracks();
  readonly #unwatch: () => void;
  #guestAccess: Uint8Array | undefined;
  /** A session that is loaded and not started. */
  #spare: CryptoSession | undefined;
  /** The session of the present keys. */
  #session: CryptoSession | undefined;
  #membership: Membership | undefined;
  /** One-use token to return with instead of a proof. */
  #returnToken: string | undefined;
  /** Why the present place cannot be continued: its keys are void, or its media path is beyond repair. */
  #void: TacetError | null = null;
  /** Whether the present link leads to the call, and not only to the server. */
  #joined = false;
  /** Number of the present attempt to join. */
  #joins = 0;
  #abort: (error: TacetError) => void = () => {};
  #backoff: Backoff | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #nextAttempt: number | null = null;
  /** When the signaling link was lost, and why; `null` while there is one. */
  #loss: { readonly since: number; readonly error: TacetError } | null = null;
  #enteredAt = Number.NEGATIVE_INFINITY;
  #lastPulse = performance.now();
  #lastSign = Number.NEGATIVE_INFINITY;
  #reportedSkew: number | null = null;
  #callCode: CallCode | null = null;
  #status = connectedSince(performance.now());
  #closed = false;

  private constructor(options: ConnectionOptions) {
    super();
    this.#options = options;
    this.#returnToken = options.returnToken;
    this.#signaling = new Signaling(options.link.server, {
      message: (message) => this.#receive(message),
      binary: (message) => this.#session?.receive(message),
      continued: () => {
        if (this.#membership?.session === this.#session && this.#void === null) this.#session?.attach();
      },
      lost: (error) => this.#lost(error),
      tokens: (tokens) => this.#setTokens(tokens),
    });
    this.media = new Media(this.#signaling, (track) => this.#expects(track));
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
      await connection.#enterFirst();
      return connection;
    } catch (thrown) {
      connection.close();
      throw asTacetError(thrown, "server-unreachable");
    }
  }

  /** Participant id of this device, or `null` before the server has assigned it. */
  get participant(): ParticipantId | null {
    return this.#membership?.participant ?? null;
  }

  /** Token with which this page, loaded again, returns; `null` before it has joined. */
  get returnToken(): string | null {
    return this.#membership?.tokens.reload ?? null;
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
    return (await this.#session?.counters().catch(() => [])) ?? [];
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
    if (this.#retry !== undefined) this.#schedule(0);
    this.#signaling.probe();
    if (this.media.state !== "connected") this.media.hurry();
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
    const detached = !this.#joined && this.#membership !== undefined;
    this.#silence();
    if (detached) void this.#sayGoodbye();
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
    clearTimeout(this.#retry);
    this.others.close();
    this.media.close();
  }

  /** Erases the keys. */
  #release(): void {
    this.#signaling.leave();
    this.#spare?.close();
    this.#session?.close();
    this.#membership?.session.close();
  }

  async #sayGoodbye(): Promise<void> {
    try {
      await this.#signaling.connect((challenge) => this.#hello(challenge), GOODBYE_TIMEOUT_MS);
    } catch {
      // Out of reach: the others learn of it when the hold is over.
    }
    this.#release();
  }

  /** Passes on what the parts report. */
  #forward(): void {
    const { media, others } = this;
    media.on("shown", (change) => this.#emitOpen("shown", change));
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
    others.on("left", (left) => this.#session?.left(left));
  }

  #emitOpen<Name extends keyof ConnectionEvents>(name: Name, event: ConnectionEvents[Name]): void {
    if (!this.#closed) this.emit(name, event);
  }

  /** Listens to a session from now on. The one of the present place stays for its signature until another has joined. */
  #useSession(session: CryptoSession): void {
    const before = this.#session;
    if (before !== this.#membership?.session) before?.close();
    this.#session = session;
    const present = (): boolean => this.#session === session && !this.#closed;
    session.on("verified", (verified) => {
      if (!present()) return;
      this.others.returned(verified.participant);
      this.#updatePresence();
      this.others.verify(verified);
    });
    session.on("removed", (participant) => present() && this.others.remove(participant));
    session.on("problem", (problem) => present() && this.emit("problem", problem));
    session.on("callCode", (code) => present() && this.#setCallCode(code));
    session.on("generation", (generation) => present() && this.emit("generation", generation));
    session.on("authenticated", ({ id, origin }) => present() && this.media.path?.authenticate(id, origin));
    session.on("pulse", (pulse) => present() && this.#pulse(pulse));
    session.on("over", (error) => {
      if (!present()) return;
      if (error.code === "encryption") this.emit("problem", { code: "encryption-stopped", participant: null });
      this.#voidPlace(error);
    });
  }

  // ── Entering ──

  async #enterFirst(): Promise<void> {
    for (;;) {
      try {
        await this.#enter(CONNECT_TIMEOUT_MS);
        return;
      } catch (thrown) {
        if (!(thrown instanceof Again) && !this.#forget(thrown)) throw thrown;
      }
    }
  }

  /** Opens a socket and brings the call to where it was, or joins it. */
  async #enter(timeout: number): Promise<void> {
    if (this.#guestAccess === undefined) await this.#loadSpare();
    const lost = new Promise<never>((_, reject) => {
      this.#abort = reject;
    });
    // Without a loss, nothing awaits it.
    lost.catch(() => {});
    const welcome = await this.#signaling.connect((challenge) => this.#hello(challenge), timeout);
    this.#checkClock(welcome);
    await Promise.race([this.#continue(welcome), lost]);
    this.#entered();
  }

  async #continue(welcome: Welcome): Promise<void> {
    const place = this.#membership;
    switch (welcome.continues) {
      case "session":
      case "seat":
        if (place === undefined || place.session !== this.#session || this.#void !== null) {
          return this.#surrender(welcome.tokens);
        }
        if (welcome.continues === "seat") return this.#rejoin(place, welcome);
        this.#membership = { ...place, tokens: welcome.tokens };
        return;
      case "participant":
      case "nothing":
        return this.#join(welcome);
    }
  }

  /** The server holds a place whose keys are void: lets go of it, to take it again with new ones. */
  #surrender(tokens: Tokens): never {
    this.#signaling.away();
    this.#returnToken = tokens.reload;
    throw new Again();
  }

  /** The server granted participant and seat again, and has forgotten the rest. Keys and counters go on. */
  async #rejoin({ session }: Membership, welcome: Welcome): Promise<void> {
    const place = membership(welcome, session, welcome.tokens);
    this.#membership = place;
    this.#replacePath(session, welcome);
    const joined = await this.#requestJoin(await session.rejoin(), this.others.expected());
    this.#membership = { ...place, tokens: joined.tokens ?? place.tokens };
    session.joined(joined.seat);
    this.#start(joined, false);
  }

  /** Joins with new keys: as a newcomer, or in the place of before. */
  async #join(welcome: Welcome): Promise<void> {
    this.#joins += 1;
    const number = this.#joins;
    const session = await this.#loadSpare();
    this.#spare = undefined;
    this.#useSession(session);
    this.#replacePath(session, welcome);
    const { link, name } = this.#options;
    const announce = await session.start({ room: link.roomBytes, call: decodeCall(welcome), name });
    const joined = await this.#requestJoin(announce, []);
    if (number !== this.#joins || this.#closed) return;
    this.#membership?.session.close();
    this.#membership = membership(welcome, session, joined.tokens ?? welcome.tokens);
    this.#void = null;
    session.joined(joined.seat);
    this.#start(joined, true);
  }

  async #requestJoin(announce: Announce, expects: Expected[]): Promise<Joined> {
    const answer = this.#signaling.request({ t: "join", ...announce, ...(expects.length === 0 ? {} : { expects }) });
    this.#signaling.send({ t: "subscribe", auto: true }, Priority.Control, "subscribe");
    const joined = await answer;
    if (joined.t !== "joined") throw new TacetError("protocol");
    return joined;
  }

  #start(joined: Joined, newKeys: boolean): void {
    this.others.start(joined, newKeys);
    this.#emitTracks(this.#remoteTracks.start(joined.tracks));
  }

  #entered(): void {
    this.#joined = true;
    this.#returnToken = undefined;
    this.#loss = null;
    this.#enteredAt = performance.now();
    this.#emitReturnToken();
    this.others.updatePresence(this.#enteredAt, null);
    this.#updateStatus();
  }

  async #hello(challenge: Challenge): Promise<Hello> {
    const { link } = this.#options;
    const hello: Hello = {
      room: link.room,
      credential: { type: "guest", token: encode(this.#guestAccess ?? new Uint8Array(0)) },
      client: CLIENT,
      features: [],
    };
    if (this.#returnToken !== undefined) return { ...hello, resume: { type: "reload", token: this.#returnToken } };
    if (this.#membership === undefined) return hello;
    const { lastSeq } = this.#signaling;
    return { ...hello, resume: await resume(this.#membership, { origin: link.server, challenge, lastSeq }) };
  }

  /** Loads a session ahead of joining. The first one derives the guest access. */
  async #loadSpare(): Promise<CryptoSession> {
    if (this.#spare?.over === null) return this.#spare;
    this.#spare?.close();
    this.#spare = undefined;
    const { session, guestAccess } = await CryptoSession.load(this.#options.link.secret, this.#signaling);
    this.#guestAccess = this.#options.guestAccess ?? guestAccess;
    this.#spare = session;
    if (this.#closed) session.close();
    return session;
  }

  #replacePath(session: CryptoSession, { codecs, hdrext }: Welcome): void {
    checkTables(codecs, hdrext);
    this.media.replace(session, { codecs, hdrext, videoCodec: this.#options.videoCodec });
  }

  #checkClock({ time }: Welcome): void {
    const minutes = clockSkewMinutes(time, Date.now());
    if (minutes === this.#reportedSkew) return;
    this.#reportedSkew = minutes;
    if (minutes === null) return;
    if (this.#membership === undefined && this.#options.ignoreClockSkew !== true) throw new ClockSkewError(minutes);
    this.emit("problem", { code: "clock-skew", participant: null, minutes });
  }

  // ── Loss and repair ──

  /** The present place cannot be continued: takes it again from the start, with new keys. */
  #voidPlace(error: TacetError): void {
    if (this.#closed || this.#void !== null) return;
    if (this.#membership?.session === this.#session) this.#void = error;
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
    this.#abort(error);
    if (!this.#joined) return;
    const now = performance.now();
    this.#joined = false;
    this.#loss = { since: now, error };
    if (endsCall(error)) {
      this.#end(error);
      return;
    }
    this.#session?.detach();
    if (this.#backoff === undefined || now - this.#enteredAt >= STABLE_MS) this.#backoff = new Backoff(now);
    this.#schedule(this.#backoff.next(now));
  }

  #schedule(delay: number): void {
    clearTimeout(this.#retry);
    this.#nextAttempt = performance.now() + delay;
    this.#retry = setTimeout(() => void this.#attempt(), delay);
    this.#updateStatus();
  }

  async #attempt(): Promise<void> {
    this.#retry = undefined;
    this.#nextAttempt = null;
    this.#updateStatus();
    const backoff = this.#backoff ?? new Backoff(performance.now());
    this.#backoff = backoff;
    try {
      await this.#enter(backoff.limit(performance.now()));
    } catch (thrown) {
      if (this.#closed) return;
      this.#signaling.drop();
      const error = asTacetError(thrown, "server-unreachable");
      if (thrown instanceof Again || this.#forget(thrown)) {
        this.#schedule(0);
      } else if (endsCall(error)) {
        this.#end(error);
      } else {
        if (this.#loss !== null) this.#loss = { ...this.#loss, error };
        this.#schedule(backoff.next(performance.now()));
      }
    }
  }

  /** If the server does not continue what this device showed, forgets it. Returns whether that is so. */
  #forget(thrown: unknown): boolean {
    if (!isNotResumable(thrown)) return false;
    const known = this.#returnToken !== undefined || this.#membership !== undefined;
    this.#returnToken = undefined;
    if (this.#membership?.session !== this.#session) this.#membership?.session.close();
    this.#membership = undefined;
    return known;
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
  }

  #setTokens(tokens: Tokens): void {
    if (!this.#joined || this.#membership === undefined) return;
    this.#membership = { ...this.#membership, tokens };
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

  /** Whether a shown track should arrive. A shared screen may well be still, and media of those who are away is missed by no one. */
  #expects({ participant, source }: RemoteTrack): boolean {
    return (
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
      keysVoid: this.#void,
      nextAttempt: this.#nextAttempt,
    });
    if (status === this.#status) return;
    this.#status = status;
    this.emit("status", status);
  }
}

function decodeCall({ call }: Welcome): Uint8Array {
  const bytes = decodeExactly(call, CALL_BYTES);
  if (bytes === null) throw new TacetError("protocol");
  return bytes;
}

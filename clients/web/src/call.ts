// A call: the local media, the other participants with their tracks, and the connection that repairs itself.

import { ActiveSpeakers } from "./active-speakers.ts";
import type { CallCode } from "./call-code.ts";
import type { ChatContent } from "./chat.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { type ConnectionStatus, connectedSince } from "./connection-status.ts";
import { openCamera, openMicrophone } from "./devices.ts";
import { Emitter } from "./emitter.ts";
import type { RoomToken } from "./entrance.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { parseLink, type RoomLink, type RoomLinkParts, roomLink } from "./link.ts";
import type { MediaState } from "./media-watch.ts";
import { type Participant, type ParticipantTrack, participantTrack } from "./participant.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import type {
  Capabilities,
  Capability,
  Codec,
  Downlink,
  ParticipantId,
  Role,
  RoleChange,
  Source,
  Speaker,
} from "./protocol/generated.ts";
import type { MuteChange, StallChange } from "./remote-tracks.ts";
import { Backoff, endsJoining } from "./retry.ts";
import type { ReturnTicket } from "./return-ticket.ts";
import type { RemoteTrack, SlotChange, VideoLayer } from "./slots.ts";
import { isAudio, SOURCES, type VideoSource } from "./sources.ts";
import { assertSupported } from "./support.ts";
import { TrackPlaces } from "./track-places.ts";
import type { VideoView, ViewOptions } from "./video-views.ts";
import type { TransformCounters } from "./worker/messages.ts";

/** How to join. */
export type JoinOptions = ({ /** The whole room link. */ readonly link: string } | RoomLinkParts) & {
  /** The name that the others see. It is sealed, so the server does not learn it. */
  readonly name: string;
  /** Microphone: a track, constraints, or `true` for the default. Without it, no audio is sent at first. */
  readonly audio?: MediaStreamTrack | MediaTrackConstraints | boolean;
  /** Camera: likewise. */
  readonly video?: MediaStreamTrack | MediaTrackConstraints | boolean;
  /** Codec of the video that this client sends. */
  readonly videoCodec?: Exclude<Codec, "opus">;
  /** Whether a camera is sent in spatial layers where codec and browser have them, and not in several encodings. On by default. */
  readonly spatialLayers?: boolean;
  /**
   * Sends audio at a constant rate and without pauses, so that the size and time of its packets reveal nothing of what is
   * said. Costs bandwidth in silence. Off by default. Firefox sends without pauses, but in packets of different sizes.
   */
  readonly constantAudioRate?: boolean;
  /** Receives no video but what is viewed: see `Call.view`. Without it, that is so from the first view on. */
  readonly viewedOnly?: boolean;
  /** Guest access to show to the server instead of the one that is derived from the secret. */
  readonly guestAccess?: Uint8Array;
  /**
   * A room token, which your backend is given by the server, to enter in its role and not as a guest. Tokens end: pass a function
   * that returns a good one, and the call can also go on after a long outage.
   */
  readonly roomToken?: RoomToken;
  /** The ticket of a page that was in this call and was loaded again. One of another room is ignored. */
  readonly return?: ReturnTicket;
  /** Ends joining. */
  readonly signal?: AbortSignal;
  /**
   * Called when joining failed for a reason that passes, such as a server that cannot be reached. With this callback
   * joining goes on until it succeeds, fails for good, or is ended by `signal`; without it, the first failure rejects.
   */
  readonly onRetry?: (retry: JoinRetry) => void;
  /** Joins even if this device's clock differs so much from the server's that the others may refuse its keys. */
  readonly ignoreClockSkew?: boolean;
};

/** An attempt to join that failed, and the next one. */
export interface JoinRetry {
  readonly error: TacetError;
  /** When the next attempt begins, on the clock of `performance.now()`. */
  readonly nextAttempt: number;
}

/** State of a call. `connection` says more while it is not ended. */
export type CallState = "connected" | "reconnecting" | "ended";

/** A source of this device that is no longer published, without a call of `unpublish`. */
export interface SourceEnd {
  readonly source: Source;
  /** Why: `device` if the browser or the user ended the track, `transform-bypassed`, or what the server refused. */
  readonly error: TacetError;
}

/** The layer of a participant's video that the server sends from now on. */
export interface LayerChange {
  readonly participant: ParticipantId;
  readonly source: VideoSource;
  readonly layer: VideoLayer;
}

/** What a participant says or reacts with. Its sender is authenticated, and not taken from the server. */
export interface ChatMessage extends ChatContent {
  readonly participant: ParticipantId;
}

type CallEvents = {
  state: { readonly state: CallState /** Why it is not connected. */; readonly error: TacetError | null };
  /** The status of the connection changed. */
  connection: ConnectionStatus;
  media: MediaState;
  participantJoined: Participant;
  /** A participant's presence or name changed, or it returned with new keys. */
  participantChanged: Participant;
  /** A participant left, or was away for too long. */
  participantLeft: Participant;
  trackAdded: ParticipantTrack;
  trackRemoved: { readonly participant: ParticipantId; readonly source: Source };
  /** The server sends another layer of a video, or none. */
  layer: LayerChange;
  /** Videos are left out because too many are viewed, or no longer: see `Call.isLeftOut`. */
  leftOut: undefined;
  /** What the server knows of the path to this device has changed: see `Call.diagnoses`. */
  downlink: Downlink;
  /** A source was muted or unmuted, according to the server. A source that is not published counts as muted. */
  muted: MuteChange;
  /** An unmuted track sends nothing although its participant is present, or sends again. */
  stalled: StallChange;
  /** What this participant is in the room, and may do there, has changed. */
  role: { readonly role: Role; readonly capabilities: Capabilities };
  /** A moderator asks for the microphone to be muted, according to the server. That is up to the person. */
  muteRequested: ParticipantId;
  /** The room was locked, so that no one else can join, or unlocked. */
  locked: boolean;
  /** The active speakers. */
  speaking: ReadonlySet<ParticipantId>;
  /** This device's session key changed: a participant joined or left, or the key reached its age. */
  generation: KeyEpoch;
  /**
   * The call code changed: a device joined, left, or came back with new keys. Participants who compared it have to do so
   * again. Emitted after `participantJoined`.
   */
  callCode: CallCode | null;
  /** A participant says something to everyone, or reacts. Sealed: the server cannot read it. */
  chat: ChatMessage;
  /** A problem with encryption. `roster-differs` and `key-missing` last until they are solved. */
  problem: Problem;
  /** A problem that lasted does so no longer. Those of a participant that leaves go without this event. */
  problemSolved: Problem;
  /** A source of this device is no longer published. Its media was not stopped. */
  unpublished: SourceEnd;
  /** There is a new ticket for a return after a reload; it replaces the one before. */
  ticket: ReturnTicket;
};

/** What publishing a source needs. */
const CAPABILITY: Readonly<Record<Source, Capability>> = {
  microphone: "publish_microphone",
  camera: "publish_camera",
  screen: "publish_screen",
  "screen-audio": "publish_screen",
};

const WATCH_INTERVAL_MS = 1_000;
const SPEAKING_INTERVAL_MS = 150;
/** How long after another's audio has begun in a slot its level may still be that of the one before: the jitter buffer. */
const HANDOVER_MS = 200;

interface LocalSource {
  readonly media: MediaStreamTrack;
  muted: boolean;
}

/** A call that this device has joined. */
export class Call extends Emitter<CallEvents> {
  /** The room. */
  readonly link: RoomLink;
  readonly #local = new Map<Source, LocalSource>();
  /** Everything that was published, to be stopped at the end. */
  readonly #media = new Set<MediaStreamTrack>();
  readonly #participants = new Map<ParticipantId, Participant>();
  readonly #speakers = new ActiveSpeakers();
  /** The active speakers as the server says. It says so when that changes. */
  #hinted: readonly Speaker[] = [];
  readonly #places = new TrackPlaces();
  /** When the track in each slot was first shown there. */
  readonly #shownSince = new Map<string, number>();
  #connection: Connection | undefined;
  #state: CallState = "connected";
  #status: ConnectionStatus = connectedSince(performance.now());
  #timers: ReturnType<typeof setInterval>[] = [];

  private constructor(link: RoomLink) {
    super();
    this.link = link;
  }

  /**
   * Joins a call. No device is opened before this browser is known to support encryption.
   *
   * @throws {TacetError} if that fails; opened devices are closed again then
   */
  static async join(options: JoinOptions): Promise<Call> {
    const link = "link" in options ? parseLink(options.link) : roomLink(options);
    assertSupported();
    const call = new Call(link);
    try {
      const audio = await capture(options.audio, openMicrophone);
      if (audio !== null) call.#local.set("microphone", { media: audio, muted: false });
      const video = await capture(options.video, openCamera);
      if (video !== null) call.#local.set("camera", { media: video, muted: false });
      await call.#connect(options);
      call.#timers = [
        setInterval(() => void call.#connection?.watch(), WATCH_INTERVAL_MS),
        setInterval(() => call.#measureLevels(), SPEAKING_INTERVAL_MS),
      ];
      for (const [source, { media }] of call.#local) call.publish(media, source).catch(() => {});
      return call;
    } catch (thrown) {
      call.leave();
      throw asTacetError(thrown, "server-unreachable");
    }
  }

  /** State of the call. */
  get state(): CallState {
    return this.#state;
  }

  /** State of the media path. */
  get media(): MediaState {
    return this.#connection?.media.state ?? "connecting";
  }

  /** Status of the connection. After the end of the call, the last one. */
  get connection(): ConnectionStatus {
    return this.#status;
  }

  /** Participant id of this device. It stays the same as long as the server knows this call; `null` before it is known. */
  get self(): ParticipantId | null {
    return this.#connection?.participant ?? null;
  }

  /**
   * The call code, which participants compare by voice: it is the same for all if, and only if, the same devices are in the
   * call for all of them. `null` while there is none.
   */
  get callCode(): CallCode | null {
    return this.#connection?.callCode ?? null;
  }

  /** The other participants. */
  get participants(): readonly Participant[] {
    return [...this.#participants.values()];
  }

  /** The tracks of the other participants. */
  get tracks(): readonly ParticipantTrack[] {
    return (this.#connection?.shown() ?? []).flatMap((shown) => {
      if (!this.#places.holds(shown)) return [];
      const track = this.#withMedia(shown);
      return track === undefined ? [] : [track];
    });
  }

  /** The ticket with which this page, loaded again, returns to its place; `null` while there is none. */
  get returnTicket(): ReturnTicket | null {
    const token = this.#connection?.returnToken ?? null;
    const participant = this.self;
    if (token === null || participant === null) return null;
    const muted = Object.fromEntries([...this.#local].map(([source, local]) => [source, local.muted]));
    return { room: this.link.room, token, participant, muted };
  }

  /** Whether a participant's source is muted or not published. */
  isMuted(participant: ParticipantId, source: Source): boolean {
    if (participant !== this.self) return this.#connection?.muted(participant, source) ?? true;
    return this.#local.get(source)?.muted ?? true;
  }

  /** Whether an unmuted track of a participant sends nothing, although the participant is present. */
  isStalled(participant: ParticipantId, source: Source): boolean {
    return this.#connection?.stalled(participant, source) ?? false;
  }

  /**
   * Says that a participant's video is viewed, in an element or at a height: the server sends a layer of that size. From the
   * first view on, video without one is not received. A view may be of something that is not published yet, and outlives
   * reconnects.
   *
   * @throws {TacetError} `ended`
   */
  view(options: ViewOptions): VideoView {
    if (this.#connection === undefined) throw new TacetError("ended");
    return this.#connection.views.open(options);
  }

  /** Whether a video is viewed and not received, because more are viewed than a device receives at once. */
  isLeftOut(participant: ParticipantId, source: VideoSource): boolean {
    return this.#connection?.views.isLeftOut(participant, source) ?? false;
  }

  /**
   * Whether the server says, at most once a second, what it knows of the path to this device: the event `downlink`. For
   * diagnosis, in applications that view what they show.
   */
  set diagnoses(diagnoses: boolean) {
    if (this.#connection !== undefined) this.#connection.views.diagnoses = diagnoses;
  }

  /** Returns the layer of a participant's video that is sent, as the server says; `null` if it is not shown, or not known. */
  layer(participant: ParticipantId, source: VideoSource): VideoLayer | null {
    const shown = this.#connection?.shown().find((one) => one.participant === participant && one.source === source);
    return shown === undefined ? null : (this.#connection?.layer(shown) ?? null);
  }

  /**
   * Publishes media as a source, or replaces the media of that source. Resolves when its sealed frames are being sent.
   * While the connection is being repaired, that is when it has been.
   *
   * @throws {TacetError} if it cannot be sent; it is not published then
   */
  async publish(media: MediaStreamTrack, source: Source): Promise<void> {
    if (media.kind !== SOURCES[source].kind) throw new TacetError("device", "The track is not of the source's kind.");
    this.#local.set(source, { media, muted: false });
    this.#media.add(media);
    media.addEventListener?.("ended", () => this.#deviceEnded(source, media), { once: true });
    try {
      await this.#connection?.media.send(source, media);
    } catch (thrown) {
      if (this.#local.get(source)?.media === media) this.#local.delete(source);
      this.#reportUnsent(thrown);
      throw thrown;
    }
  }

  /** Unpublishes a source. Its media is not stopped. */
  async unpublish(source: Source): Promise<void> {
    const local = this.#local.get(source);
    if (local !== undefined) this.#media.delete(local.media);
    this.#local.delete(source);
    await this.#connection?.media.unpublish(source);
  }

  /** Mutes or unmutes a published source. While it is muted, none of its media is sent. */
  async setMuted(source: Source, muted: boolean): Promise<void> {
    const local = this.#local.get(source);
    if (local === undefined) return;
    local.muted = muted;
    await this.#connection?.media.send(source, muted ? null : local.media);
  }

  /**
   * Says something to everyone in the call: a text of at most 4,096 bytes of UTF-8. Resolves when the server has accepted it,
   * if need be after an outage. Who joins later does not see it.
   *
   * @throws {TacetError} `message-too-large`; `server-busy` if too many messages wait; why the keys ended if they did before
   */
  async sendChat(text: string): Promise<void> {
    if (this.#connection === undefined) throw new TacetError("ended");
    await this.#connection.say("text", text);
  }

  /**
   * Shows everyone in the call an emoji.
   *
   * @throws {TacetError} as `sendChat`
   */
  async react(emoji: string): Promise<void> {
    if (this.#connection === undefined) throw new TacetError("ended");
    await this.#connection.say("reaction", emoji);
  }

  /** Tries at once what is being repaired, instead of waiting for the next attempt. */
  tryNow(): void {
    this.#connection?.tryNow();
  }

  /**
   * The page is going away and may be loaded again: the others see this participant as away, and its place is held for
   * some seconds. For `pagehide`. Returns the ticket to store.
   */
  away(): ReturnTicket | null {
    const ticket = this.returnTicket;
    this.#connection?.away();
    return ticket;
  }

  /**
   * Ends the call here without leaving it, so that another tab can go on with the ticket that is returned. The local media
   * is stopped and the keys are erased.
   */
  handOver(): ReturnTicket | null {
    const ticket = this.away();
    if (this.#state !== "ended") this.#end(new TacetError("moved"));
    return ticket;
  }

  /** Leaves the call, stops the local media, and erases the keys. */
  leave(): void {
    if (this.#state === "ended") return;
    this.#connection?.leave();
    this.#end(null);
  }

  /** Returns the counters of every transform: frames in, frames out, and dropped frames by reason. Never takes long. */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#connection?.counters() ?? Promise.resolve([]);
  }

  /** Returns the browser's statistics of the current media path. Never takes long; without an answer there are none. */
  stats(): Promise<RTCStatsReport> {
    return this.#connection?.stats() ?? Promise.resolve(new Map());
  }

  async #connect(options: JoinOptions): Promise<void> {
    const { name, videoCodec = "vp8", constantAudioRate = false, guestAccess, return: ticket } = options;
    const { ignoreClockSkew = false, viewedOnly = false, spatialLayers = true, roomToken } = options;
    const returnToken = ticket?.room === this.link.room ? ticket.token : undefined;
    const backoff = new Backoff(performance.now());
    for (;;) {
      options.signal?.throwIfAborted();
      const connectionOptions: ConnectionOptions = {
        link: this.link,
        name,
        videoCodec,
        spatialLayers,
        constantAudioRate,
        viewedOnly,
        ignoreClockSkew,
        ...(guestAccess === undefined ? {} : { guestAccess }),
        ...(roomToken === undefined ? {} : { roomToken }),
        ...(returnToken === undefined ? {} : { returnToken }),
      };
      try {
        this.#connection = await this.#open(connectionOptions, options.signal);
        return;
      } catch (thrown) {
        const error = asTacetError(thrown, "server-unreachable");
        if (options.onRetry === undefined || endsJoining(error)) throw error;
        const now = performance.now();
        const delay = backoff.next(now);
        options.onRetry({ error, nextAttempt: now + delay });
        await sleep(delay, options.signal);
      }
    }
  }

  async #open(options: ConnectionOptions, signal: AbortSignal | undefined): Promise<Connection> {
    const opening = Connection.open(options, (opened) => this.#listenTo(opened));
    try {
      return await Promise.race([opening, aborted(signal)]);
    } catch (thrown) {
      opening.then(
        (connection) => connection.leave(),
        () => {},
      );
      throw thrown;
    }
  }

  #listenTo(connection: Connection): void {
    connection.on("verified", ({ participant, name }) => this.#verified(participant, name, connection));
    connection.on("gone", (participant) => this.#remove(participant));
    connection.on("presence", ({ participant, presence }) => {
      const known = this.#participants.get(participant);
      if (known !== undefined) this.#change({ ...known, presence });
    });
    connection.on("shown", (change) => this.#shown(change, connection));
    connection.on("layer", ({ participant, source }) => {
      if (isAudio(source)) return;
      const layer = this.layer(participant, source);
      if (layer !== null) this.emit("layer", { participant, source, layer });
    });
    connection.on("leftOut", () => this.emit("leftOut", undefined));
    connection.on("downlink", ({ kbps, wanted_kbps, queue_ms, cause }) => {
      this.emit("downlink", { kbps, wanted_kbps, queue_ms, cause });
    });
    connection.on("muted", (change) => {
      if (change.muted && change.source === "microphone") this.#silence(change.participant);
      this.emit("muted", change);
    });
    connection.on("stalled", (change) => this.emit("stalled", change));
    connection.on("role", (change) => this.#roleChanged(change));
    connection.on("muteRequested", (participant) => this.emit("muteRequested", participant));
    connection.on("locked", (locked) => this.emit("locked", locked));
    connection.on("speakers", (speakers) => {
      this.#hinted = speakers;
    });
    connection.on("problem", (problem) => this.emit("problem", problem));
    connection.on("chat", ({ participant, content }) => this.emit("chat", { participant, ...content }));
    connection.on("callCode", (code) => this.emit("callCode", code));
    connection.on("problemSolved", (problem) => this.emit("problemSolved", problem));
    connection.on("generation", (generation) => this.emit("generation", generation));
    connection.on("media", (state) => this.emit("media", state));
    connection.on("sourceEnded", (end) => this.#sourceEnded(end));
    connection.on("returnToken", () => this.#emitTicket());
    connection.on("status", (status) => this.#setStatus(status));
    connection.on("ended", (error) => this.#end(error));
  }

  #verified(id: ParticipantId, name: string, connection: Connection): void {
    const known = this.#participants.get(id);
    const wasHere = known?.wasHere ?? connection.others.wasHere(id);
    const participant = { id, name, presence: connection.others.presence(id), wasHere };
    if (known !== undefined) {
      this.#change(participant);
    } else {
      this.#participants.set(id, participant);
      this.emit("participantJoined", participant);
    }
  }

  #change(participant: Participant): void {
    this.#participants.set(participant.id, participant);
    this.emit("participantChanged", participant);
  }

  #remove(id: ParticipantId): void {
    const left = this.#participants.get(id);
    this.#participants.delete(id);
    this.#silence(id);
    if (left !== undefined) this.emit("participantLeft", left);
  }

  #deviceEnded(source: Source, media: MediaStreamTrack): void {
    if (this.#state === "ended" || this.#local.get(source)?.media !== media) return;
    const what = SOURCES[source].kind === "audio" ? "audio" : "video";
    const error = new TacetError("device", `The browser or the device ended the ${what}.`);
    // Rejects if the call ends, which unpublishes the source as well.
    this.#connection?.media.unpublish(source).catch(() => {});
    this.#sourceEnded({ source, error });
  }

  /** What may no longer be published ends here, too. It is not published again by itself. */
  #roleChanged({ role, capabilities }: RoleChange): void {
    for (const source of this.#local.keys()) {
      if (capabilities.includes(CAPABILITY[source])) continue;
      const error = new TacetError("not-allowed", "A moderator has ended this: you may not publish it any more.");
      this.#connection?.media.unpublish(source).catch(() => {});
      this.#sourceEnded({ source, error });
    }
    this.emit("role", { role, capabilities });
  }

  #sourceEnded(end: SourceEnd): void {
    if (this.#local.delete(end.source)) this.emit("unpublished", end);
  }

  /** Reports that a local source is not sent, unless the reason is that the call has ended. */
  #reportUnsent(thrown: unknown): void {
    if (this.#state === "ended" || (thrown instanceof TacetError && thrown.code === "ended")) return;
    const bypassed = thrown instanceof TacetError && thrown.code === "transform-bypassed";
    this.emit("problem", { code: bypassed ? "transform-bypassed" : "unknown", participant: null });
  }

  #shown(change: SlotChange, connection: Connection): void {
    if (change.added !== null) this.#shownSince.set(change.added.mid, performance.now());
    const { removed, added } = this.#places.apply(change, connection.shown());
    if (removed !== null) this.emit("trackRemoved", { participant: removed.participant, source: removed.source });
    for (const track of added) {
      const media = connection.receiver(track)?.track;
      if (media !== undefined) this.emit("trackAdded", participantTrack(track, media));
    }
  }

  #withMedia(shown: RemoteTrack): ParticipantTrack | undefined {
    const media = this.#connection?.receiver(shown)?.track;
    return media === undefined ? undefined : participantTrack(shown, media);
  }

  #measureLevels(): void {
    const now = performance.now();
    for (const shown of this.#connection?.shown() ?? []) {
      if (shown.source !== "microphone" || now - (this.#shownSince.get(shown.mid) ?? now) < HANDOVER_MS) continue;
      const { participant } = shown;
      const level = this.#connection?.audioLevel(shown);
      const hint = this.#hinted.find((speaker) => speaker.participant === participant);
      if (level !== undefined) this.#speakers.measure({ participant, level }, now);
      else if (hint !== undefined) this.#speakers.hint(hint, now);
    }
    const speaking = this.#speakers.update(now);
    if (speaking === null) return;
    this.#connection?.views.speak(speaking);
    this.emit("speaking", speaking);
  }

  /** A participant has muted or left, and does not speak any more. */
  #silence(silent: ParticipantId): void {
    this.#speakers.remove(silent);
    this.#hinted = this.#hinted.filter(({ participant }) => participant !== silent);
  }

  #emitTicket(): void {
    const ticket = this.returnTicket;
    if (ticket !== null) this.emit("ticket", ticket);
  }

  #setStatus(status: ConnectionStatus): void {
    this.#status = status;
    // What changes meanwhile is not said afterwards.
    if (status.state === "reconnecting") this.#hinted = [];
    this.emit("connection", status);
    this.#setState(status.state === "reconnecting" ? "reconnecting" : "connected", status.error);
  }

  #end(error: TacetError | null): void {
    for (const timer of this.#timers) clearInterval(timer);
    const connection = this.#connection;
    for (const { media } of this.#local.values()) this.#media.add(media);
    for (const media of this.#media) media.stop();
    connection?.close();
    this.#setState("ended", error);
    this.#connection = undefined;
  }

  #setState(state: CallState, error: TacetError | null): void {
    if (this.#state === state || this.#state === "ended") return;
    this.#state = state;
    this.emit("state", { state, error });
  }
}

async function capture(
  wanted: MediaStreamTrack | MediaTrackConstraints | boolean | undefined,
  open: (constraints?: MediaTrackConstraints) => Promise<MediaStreamTrack>,
): Promise<MediaStreamTrack | null> {
  if (wanted === undefined || wanted === false) return null;
  if (wanted === true) return open();
  return wanted instanceof MediaStreamTrack ? wanted : open(wanted);
}

/** Rejects when joining is ended. */
function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(new TacetError("ended", "Joining was given up.")), { once: true });
  });
}

async function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await Promise.race([slept, aborted(signal)]);
  } finally {
    clearTimeout(timer);
  }
}

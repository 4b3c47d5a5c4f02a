// A call: the local media, the other participants with their tracks, and a connection that is replaced when it is lost.

import { ActiveSpeakers } from "./active-speakers.ts";
import { Connection } from "./connection.ts";
import type { ConnectionStatus } from "./connection-status.ts";
import { openCamera, openMicrophone } from "./devices.ts";
import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { parseLink, type RoomLink, type RoomLinkParts, roomLink } from "./link.ts";
import { type Participant, type ParticipantTrack, participantTrack } from "./participant.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import type { Codec, ParticipantId, Source } from "./protocol/generated.ts";
import type { MuteChange } from "./remote-tracks.ts";
import { isFinal, retryDelay } from "./retry.ts";
import type { ReturnTicket } from "./return-ticket.ts";
import type { RemoteTrack, SlotChange } from "./slots.ts";
import { SOURCES } from "./sources.ts";
import { assertSupported } from "./support.ts";
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
  /** Guest access to show to the server instead of the one that is derived from the secret. */
  readonly guestAccess?: Uint8Array;
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

/** State of the media path. */
export type MediaState = "connecting" | "connected" | "interrupted";

/** A source of this device that is no longer published, without a call of `unpublish`. */
export interface SourceEnd {
  readonly source: Source;
  /** Why: `device` if the browser or the user ended the track, `transform-bypassed`, or what refused it. */
  readonly error: TacetError;
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
  /** An unmuted track sends nothing although its participant is present, or sends again. */
  stalled: { readonly participant: ParticipantId; readonly source: Source; readonly stalled: boolean };
  /** A source of this device is no longer published. Its media was not stopped. */
  unpublished: SourceEnd;
  /** There is a new ticket for a return after a reload; it replaces the one before. */
  ticket: ReturnTicket;
  trackAdded: ParticipantTrack;
  trackRemoved: { readonly participant: ParticipantId; readonly source: Source };
  /** A source was muted or unmuted, according to the server. A source that is not published counts as muted. */
  muted: MuteChange;
  /** The active speakers. */
  speaking: ReadonlySet<ParticipantId>;
  /** This device's session key changed: a participant joined or left, or the key reached its age. */
  generation: KeyEpoch;
  problem: Problem;
};

const WATCH_INTERVAL_MS = 1_000;
const SPEAKING_INTERVAL_MS = 150;

interface LocalSource {
  readonly media: MediaStreamTrack;
  muted: boolean;
}

/** A call that this device has joined. */
export class Call extends Emitter<CallEvents> {
  /** The room. */
  readonly link: RoomLink;
  readonly #options: JoinOptions;
  readonly #local = new Map<Source, LocalSource>();
  readonly #participants = new Map<ParticipantId, Participant>();
  readonly #speakers = new ActiveSpeakers();
  #connection: Connection | undefined;
  #state: CallState = "connected";
  #media: MediaState = "connecting";
  #status: ConnectionStatus = {
    state: "connected",
    since: performance.now(),
    cause: null,
    error: null,
    nextAttempt: null,
  };
  #timers: ReturnType<typeof setInterval>[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: JoinOptions, link: RoomLink) {
    super();
    this.#options = options;
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
    const call = new Call(options, link);
    try {
      const audio = await capture(options.audio, openMicrophone);
      if (audio !== null) call.#local.set("microphone", { media: audio, muted: false });
      const video = await capture(options.video, openCamera);
      if (video !== null) call.#local.set("camera", { media: video, muted: false });
      await call.#connect();
      call.#timers = [
        setInterval(() => void call.#watch(), WATCH_INTERVAL_MS),
        setInterval(() => call.#measureLevels(), SPEAKING_INTERVAL_MS),
      ];
      call.#publishAll();
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
    return this.#media;
  }

  /** Status of the connection. After the end of the call, the last one. */
  get connection(): ConnectionStatus {
    return this.#status;
  }

  /** The ticket with which this page, loaded again, returns to its place; `null` while there is none. */
  get returnTicket(): ReturnTicket | null {
    return null;
  }

  /** Participant id of this device; `null` before it is known. */
  get self(): ParticipantId | null {
    return this.#connection?.participant ?? null;
  }

  /** The other participants. */
  get participants(): readonly Participant[] {
    return [...this.#participants.values()];
  }

  /** The tracks of the other participants. */
  get tracks(): readonly ParticipantTrack[] {
    return (this.#connection?.shown() ?? []).flatMap((shown) => {
      const track = this.#withMedia(shown);
      return track === undefined ? [] : [track];
    });
  }

  /** Whether a participant's source is muted or not published. */
  isMuted(participant: ParticipantId, source: Source): boolean {
    if (participant !== this.self) return this.#connection?.muted(participant, source) ?? true;
    return this.#local.get(source)?.muted ?? true;
  }

  /**
   * Publishes media as a source, or replaces the media of that source. Resolves when its sealed frames are being sent.
   *
   * @throws {TacetError} if it cannot be sent; it is not published then
   */
  async publish(media: MediaStreamTrack, source: Source): Promise<void> {
    if (media.kind !== SOURCES[source].kind) throw new TacetError("device", "The track is not of the source's kind.");
    this.#local.set(source, { media, muted: false });
    try {
      await this.#connection?.publish(source, media);
    } catch (thrown) {
      this.#reportUnsent(thrown);
      throw thrown;
    }
  }

  /** Unpublishes a source. Its media is not stopped. */
  async unpublish(source: Source): Promise<void> {
    this.#local.delete(source);
    await this.#connection?.unpublish(source);
  }

  /** Mutes or unmutes a published source. While it is muted, none of its media is sent. */
  async setMuted(source: Source, muted: boolean): Promise<void> {
    const local = this.#local.get(source);
    if (local === undefined) return;
    local.muted = muted;
    await this.#connection?.publish(source, muted ? null : local.media);
  }

  /** Whether an unmuted track of a participant sends nothing, although the participant is present. */
  isStalled(_participant: ParticipantId, _source: Source): boolean {
    return false;
  }

  /** Tries at once what is being repaired, instead of waiting for the next attempt. */
  tryNow(): void {}

  /**
   * The page is going away and may be loaded again: the others see this participant as away, and its place is held for
   * some seconds. For `pagehide`. Returns the ticket to store.
   */
  away(): ReturnTicket | null {
    return null;
  }

  /** Leaves the call, stops the local media, and erases the keys. */
  leave(): void {
    if (this.#state === "ended") return;
    this.#end(null);
  }

  /** Returns the counters of every transform: frames in, frames out, and dropped frames by reason. */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#connection?.counters() ?? Promise.resolve([]);
  }

  /** Returns the browser's statistics of the current connection. */
  stats(): Promise<RTCStatsReport> {
    return this.#connection?.stats() ?? Promise.resolve(new Map());
  }

  async #connect(): Promise<void> {
    const { name, videoCodec = "vp8", guestAccess } = this.#options;
    const options = { link: this.link, name, videoCodec, ...(guestAccess === undefined ? {} : { guestAccess }) };
    this.#setMedia("connecting");
    const connection = await Connection.open(options, (opened) => this.#listenTo(opened));
    if (this.#state === "ended") {
      connection.close();
      throw new TacetError("ended");
    }
    this.#connection = connection;
    connection.on("lost", (error) => this.#lost(error));
  }

  #listenTo(connection: Connection): void {
    connection.on("verified", ({ participant, name }) => {
      const joined = { id: participant, name, presence: "present" } as const;
      const known = this.#participants.has(participant);
      this.#participants.set(participant, joined);
      if (!known) this.emit("participantJoined", joined);
    });
    connection.on("removed", (participant) => this.#remove(participant));
    connection.on("shown", (change) => this.#shown(change));
    connection.on("muted", (change) => {
      if (change.muted && change.source === "microphone") this.#speakers.remove(change.participant);
      this.emit("muted", change);
    });
    connection.on("speakers", (speakers) => {
      const now = performance.now();
      for (const speaker of speakers) {
        if (this.#participants.has(speaker.participant) && !this.#measures(speaker.participant)) {
          this.#speakers.hint(speaker, now);
        }
      }
    });
    connection.on("problem", (problem) => this.emit("problem", problem));
    connection.on("generation", (generation) => this.emit("generation", generation));
    connection.on("media", (state) => {
      if (state === "connected") this.#setMedia("connected");
      else if (state === "disconnected") this.#setMedia("interrupted");
    });
  }

  #lost(error: TacetError): void {
    this.#connection = undefined;
    if (isFinal(error)) {
      this.#end(error);
      return;
    }
    // The state changes first, so that listeners can tell participants who are out of reach from those who left.
    this.#setState("reconnecting", error);
    this.#removeAll();
    this.#scheduleReconnect(0);
  }

  #removeAll(): void {
    for (const participant of [...this.#participants.keys()]) this.#remove(participant);
  }

  #scheduleReconnect(attempt: number): void {
    this.#retry = setTimeout(() => void this.#reconnect(attempt), retryDelay(attempt));
  }

  async #reconnect(attempt: number): Promise<void> {
    try {
      await this.#connect();
      this.#setState("connected", null);
      this.#publishAll();
    } catch (thrown) {
      if (this.#state === "ended") return;
      const error = asTacetError(thrown, "server-unreachable");
      this.#removeAll();
      if (isFinal(error)) this.#end(error);
      else this.#scheduleReconnect(attempt + 1);
    }
  }

  /** Publishes all unmuted sources on a new connection. Failures are reported as problems. */
  #publishAll(): void {
    for (const [source, { media, muted }] of this.#local) if (!muted) this.publish(media, source).catch(() => {});
  }

  /** Reports that a local source is not sent, unless the reason is that there is no connection. */
  #reportUnsent(thrown: unknown): void {
    if (this.#state !== "connected") return;
    const bypassed = thrown instanceof TacetError && thrown.code === "transform-bypassed";
    this.emit("problem", { code: bypassed ? "transform-bypassed" : "unknown", participant: null });
  }

  #shown({ removed, added }: SlotChange): void {
    if (removed !== null) {
      this.emit("trackRemoved", { participant: removed.participant, source: removed.source });
    }
    const track = added === null ? undefined : this.#withMedia(added);
    if (track !== undefined) this.emit("trackAdded", track);
  }

  #withMedia(shown: RemoteTrack): ParticipantTrack | undefined {
    const media = this.#connection?.receiver(shown)?.track;
    return media === undefined ? undefined : participantTrack(shown, media);
  }

  #remove(id: ParticipantId): void {
    const left = this.#participants.get(id);
    this.#participants.delete(id);
    this.#speakers.remove(id);
    if (left !== undefined) this.emit("participantLeft", left);
  }

  async #watch(): Promise<void> {
    // Rejects if the connection is lost in the meantime, which is reported by `lost`.
    await this.#connection?.watch().catch(() => {});
  }

  #measureLevels(): void {
    const now = performance.now();
    for (const shown of this.#connection?.shown() ?? []) {
      if (shown.source !== "microphone") continue;
      const level = this.#connection?.audioLevel(shown);
      if (level !== undefined) this.#speakers.measure({ participant: shown.participant, level }, now);
    }
    const speaking = this.#speakers.update(now);
    if (speaking !== null) this.emit("speaking", speaking);
  }

  /** Whether the browser measures the level of this participant's microphone. */
  #measures(participant: ParticipantId): boolean {
    const shown = this.#connection
      ?.shown()
      .find((track) => track.participant === participant && track.source === "microphone");
    return shown !== undefined && this.#connection?.audioLevel(shown) !== undefined;
  }

  #end(error: TacetError | null): void {
    this.#setState("ended", error);
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#retry);
    for (const { media } of this.#local.values()) media.stop();
    this.#connection?.close();
    this.#connection = undefined;
  }

  #setState(state: CallState, error: TacetError | null): void {
    if (this.#state === state) return;
    this.#state = state;
    this.emit("state", { state, error });
  }

  #setMedia(media: MediaState): void {
    if (this.#media === media) return;
    this.#media = media;
    this.emit("media", media);
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

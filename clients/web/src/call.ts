// A call: one's own tracks, the others with theirs, and a connection that is made anew when it is lost.

import { Connection } from "./connection.ts";
import { openCamera, openMicrophone } from "./devices.ts";
import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { parseLink, type RoomLink, roomLink } from "./link.ts";
import type { Codec, Source } from "./protocol/generated.ts";
import type { RemoteTrack, SlotChange } from "./slots.ts";
import { Speaking } from "./speaking.ts";
import { kindOfSource } from "./stream.ts";
import { assertSupported } from "./support.ts";
import type { ProblemCode } from "./worker/action.ts";
import type { TransformCounters } from "./worker/messages.ts";

/** How to join. */
export type JoinOptions = (
  | { /** The whole room link. */ readonly link: string }
  | {
      /** Origin of the server. */
      readonly server: string;
      /** Room and secret as in the link: base64url. */
      readonly room: string;
      readonly secret: string;
    }
) & {
  /** The name that the others see. It is sealed: the server does not learn it. */
  readonly name: string;
  /** Microphone: a track, constraints, or `true`; without it, one joins silent. */
  readonly audio?: MediaStreamTrack | MediaTrackConstraints | boolean;
  /** Camera: likewise. */
  readonly video?: MediaStreamTrack | MediaTrackConstraints | boolean;
  /** Codec of one's own picture. */
  readonly videoCodec?: Exclude<Codec, "opus">;
  /** Access token by which the server lets one in, instead of the one derived from the secret. */
  readonly access?: Uint8Array;
};

/** A participant whose announce was verified with the room's secret. */
export interface Participant {
  readonly id: number;
  readonly name: string;
}

/** A track of a participant. `participant` is authenticated, not what the server says. */
export interface ParticipantTrack {
  readonly participant: number;
  readonly source: Source;
  readonly track: MediaStreamTrack;
}

/** State of a call. */
export type CallState = "connected" | "reconnecting" | "ended";

/** State of the media path. */
export type MediaState = "connecting" | "connected" | "interrupted";

/** Something about encryption that a person should know. */
export interface Problem {
  readonly code: ProblemCode | "transform-bypassed";
  /** Whose; `null` if one's own. */
  readonly participant: number | null;
}

type CallEvents = {
  state: { readonly state: CallState /** Why it is not connected. */; readonly error: TacetError | null };
  media: MediaState;
  participantJoined: Participant;
  participantLeft: Participant;
  trackAdded: ParticipantTrack;
  trackRemoved: Omit<ParticipantTrack, "track">;
  /** A participant's source was muted or unmuted, as the server says; one that is not published is muted. */
  muted: { readonly participant: number; readonly source: Source; readonly muted: boolean };
  /** Who speaks now. */
  speaking: ReadonlySet<number>;
  /** One's own key generation moved on: somebody joined or left, or it was time. */
  generation: { readonly generation: number; readonly step: number };
  problem: Problem;
};

const WATCH_INTERVAL_MS = 1_000;
const SPEAKING_INTERVAL_MS = 150;
/** Waiting times before a lost connection is made anew; the last one repeats. */
const BACKOFF_MS = [300, 1_000, 2_000, 4_000, 8_000];
/** Errors after which it makes no sense to try again. */
const FATAL: readonly TacetError["code"][] = [
  "access-refused",
  "no-room",
  "room-full",
  "encryption",
  "unsupported-browser",
  "ended",
];

interface LocalSource {
  readonly track: MediaStreamTrack;
  muted: boolean;
}

/** A call that was joined. */
export class Call extends Emitter<CallEvents> {
  /** The room. */
  readonly link: RoomLink;
  readonly #options: JoinOptions;
  readonly #local = new Map<Source, LocalSource>();
  readonly #participants = new Map<number, Participant>();
  readonly #speaking = new Speaking();
  #connection: Connection | undefined;
  #state: CallState = "connected";
  #media: MediaState = "connecting";
  #timers: ReturnType<typeof setInterval>[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: JoinOptions, link: RoomLink) {
    super();
    this.#options = options;
    this.link = link;
  }

  /**
   * Joins a call. Devices are opened only after it is sure that this browser can encrypt.
   *
   * @throws {TacetError} saying why not; nothing of the call is left then
   */
  static async join(options: JoinOptions): Promise<Call> {
    const link = "link" in options ? parseLink(options.link) : roomLink(options.server, options.room, options.secret);
    assertSupported();
    const call = new Call(options, link);
    try {
      const audio = await captured(options.audio, openMicrophone);
      if (audio !== null) call.#local.set("mic", { track: audio, muted: false });
      const video = await captured(options.video, openCamera);
      if (video !== null) call.#local.set("cam", { track: video, muted: false });
      await call.#connect();
      call.#timers = [
        setInterval(() => void call.#watch(), WATCH_INTERVAL_MS),
        setInterval(() => call.#listen(), SPEAKING_INTERVAL_MS),
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

  /** One's own number, a new one on every connection. */
  get self(): number {
    return this.#connection?.participant ?? -1;
  }

  /** The others. */
  get participants(): readonly Participant[] {
    return [...this.#participants.values()];
  }

  /** The tracks of the others. */
  get tracks(): readonly ParticipantTrack[] {
    return (this.#connection?.shown() ?? []).flatMap((shown) => {
      const track = this.#playable(shown);
      return track === undefined ? [] : [track];
    });
  }

  /** Whether a participant's source is muted or absent. */
  isMuted(participant: number, source: Source): boolean {
    if (participant !== this.self) return this.#connection?.muted(participant, source) ?? true;
    return this.#local.get(source)?.muted ?? true;
  }

  /**
   * Sends a track, in the place of one of the same source. Resolves when its frames go out, sealed.
   *
   * @throws {TacetError} if it cannot be sent; it is then not published
   */
  async publish(track: MediaStreamTrack, source: Source): Promise<void> {
    if (track.kind !== kindOfSource(source)) throw new TacetError("device", "The track is not of the source's kind.");
    this.#local.set(source, { track, muted: false });
    try {
      await this.#connection?.publish(source, track);
    } catch (thrown) {
      this.#tellUnsent(thrown);
      throw thrown;
    }
  }

  /** Withdraws a source. The track itself is not stopped. */
  async unpublish(source: Source): Promise<void> {
    this.#local.delete(source);
    await this.#connection?.unpublish(source);
  }

  /** Mutes or unmutes a published source. While it is muted, nothing of it is sent. */
  async setMuted(source: Source, muted: boolean): Promise<void> {
    const local = this.#local.get(source);
    if (local === undefined) return;
    local.muted = muted;
    await this.#connection?.publish(source, muted ? null : local.track);
  }

  /** Leaves. Tracks that were passed in or opened are stopped, and the keys are gone. */
  leave(): void {
    if (this.#state === "ended") return;
    this.#end(null);
  }

  /** What each transform has done: frames in, out, and dropped by reason. */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#connection?.counters() ?? Promise.resolve([]);
  }

  /** The browser's statistics of the present connection. */
  stats(): Promise<RTCStatsReport> {
    return this.#connection?.stats() ?? Promise.resolve(new Map());
  }

  async #connect(): Promise<void> {
    const { name, videoCodec = "vp8", access } = this.#options;
    const options = { link: this.link, name, videoCodec, ...(access === undefined ? {} : { access }) };
    this.#setMedia("connecting");
    const connection = await Connection.open(options, (fresh) => this.#hear(fresh));
    if (this.#state === "ended") {
      connection.close();
      throw new TacetError("ended");
    }
    this.#connection = connection;
    connection.on("lost", (error) => this.#lost(error));
  }

  #hear(connection: Connection): void {
    connection.on("verified", ({ participant, name }) => {
      const joined = { id: participant, name };
      const known = this.#participants.has(participant);
      this.#participants.set(participant, joined);
      if (!known) this.emit("participantJoined", joined);
    });
    connection.on("removed", (participant) => this.#remove(participant));
    connection.on("shown", (change) => this.#shown(change));
    connection.on("muted", (change) => {
      if (change.muted && change.source === "mic") this.#speaking.silence(change.participant);
      this.emit("muted", change);
    });
    connection.on("speakers", (speakers) => {
      const now = performance.now();
      for (const { participant, level } of speakers) {
        if (this.#participants.has(participant) && !this.#hears(participant)) {
          this.#speaking.hint(participant, level, now);
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
    if (FATAL.includes(error.code)) {
      this.#end(error);
      return;
    }
    // First the state: whoever goes now has not left, but is out of sight.
    this.#setState("reconnecting", error);
    this.#forget();
    this.#reconnect(0);
  }

  #forget(): void {
    for (const participant of [...this.#participants.keys()]) this.#remove(participant);
  }

  #reconnect(attempt: number): void {
    const wait = BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)] ?? 0;
    // Half of it by chance, so that a restarted server does not meet everyone at once.
    this.#retry = setTimeout(() => void this.#tryAgain(attempt), wait / 2 + (Math.random() * wait) / 2);
  }

  async #tryAgain(attempt: number): Promise<void> {
    try {
      await this.#connect();
      this.#setState("connected", null);
      this.#publishAll();
    } catch (thrown) {
      if (this.#state === "ended") return;
      const error = asTacetError(thrown, "server-unreachable");
      this.#forget();
      if (FATAL.includes(error.code)) this.#end(error);
      else this.#reconnect(attempt + 1);
    }
  }

  /** Publishes everything on a new connection. Nobody waits for it: what fails is told as a problem. */
  #publishAll(): void {
    for (const [source, { track, muted }] of this.#local) if (!muted) this.publish(track, source).catch(() => {});
  }

  /** Tells that a source of one's own is not sent, unless that is because the connection is gone. */
  #tellUnsent(thrown: unknown): void {
    if (this.#state !== "connected") return;
    const bypassed = thrown instanceof TacetError && thrown.code === "transform-bypassed";
    this.emit("problem", { code: bypassed ? "transform-bypassed" : "unknown", participant: null });
  }

  #shown({ removed, added }: SlotChange): void {
    if (removed !== null) {
      this.emit("trackRemoved", { participant: removed.participant, source: removed.source });
    }
    const track = added === null ? undefined : this.#playable(added);
    if (track !== undefined) this.emit("trackAdded", track);
  }

  #playable(shown: RemoteTrack): ParticipantTrack | undefined {
    const track = this.#connection?.receiver(shown)?.track;
    return track === undefined ? undefined : { participant: shown.participant, source: shown.source, track };
  }

  #remove(participant: number): void {
    const left = this.#participants.get(participant);
    this.#participants.delete(participant);
    this.#speaking.silence(participant);
    if (left !== undefined) this.emit("participantLeft", left);
  }

  async #watch(): Promise<void> {
    // A connection that is lost meanwhile tells it by itself.
    await this.#connection?.watch().catch(() => {});
  }

  #listen(): void {
    const now = performance.now();
    for (const shown of this.#connection?.shown() ?? []) {
      if (shown.source !== "mic") continue;
      const level = this.#connection?.receiver(shown)?.getSynchronizationSources()[0]?.audioLevel;
      if (level !== undefined) this.#speaking.level(shown.participant, level, now);
    }
    const speaking = this.#speaking.update(now);
    if (speaking !== null) this.emit("speaking", speaking);
  }

  /** Whether the browser itself has a level for this participant. */
  #hears(participant: number): boolean {
    const shown = this.#connection
      ?.shown()
      .find((track) => track.participant === participant && track.source === "mic");
    if (shown === undefined) return false;
    return this.#connection?.receiver(shown)?.getSynchronizationSources()[0]?.audioLevel !== undefined;
  }

  #end(error: TacetError | null): void {
    this.#setState("ended", error);
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#retry);
    for (const { track } of this.#local.values()) track.stop();
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

async function captured(
  wanted: MediaStreamTrack | MediaTrackConstraints | boolean | undefined,
  open: (constraints?: MediaTrackConstraints) => Promise<MediaStreamTrack>,
): Promise<MediaStreamTrack | null> {
  if (wanted === undefined || wanted === false) return null;
  if (wanted === true) return open();
  return wanted instanceof MediaStreamTrack ? wanted : open(wanted);
}

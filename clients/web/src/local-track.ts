// A track that this client sends on one media path, identified by its source.
//
// Media goes out only after the worker has the transform and a key for the stream, and after the server knows the track,
// in this order. Muting takes the media away from the RTP sender, so nothing is sent at all, closes the stream (a closed
// stream needs no new keys when participants join) and notifies the server. Changes are applied one after the other;
// while one is being applied, only the latest request counts. That holds for the encodings that are wanted, too.

import { TacetError } from "./errors.ts";
import type { Peer, ReadySender } from "./peer.ts";
import type { Encoding, Source, TrackId } from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import { Refused } from "./protocol/refusal.ts";
import type { Signaling } from "./protocol/signaling.ts";
import { SenderEncodings } from "./sender-encodings.ts";
import { isAudio, SOURCES, type StreamNumber } from "./sources.ts";

/** Opens and closes streams in the frame-encryption session. */
export interface StreamGate {
  /** Resolves when a key for the stream is in use. */
  open(stream: StreamNumber): Promise<void>;
  close(stream: StreamNumber): void;
}

/** A local track. */
export class LocalTrack {
  readonly source: Source;
  readonly #peer: Pick<Peer, "prepareSender">;
  readonly #signaling: Pick<Signaling, "request" | "send">;
  readonly #gate: StreamGate;
  #wanted: MediaStreamTrack | null = null;
  /** Whether the server is to know the track. */
  #published = false;
  #sending: MediaStreamTrack | null = null;
  #sender: ReadySender | undefined;
  /** Of video, once there is a sender. */
  #encodings: SenderEncodings | undefined;
  /** By encoding of the published track, whether anyone receives it. Those that are not named are sent. */
  #wantedEncodings: readonly boolean[] = [];
  #id: TrackId | undefined;
  #work: Promise<void> = Promise.resolve();
  #bypassed = false;

  constructor(
    source: Source,
    peer: Pick<Peer, "prepareSender">,
    signaling: Pick<Signaling, "request" | "send">,
    gate: StreamGate,
  ) {
    this.source = source;
    this.#peer = peer;
    this.#signaling = signaling;
    this.#gate = gate;
  }

  /** MID of the m-line of this track. */
  get mid(): string {
    return SOURCES[this.source].mid;
  }

  /** The media that is sent, or `null`. */
  get sending(): MediaStreamTrack | null {
    return this.#sending;
  }

  /** The server's id of the track, once it knows it. */
  get id(): TrackId | undefined {
    return this.#id;
  }

  /** Whether the transform was bypassed. If so, nothing is sent any more. */
  get bypassed(): boolean {
    return this.#bypassed;
  }

  /**
   * Sends this media, or nothing if it is `null`. Resolves when the change is applied.
   *
   * @throws {TacetError} if the server refuses the track, no key becomes ready, or the transform was bypassed earlier
   */
  set(media: MediaStreamTrack | null): Promise<void> {
    this.#wanted = media;
    if (media !== null) this.#published = true;
    return this.#change();
  }

  /** Sends only those encodings of a track, by their order in `publish`. The server forwards no others. */
  want(track: TrackId, encodings: readonly boolean[]): void {
    if (track !== this.#id) return;
    this.#wantedEncodings = encodings;
    // A browser that refuses goes on sending everything, which costs bandwidth and nothing else.
    this.#change().catch(() => {});
  }

  /** Stops at once and permanently, because the transform was bypassed. */
  async stopBypassed(): Promise<void> {
    this.#bypassed = true;
    await this.#sender?.sender.replaceTrack(null);
    await this.set(null);
  }

  /** Stops sending and unpublishes the track. Media that is set later is published as another track. */
  unpublish(): Promise<void> {
    this.#wanted = null;
    this.#published = false;
    return this.#change();
  }

  #change(): Promise<void> {
    const apply = (): Promise<void> => this.#apply();
    this.#work = this.#work.then(apply, apply);
    return this.#work;
  }

  async #apply(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted !== this.#sending) {
      if (wanted !== null && this.#bypassed) throw new TacetError("transform-bypassed");
      if (wanted === null) await this.#mute();
      else if (this.#sending === null) await this.#start(wanted);
      else await this.#replace(wanted);
      this.#sending = wanted;
    }
    if (wanted === null && !this.#published) await this.#unpublish();
    if (this.#sending !== null) await this.#encodings?.set(this.#sending, this.#wantedEncodings);
  }

  async #unpublish(): Promise<void> {
    const track = this.#id;
    this.#id = undefined;
    this.#wantedEncodings = [];
    if (track !== undefined) await this.#signaling.request({ t: "unpublish", track });
  }

  async #start(media: MediaStreamTrack): Promise<void> {
    const { stream } = SOURCES[this.source];
    const sender = await this.#peer.prepareSender(this.source);
    this.#sender = sender;
    await sender.attached;
    await this.#gate.open(stream);
    try {
      await this.#makeKnown(sender, media);
      if (this.#bypassed) throw new TacetError("transform-bypassed");
      await sender.sender.replaceTrack(media);
    } catch (thrown) {
      this.#gate.close(stream);
      throw thrown;
    }
  }

  /** Sends other media. What was published has its encodings, so media with others is another track. */
  async #replace(media: MediaStreamTrack): Promise<void> {
    if (this.#encodings?.fits(media) === false) {
      await this.#mute();
      this.#sending = null;
      await this.#start(media);
      return;
    }
    await this.#sender?.sender.replaceTrack(media);
  }

  /** Tells the server of the track, or that it sends again. */
  async #makeKnown(sender: ReadySender, media: MediaStreamTrack): Promise<void> {
    if (!isAudio(this.source) && sender.layering !== null) {
      this.#encodings ??= new SenderEncodings(sender.sender, this.source, sender.layering);
      if (this.#id !== undefined && !this.#encodings.fits(media)) await this.#unpublish();
    }
    const encodings = (await this.#encodings?.set(media, this.#wantedEncodings)) ?? [{}];
    if (this.#id === undefined) await this.#publish(sender, encodings);
    else this.#signaling.send({ t: "unmute", track: this.#id }, Priority.State, `track ${this.#id}`);
  }

  async #publish({ mid, kind, codec, ssrcs }: ReadySender, encodings: readonly Encoding[]): Promise<void> {
    const { source } = this;
    const publishing = this.#signaling.request({
      t: "publish",
      cid: source,
      kind,
      source,
      codec,
      mid,
      // The server knows an encoding without RID by its SSRC.
      encodings: encodings.map((encoding) => (encoding.rid === undefined ? { ...encoding, ...ssrcs } : encoding)),
    });
    const answer = await publishing.catch((thrown: unknown) => {
      // Refused to this participant, and not to this page.
      if (thrown instanceof Refused && thrown.reason === "forbidden") throw new TacetError("not-allowed");
      throw thrown;
    });
    if (answer.t !== "published") throw new TacetError("protocol");
    this.#id = answer.track;
  }

  async #mute(): Promise<void> {
    await this.#sender?.sender.replaceTrack(null);
    this.#gate.close(SOURCES[this.source].stream);
    if (this.#id !== undefined) {
      this.#signaling.send({ t: "mute", track: this.#id }, Priority.State, `track ${this.#id}`);
    }
  }
}

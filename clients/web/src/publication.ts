// One source that this client sends, on one connection.
//
// A track goes out only after the worker has its transform and a key for its stream, and after the server knows it, in
// this order. Muting takes the track away from the sender, so that nothing is sent at all, closes the stream (a stream
// that is closed needs no new keys when people join) and tells the others. Changes are made one after the other; while
// one is under way, only the latest wish counts.

import { TacetError } from "./errors.ts";
import type { Peer, SendingLine } from "./peer.ts";
import type { Source, TrackId } from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import type { Socket } from "./protocol/socket.ts";
import { MID_OF_SOURCE, STREAM_OF_SOURCE } from "./stream.ts";

/** Opens and closes streams in the frame-encryption session. */
export interface StreamGate {
  /** Resolves when a key for the stream is in use. */
  openStream(stream: number): Promise<void>;
  closeStream(stream: number): void;
}

/** A published source. */
export class Publication {
  readonly source: Source;
  readonly #peer: Pick<Peer, "sendingLine">;
  readonly #socket: Pick<Socket, "request" | "send">;
  readonly #gate: StreamGate;
  #wanted: MediaStreamTrack | null = null;
  #sending: MediaStreamTrack | null = null;
  #line: SendingLine | undefined;
  #track: TrackId | undefined;
  #work: Promise<void> = Promise.resolve();
  #bypassed = false;

  constructor(
    source: Source,
    peer: Pick<Peer, "sendingLine">,
    socket: Pick<Socket, "request" | "send">,
    gate: StreamGate,
  ) {
    this.source = source;
    this.#peer = peer;
    this.#socket = socket;
    this.#gate = gate;
  }

  /** The m-line of this source. */
  get mid(): string {
    return MID_OF_SOURCE[this.source];
  }

  /** Whether the transform was bypassed; then nothing is sent any more. */
  get bypassed(): boolean {
    return this.#bypassed;
  }

  /**
   * Sends this track, or nothing. Resolves when that is so.
   *
   * @throws {TacetError} if the server refuses the track, no key comes, or the transform was bypassed before
   */
  set(track: MediaStreamTrack | null): Promise<void> {
    this.#wanted = track;
    const step = (): Promise<void> => this.#step();
    this.#work = this.#work.then(step, step);
    return this.#work;
  }

  /** The transform was bypassed: stops at once, and for good. */
  async bypass(): Promise<void> {
    this.#bypassed = true;
    await this.#line?.sender.replaceTrack(null);
    await this.set(null);
  }

  /** Withdraws the track. */
  async withdraw(): Promise<void> {
    await this.set(null);
    if (this.#track !== undefined) await this.#socket.request({ t: "unpublish", track: this.#track });
    this.#track = undefined;
  }

  async #step(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted === this.#sending) return;
    if (wanted !== null && this.#bypassed) throw new TacetError("transform-bypassed");
    if (wanted === null) await this.#stop();
    else if (this.#sending === null) await this.#start(wanted);
    else await this.#line?.sender.replaceTrack(wanted);
    this.#sending = wanted;
  }

  async #start(track: MediaStreamTrack): Promise<void> {
    const stream = STREAM_OF_SOURCE[this.source];
    const line = await this.#peer.sendingLine(this.source);
    this.#line = line;
    await line.attached;
    await this.#gate.openStream(stream);
    try {
      if (this.#track === undefined) await this.#announce(line);
      else this.#socket.send({ t: "resume", track: this.#track }, Priority.State, `track ${this.#track}`);
      if (this.#bypassed) throw new TacetError("transform-bypassed");
      await line.sender.replaceTrack(track);
    } catch (thrown) {
      this.#gate.closeStream(stream);
      throw thrown;
    }
  }

  async #announce({ mid, kind, codec, ssrcs }: SendingLine): Promise<void> {
    const { source } = this;
    const answer = await this.#socket.request({ t: "publish", cid: source, kind, source, codec, mid, ...ssrcs });
    if (answer.t !== "published") throw new TacetError("protocol");
    this.#track = answer.track;
  }

  async #stop(): Promise<void> {
    await this.#line?.sender.replaceTrack(null);
    this.#gate.closeStream(STREAM_OF_SOURCE[this.source]);
    if (this.#track !== undefined) {
      this.#socket.send({ t: "pause", track: this.#track }, Priority.State, `track ${this.#track}`);
    }
  }
}

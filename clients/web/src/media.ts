// The media of a call, on one media path after the other: what this device sends, and whether media gets through.

import { Emitter } from "./emitter.ts";
import { asTacetError, TacetError } from "./errors.ts";
import { MediaPath, type MediaSession } from "./media-path.ts";
import { type MediaState, MediaWatch } from "./media-watch.ts";
import type { PeerSetup } from "./peer.ts";
import type { Problem } from "./problem.ts";
import type {
  ServerTransport,
  SlotLayer,
  Slots as SlotsMessage,
  Source,
  TrackWant,
  TransportState,
} from "./protocol/generated.ts";
import { Refused } from "./protocol/refusal.ts";
import type { Signaling } from "./protocol/signaling.ts";
import type { RemoteTrack, SlotChange } from "./slots.ts";

/** Delay before a source is sent again that could not be sent on a new path. */
const SEND_AGAIN_MS = 5_000;

type MediaEvents = {
  shown: SlotChange;
  /** The server sends another layer of a shown track. */
  layer: RemoteTrack;
  problem: Problem;
  state: MediaState;
  /** A local source is not sent any more: its transform was bypassed, or the server refuses it. */
  ended: { readonly source: Source; readonly error: TacetError };
  /** The browser rejected what the server asked for, and needs another path. */
  failed: TacetError;
};

/** Says whether a remote track should arrive. */
export type Expects = (track: RemoteTrack) => boolean;

/** Media of one call. */
export class Media extends Emitter<MediaEvents> {
  readonly #signaling: Signaling;
  readonly #expects: Expects;
  /** Local media by source; `null` while muted. */
  readonly #sources = new Map<Source, MediaStreamTrack | null>();
  #path: MediaPath | undefined;
  #paths = 0;
  #session: MediaSession | undefined;
  #setup: PeerSetup | undefined;
  #watch = new MediaWatch(performance.now());
  #serverMissesChecks = false;
  /** Whether packets of any kind arrived since the last observation. */
  #reached = false;
  #replaced: () => void = () => {};
  #closed = false;

  constructor(signaling: Signaling, expects: Expects) {
    super();
    this.#signaling = signaling;
    this.#expects = expects;
  }

  /** The present path. */
  get path(): MediaPath | undefined {
    return this.#path;
  }

  /** State of the media path. */
  get state(): MediaState {
    return this.#watch.state;
  }

  /** Replaces the path, for a server that has set up, or will set up, another transport. */
  replace(session: MediaSession, setup: PeerSetup): void {
    this.#path?.close();
    this.#session = session;
    this.#setup = setup;
    const path = new MediaPath({ setup, session, signaling: this.#signaling, number: this.#paths++ });
    const present = (): boolean => this.#path === path && !this.#closed;
    path.on("shown", (change) => {
      if (!this.#closed) this.emit("shown", change);
    });
    path.on("layer", (track) => {
      if (present()) this.emit("layer", track);
    });
    path.on("problem", (problem) => {
      if (present()) this.emit("problem", problem);
    });
    path.on("bypassed", (source) => {
      if (present()) this.#end(source, new TacetError("transform-bypassed"));
    });
    path.on("state", () => {
      if (present()) this.observe(false);
    });
    path.on("failed", (error) => {
      if (present()) this.emit("failed", error);
    });
    this.#path = path;
    this.#watch = new MediaWatch(performance.now(), this.#watch.state);
    this.#serverMissesChecks = false;
    const replaced = this.#replaced;
    this.#replaced = () => {};
    replaced();
    for (const source of this.#sources.keys()) this.#sendAgain(path, source);
  }

  /** Closes the path until there is another one. */
  suspend(): void {
    this.#path?.close();
  }

  /** The server's half of the transport. One that comes when there is one already belongs to a new path. */
  start(transport: ServerTransport): void {
    if (this.#path?.started === true && this.#session !== undefined && this.#setup !== undefined) {
      this.replace(this.#session, this.#setup);
    }
    this.#path?.start(transport);
  }

  /** Applies a change of the slots. */
  applySlots(message: SlotsMessage): void {
    this.#path?.applySlots(message);
  }

  /** The server sends other layers in these slots. */
  applyLayers(layers: readonly SlotLayer[]): void {
    this.#path?.applyLayers(layers);
  }

  /** Sends only the encodings that are received by anyone. */
  want(tracks: readonly TrackWant[]): void {
    this.#path?.want(tracks);
  }

  /**
   * Sends this media as this source, or nothing if it is `null`, on this path and those that replace it. Resolves when it
   * is sent, or another request for this source has replaced this one.
   *
   * @throws {TacetError} if it cannot be sent; it is not published then
   */
  async send(source: Source, media: MediaStreamTrack | null): Promise<void> {
    this.#sources.set(source, media);
    while (this.#sources.get(source) === media) {
      if (this.#closed) throw new TacetError("ended");
      const path = this.#path;
      // A path that is closed sends nothing anyway.
      if (media === null && path?.closed !== false) return;
      const replaced = this.#replacement();
      try {
        await Promise.race([path?.send(source, media) ?? replaced, replaced]);
        if (path !== undefined && path === this.#path) return;
      } catch (thrown) {
        // What a path that was replaced, or closed for a while, could not do is done on the next one.
        if (path !== this.#path) continue;
        if (path?.closed === true) await replaced;
        else {
          if (this.#sources.get(source) === media) this.#sources.delete(source);
          throw thrown;
        }
      }
    }
  }

  /** Unpublishes a source. */
  async unpublish(source: Source): Promise<void> {
    this.#sources.delete(source);
    await this.#path?.unpublish(source);
  }

  /** The server's view of the path. */
  serverState(state: TransportState): void {
    this.#serverMissesChecks = state !== "connected";
    this.observe(false);
  }

  /** Restarts ICE now, and again soon if that does not help. */
  hurry(): void {
    this.#watch.hurry();
    this.#restartIce();
  }

  /** Looks at the path, and restarts ICE if it is broken. `received`: frames were opened since the last call. */
  observe(received: boolean): void {
    const path = this.#path;
    if (path === undefined || path.closed || !path.started || this.#closed) return;
    const before = this.#watch.state;
    const restart = this.#watch.observe({
      now: performance.now(),
      state: path.state,
      lost: this.#serverMissesChecks,
      received: received || this.#reached,
      expected: path.shown.some((track) => this.#expects(track)),
    });
    this.#reached = false;
    if (!received) this.#look(path);
    if (this.#watch.state !== before) this.emit("state", this.#watch.state);
    if (restart) this.#restartIce();
  }

  /** Ends all media. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#path?.close();
    this.#replaced();
  }

  /** Notices packets that are no frames. */
  #look(path: MediaPath): void {
    // Rejects if the path is closed in the meantime.
    path.reached().then(
      (reached) => {
        if (path === this.#path) this.#reached ||= reached;
      },
      () => {},
    );
  }

  #restartIce(): void {
    const path = this.#path;
    if (path === undefined || path.closed || !this.#signaling.attached) return;
    // What broke the path may have broken the link.
    this.#signaling.probe();
    // Without an answer, or with a refusal, the next restart is due after its delay.
    path.restartIce().catch(() => {});
  }

  #sendAgain(path: MediaPath, source: Source): void {
    const media = this.#sources.get(source) ?? null;
    if (media === null || path !== this.#path || this.#closed) return;
    path.send(source, media).catch((thrown: unknown) => {
      if (path !== this.#path || path.closed || this.#sources.get(source) !== media) return;
      const error = asTacetError(thrown, "protocol");
      if (error instanceof Refused || error.code === "transform-bypassed") this.#end(source, error);
      else setTimeout(() => this.#sendAgain(path, source), SEND_AGAIN_MS);
    });
  }

  #end(source: Source, error: TacetError): void {
    if (this.#sources.delete(source)) this.emit("ended", { source, error });
  }

  /** Resolves when the path is replaced, or all media ends. */
  #replacement(): Promise<void> {
    return new Promise((resolve) => {
      const earlier = this.#replaced;
      this.#replaced = () => {
        earlier();
        resolve();
      };
    });
  }
}

// The frame-encryption session of this device: its worker, its streams, and the keys that are on their way to others.
//
// A session outlives sockets and media paths. It is detached while there is no signaling link: nothing is sent, and no key
// is switched. A key batch counts as sent only once the server has accepted it, and is sent again until then.

import { encode } from "./base64url.ts";
import { type CallCode, callCode } from "./call-code.ts";
import type { ChatContent } from "./chat.ts";
import { ChatOutbox } from "./chat-outbox.ts";
import { type AttachedTransform, CryptoWorker } from "./crypto-worker.ts";
import type { ResumeStatement } from "./e2ee/wasm.ts";
import { Emitter } from "./emitter.ts";
import { TacetError } from "./errors.ts";
import type { KeyEpoch, Problem } from "./problem.ts";
import { BinaryType, keyRequestBodies, type ServerBinary } from "./protocol/binary.ts";
import type { Announce, ParticipantId, Seat } from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import type { Signaling } from "./protocol/signaling.ts";
import { StreamKeys } from "./stream-keys.ts";
import { type Action, EventKind } from "./worker/action.ts";
import type { FrameOrigin } from "./worker/engine.ts";
import {
  attachedEvent,
  detachedEvent,
  joinedEvent,
  keyBatchAcceptedEvent,
  leftEvent,
  type SessionEvent,
} from "./worker/event.ts";
import type { Pulse, SessionOptions, TransformCounters, TransformOptions } from "./worker/messages.ts";

/** Delay before a key batch is sent again that the server did not accept. */
const BATCH_RETRY_MS = 2_000;

type CryptoSessionEvents = {
  /** A participant proved that it has the secret. */
  verified: { readonly participant: ParticipantId; readonly name: string };
  removed: ParticipantId;
  problem: Problem;
  problemSolved: Problem;
  generation: KeyEpoch;
  /** The frames of a receiver are now authenticated as this participant's stream. */
  authenticated: { readonly id: string; readonly origin: FrameOrigin };
  /** The call code changed, after the participants whose devices are behind that. */
  callCode: CallCode;
  /** A participant says something. */
  chat: { readonly participant: ParticipantId; readonly content: ChatContent };
  pulse: Pulse;
  /** The session is over, and nothing is sealed or opened any more: `device-slept` or `encryption`. */
  over: TacetError;
};

/** A session in its worker. */
export class CryptoSession extends Emitter<CryptoSessionEvents> {
  readonly streams: StreamKeys;
  readonly chat: ChatOutbox;
  readonly #worker: CryptoWorker;
  readonly #signaling: Signaling;
  /** Key batches that the server has not accepted, by number. */
  readonly #batches = new Map<number, Uint8Array>();
  #announced: (announce: Announce) => void = () => {};
  #over: TacetError | null = null;
  #closed = false;

  private constructor(worker: CryptoWorker, signaling: Signaling) {
    super();
    this.#worker = worker;
    this.#signaling = signaling;
    this.streams = new StreamKeys((event) => this.#event(event));
    this.chat = new ChatOutbox(signaling, (event) => this.#event(event));
    worker.on("action", (action) => this.#act(action));
    worker.on("authenticated", (event) => this.emit("authenticated", event));
    worker.on("pulse", (pulse) => this.emit("pulse", pulse));
    worker.on("failed", (error) => this.#end(error));
  }

  /**
   * Loads a worker for a session that sends over this link.
   *
   * @returns the session, and the guest access to show to the server
   * @throws {TacetError} `offline` or `server-unreachable` if the code cannot be fetched, `encryption` if it does not run
   */
  static async load(
    invite: Uint8Array,
    signaling: Signaling,
  ): Promise<{ session: CryptoSession; guestAccess: Uint8Array<ArrayBuffer> }> {
    const { worker, guestAccess } = await CryptoWorker.load(invite);
    return { session: new CryptoSession(worker, signaling), guestAccess };
  }

  /** Why the session is over; `null` while it is not. */
  get over(): TacetError | null {
    return this.#over;
  }

  /** Makes the keys, and resolves with the announce for `join`. */
  start(options: SessionOptions): Promise<Announce> {
    const announced = this.#nextAnnounce();
    this.#worker.start(options);
    return announced;
  }

  /** The server granted the seat again, and has forgotten the rest. Resolves with the announce for `join`. */
  rejoin(): Promise<Announce> {
    const announced = this.#nextAnnounce();
    this.#event(attachedEvent(true));
    return announced;
  }

  /** The server answered `join` with this seat. Keys that it has not accepted go out again. */
  joined(seat: Seat): void {
    this.streams.attached = true;
    this.#event(joinedEvent(seat));
    for (const number of [...this.#batches.keys()]) this.#sendBatch(number);
  }

  /** The signaling link continues where it was lost. */
  attach(): void {
    this.streams.attached = true;
    this.#event(attachedEvent(false));
  }

  /** The signaling link is lost. */
  detach(): void {
    this.streams.attached = false;
    this.#event(detachedEvent());
  }

  /** Passes on a binary message of the server. */
  receive({ type, body }: ServerBinary): void {
    if (type === BinaryType.Announces) this.#event({ kind: EventKind.Announces, body });
    else if (type === BinaryType.Keys) this.#event({ kind: EventKind.Keys, body });
    else if (type === BinaryType.KeyRequest) this.#event({ kind: EventKind.KeyRequest, body });
    else if (type === BinaryType.Chat) this.#event({ kind: EventKind.Chat, body });
  }

  /** Participants have left. */
  left(participants: readonly ParticipantId[]): void {
    if (participants.length > 0) this.#event(leftEvent(participants));
  }

  /** Signs a resume statement, also after the session is over. Returns `null` if its worker crashed. */
  prove(statement: ResumeStatement): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#worker.prove(statement);
  }

  /** Creates a transform that seals or opens every frame, or drops it. */
  transform(options: TransformOptions): AttachedTransform {
    return this.#worker.transform(options);
  }

  /** Drops the transforms of a closed media path. */
  forget(ids: readonly string[]): void {
    if (!this.#closed) this.#worker.forget(ids);
  }

  /**
   * Returns the counters of every transform.
   *
   * @throws {TacetError} `encryption` if the worker does not answer in time, or has stopped
   */
  counters(): Promise<readonly TransformCounters[]> {
    return this.#worker.counters();
  }

  /** Stops the worker, which erases its keys. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.streams.end(new TacetError("ended"));
    this.chat.end(new TacetError("ended"));
    this.#worker.terminate();
  }

  #event({ kind, body }: SessionEvent): void {
    if (!this.#closed && this.#over === null) this.#worker.event(kind, body);
  }

  #nextAnnounce(): Promise<Announce> {
    return new Promise((resolve, reject) => {
      this.#announced = resolve;
      this.once("over").then(reject);
    });
  }

  #act(action: Action): void {
    if (this.#closed) return;
    switch (action.kind) {
      case "announce": {
        const announce = { announce: encode(action.announce), display: encode(action.display) };
        if (action.first) this.#announced(announce);
        else this.#signaling.send({ t: "announce", ...announce }, Priority.Control, "announce");
        break;
      }
      case "key-batch":
        this.#batches.set(action.number, action.body);
        this.#sendBatch(action.number);
        break;
      case "key-request":
        for (const body of keyRequestBodies(action.wanted)) {
          // A request that gets lost is made again by the session.
          this.#signaling.requestBinary(BinaryType.KeyRequest, body).catch(() => {});
        }
        break;
      case "send-chat":
        this.chat.sealed(action.id, action.sealed);
        break;
      case "chat":
        this.emit("chat", { participant: action.participant, content: action.content });
        break;
      case "verified":
        this.emit("verified", { participant: action.participant, name: action.name });
        break;
      case "removed":
        this.emit("removed", action.participant);
        break;
      case "stream-ready":
        this.streams.ready(action.stream);
        break;
      case "problem":
        this.emit("problem", { code: action.code, participant: action.participant });
        break;
      case "problem-solved":
        this.emit("problemSolved", { code: action.code, participant: action.participant });
        break;
      case "call-code":
        this.emit("callCode", callCode(action.code));
        break;
      case "generation":
        this.emit("generation", { generation: action.generation, step: action.step });
        break;
      case "key-installed":
        break;
      case "ended":
        this.#end(new TacetError("device-slept"));
        break;
    }
  }

  #sendBatch(number: number): void {
    const body = this.#batches.get(number);
    if (body === undefined || this.#closed) return;
    this.#signaling.requestBinary(BinaryType.KeyBatch, body).then(
      () => {
        this.#batches.delete(number);
        this.#event(keyBatchAcceptedEvent(number));
      },
      () => {
        // Detached: `joined` sends it on the next link. Attached: the server could not take it now.
        if (this.#signaling.attached) setTimeout(() => this.#sendBatch(number), BATCH_RETRY_MS);
      },
    );
  }

  #end(error: TacetError): void {
    if (this.#over !== null || this.#closed) return;
    this.#over = error;
    this.streams.end(error);
    this.chat.end(error);
    this.emit("over", error);
  }
}

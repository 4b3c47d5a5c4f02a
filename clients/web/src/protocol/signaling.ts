// The signaling link of a call: requests with their answers, and messages in order, over one socket after the other.
//
//   connect ─► challenge ─► hello ─► welcome ─┬─ session: replay ─► pong ─► unanswered requests again ─► attached
//                                             └─ otherwise: numbers and requests start again ─────────► attached
//
// A request lives until it is answered, whatever happens to its socket. After a resume, the server first repeats what the
// client missed, answers included; a ping behind `welcome` marks the end of that, so that only what was never answered is
// sent again. Each message of the server has a number, which is acknowledged and by which repetitions are dropped.

import type { ChatKind } from "../chat.ts";
import { TacetError, unreachable } from "../errors.ts";
import { Allowances } from "./allowances.ts";
import { BinaryType, frameBinary, type ServerBinary } from "./binary.ts";
import type { Challenge, ClientMessage, Hello, ServerMessage, Tokens, Welcome } from "./generated.ts";
import { Priority, type Waiting } from "./outbox.ts";
import { errorOfClose, Refused } from "./refusal.ts";
import { checkSize, type OpenWebSocket, type ServerText, Socket } from "./socket.ts";

/** How long an answer may take on an attached link. */
const ANSWER_TIMEOUT_MS = 15_000;
/** How many times a request that hit the rate limit is sent again. */
const MAX_RETRIES = 3;
/** Delay before such a retry, if the server names none. */
const DEFAULT_RETRY_MS = 1_000;
/** Number of messages after which they are acknowledged at once. */
const ACK_MESSAGES = 16;
/** How long messages may remain without acknowledgement. */
const ACK_INTERVAL_MS = 5_000;

/** Notifications to the owner of a link. */
export interface SignalingListener {
  /** A message that is not the answer to a request. */
  message(message: ServerMessage): void;
  binary(message: ServerBinary): void;
  /** The session goes on. The messages that were missed follow. */
  continued(): void;
  /** The link is no longer attached. */
  lost(error: TacetError): void;
  /** The session can be continued with these tokens, which replace those of `welcome`. */
  tokens(tokens: Tokens): void;
}

/** Writes the body of `hello` for the challenge of a connection. */
export type MakeHello = (challenge: Challenge) => Promise<Hello>;

/** The server has forgotten the session that a request belonged to. */
export class Superseded extends TacetError {
  constructor() {
    super("server-unreachable");
  }
}

interface Pending {
  readonly message: Waiting;
  retries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  resolve(message: ServerMessage): void;
  reject(error: Error): void;
}

/** What remains to be done before a socket is the attached one. */
interface Handshake {
  readonly makeHello: MakeHello;
  readonly timer: ReturnType<typeof setTimeout>;
  /** Number of the `hello`, and after `welcome` of the ping that ends the replay. */
  awaited: number | undefined;
  welcome: Welcome | undefined;
  resolve(welcome: Welcome): void;
  reject(error: Error): void;
}

/** A link that outlives its sockets. */
export class Signaling {
  readonly #server: string;
  readonly #listener: SignalingListener;
  readonly #open: OpenWebSocket | undefined;
  readonly #allowances = new Allowances();
  /** By request number, in the order of sending. */
  readonly #pending = new Map<number, Pending>();
  #socket: Socket | undefined;
  #handshake: Handshake | undefined;
  #attached = false;
  #nextId = 1;
  #lastSeq = 0;
  #ackedSeq = 0;
  #ackTimer: ReturnType<typeof setInterval> | undefined;
  #ended = false;

  /** @param server origin of the server, `http:` or `https:` */
  constructor(server: string, listener: SignalingListener, open?: OpenWebSocket) {
    this.#server = server;
    this.#listener = listener;
    this.#open = open;
  }

  /** Whether messages can be exchanged. */
  get attached(): boolean {
    return this.#attached;
  }

  /** Number of the last message that arrived from the server. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /**
   * Opens a new socket in place of the present one, and resolves once it is attached.
   *
   * @throws {Refused} if the server refuses the `hello`; {TacetError} if there is no connection within the time
   */
  connect(makeHello: MakeHello, timeoutMs: number): Promise<Welcome> {
    this.drop();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(unreachable("The server did not answer in time.")), timeoutMs);
      this.#handshake = { makeHello, timer, awaited: undefined, welcome: undefined, resolve, reject };
      const socket: Socket = new Socket(
        this.#server,
        {
          text: (message) => {
            if (this.#socket === socket) this.#receive(message);
          },
          binary: (message) => {
            if (this.#socket === socket && this.#isNew(message.seq)) this.#listener.binary(message);
          },
          closed: (code) => {
            if (this.#socket === socket) this.#closed(code);
          },
        },
        this.#allowances,
        this.#open,
      );
      this.#socket = socket;
    });
  }

  /**
   * Sends a request, again on later sockets, and resolves with its answer. One that hits the rate limit is retried.
   *
   * @throws {Refused} if the server refuses it; {Superseded} if the session ends first; {TacetError}
   * `server-unreachable` if the server does not answer, or `message-too-large`
   */
  request(message: ClientMessage, priority: Priority = Priority.Control, object?: string): Promise<ServerMessage> {
    const id = this.#nextId++;
    const payload = JSON.stringify({ ...message, id });
    return this.#request(id, { type: message.t, payload, priority, object });
  }

  /** Sends a binary request, which has the priority of keys. */
  requestBinary(
    type: typeof BinaryType.KeyBatch | typeof BinaryType.KeyRequest,
    body: Uint8Array,
  ): Promise<ServerMessage> {
    const id = this.#nextId++;
    const payload = frameBinary(type, id, body);
    const what = type === BinaryType.KeyBatch ? "key_batch" : "key_request";
    return this.#request(id, { type: what, payload, priority: Priority.Keys });
  }

  /** Sends a chat message: `id8 sealed`. */
  sendChat(kind: ChatKind, body: Uint8Array): Promise<ServerMessage> {
    const id = this.#nextId++;
    const payload = frameBinary(BinaryType.Chat, id, body);
    return this.#request(id, { type: kind === "text" ? "chat" : "reaction", payload, priority: Priority.Chat });
  }

  /**
   * Sends a message, again on later sockets until the server confirms it. A later one for the same `object` replaces it.
   */
  send(message: ClientMessage, priority: Priority = Priority.Control, object?: string): void {
    if (object !== undefined) {
      for (const [id, pending] of this.#pending) if (pending.message.object === object) this.#settle(id);
    }
    // A refusal changes nothing for the sender, and the owner learns of a lost link by itself.
    this.request(message, priority, object).catch(() => {});
  }

  /** Tells the server that the owner of the keys is alive, although no media of this device leaves. */
  heartbeat(): void {
    if (this.#attached) this.#socket?.send({ t: "heartbeat" }, Priority.Control, "heartbeat");
  }

  /** Asks for a sign of life, because the connection is under suspicion. */
  probe(): void {
    if (this.#attached) this.#socket?.probe();
  }

  /** Sends `away` at once. */
  away(): void {
    if (this.#attached) this.#socket?.sendNow({ t: "away" });
  }

  /** Closes the present socket without a goodbye. Requests are kept for the next one. */
  drop(): void {
    this.#detach();
    this.#socket?.close();
    this.#socket = undefined;
    this.#endHandshake()?.reject(unreachable());
  }

  /** Says goodbye and ends the link. */
  leave(): void {
    if (this.#ended) return;
    this.#socket?.sendNow({ t: "leave" });
    this.end(new TacetError("ended"));
  }

  /** Ends the link without a goodbye. */
  end(error: TacetError): void {
    this.#ended = true;
    this.drop();
    this.#rejectAll(error);
  }

  #request(id: number, message: Waiting): Promise<ServerMessage> {
    if (this.#ended) return Promise.reject(new TacetError("ended"));
    checkSize(message.payload);
    return new Promise((resolve, reject) => {
      const pending: Pending = { message, retries: 0, timer: undefined, resolve, reject };
      this.#pending.set(id, pending);
      if (this.#attached) this.#transmit(id, pending);
    });
  }

  #transmit(id: number, pending: Pending): void {
    pending.timer = setTimeout(() => {
      this.#settle(id)?.reject(new TacetError("server-unreachable", "The server did not answer in time."));
    }, ANSWER_TIMEOUT_MS);
    this.#socket?.push(pending.message);
  }

  /** Removes a request that needs no further answer. */
  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    clearTimeout(pending?.timer);
    this.#pending.delete(id);
    return pending;
  }

  #receive(message: ServerText): void {
    const { body, re } = message;
    const handshake = this.#handshake;
    if (handshake !== undefined && handshake.welcome === undefined) {
      this.#shakeHands(handshake, message);
      return;
    }
    if (handshake !== undefined && re === handshake.awaited) {
      this.#isNew(message.seq);
      this.#resend();
      this.#attach();
      return;
    }
    if (!this.#isNew(message.seq)) return;
    if (body.t === "pong" && body.tokens !== undefined) this.#listener.tokens(body.tokens);
    const pending = re === undefined ? undefined : this.#pending.get(re);
    if (re === undefined || pending === undefined) {
      this.#listener.message(body);
      return;
    }
    if (body.t === "error" && body.code === "rate_limited" && pending.retries < MAX_RETRIES) {
      pending.retries += 1;
      clearTimeout(pending.timer);
      pending.timer = setTimeout(() => {
        if (this.#attached && this.#pending.has(re)) this.#transmit(re, pending);
      }, body.retry_ms ?? DEFAULT_RETRY_MS);
      return;
    }
    this.#settle(re);
    if (body.t === "error") pending.reject(new Refused(body.code));
    else pending.resolve(body);
  }

  #shakeHands(handshake: Handshake, { seq, re, body }: ServerText): void {
    if (body.t === "challenge" && handshake.awaited === undefined) {
      const id = this.#nextId++;
      handshake.awaited = id;
      handshake.makeHello(body).then(
        (hello) => {
          if (this.#handshake === handshake) this.#socket?.send({ t: "hello", ...hello, id });
        },
        (thrown: unknown) => {
          if (this.#handshake === handshake) this.#fail(thrown);
        },
      );
    } else if (re === handshake.awaited && body.t === "error") {
      this.#fail(new Refused(body.code));
    } else if (re === handshake.awaited && body.t === "welcome") {
      handshake.welcome = body;
      if (body.continues === "session") {
        const id = this.#nextId++;
        handshake.awaited = id;
        this.#socket?.send({ t: "ping", ms: Math.round(performance.now()), id });
        this.#listener.continued();
      } else {
        this.#lastSeq = seq;
        this.#ackedSeq = seq;
        this.#rejectAll(new Superseded());
        this.#attach();
      }
    }
  }

  /** The present socket is the attached one. */
  #attach(): void {
    const handshake = this.#endHandshake();
    if (handshake?.welcome === undefined) return;
    this.#attached = true;
    this.#ackTimer = setInterval(() => this.#ack(), ACK_INTERVAL_MS);
    handshake.resolve(handshake.welcome);
  }

  /** Sends again what was not answered. */
  #resend(): void {
    for (const [id, pending] of this.#pending) this.#transmit(id, pending);
  }

  /** Takes note of a message's number. Returns whether the message has not arrived before. */
  #isNew(seq: number): boolean {
    // Before `welcome` it is not known which sequence the numbers belong to.
    if (this.#handshake !== undefined && this.#handshake.welcome === undefined) return false;
    if (seq === 0) return true;
    if (seq <= this.#lastSeq) return false;
    this.#lastSeq = seq;
    if (this.#attached && seq - this.#ackedSeq >= ACK_MESSAGES) this.#ack();
    return true;
  }

  #ack(): void {
    if (!this.#attached || this.#lastSeq === this.#ackedSeq) return;
    this.#ackedSeq = this.#lastSeq;
    this.#socket?.send({ t: "ack", seq: this.#lastSeq }, Priority.Control, "ack");
  }

  #closed(code: number): void {
    const error = errorOfClose(code);
    this.#socket = undefined;
    if (this.#handshake !== undefined) {
      // What was never connected was not lost.
      this.#fail(error.code === "server-unreachable" ? unreachable() : error);
      return;
    }
    this.#detach();
    this.#listener.lost(error);
  }

  /** The handshake has failed. */
  #fail(thrown: unknown): void {
    const handshake = this.#endHandshake();
    this.#socket?.close();
    this.#socket = undefined;
    handshake?.reject(thrown instanceof Error ? thrown : unreachable());
  }

  #endHandshake(): Handshake | undefined {
    const handshake = this.#handshake;
    clearTimeout(handshake?.timer);
    this.#handshake = undefined;
    return handshake;
  }

  #detach(): void {
    this.#attached = false;
    clearInterval(this.#ackTimer);
    for (const pending of this.#pending.values()) clearTimeout(pending.timer);
  }

  #rejectAll(error: TacetError): void {
    const rejected = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of rejected) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
  }
}

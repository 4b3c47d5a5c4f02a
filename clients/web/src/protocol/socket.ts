// The signaling connection: requests and their answers, other messages, and the outbox that keeps within the server's
// rate limit.

import { TacetError } from "../errors.ts";
import { type BinaryType, frameBinary, parseBinary, type ServerBinary } from "./binary.ts";
import { type ClientMessage, type ErrorCode, MAX_MESSAGE_BYTES, type ServerMessage, SUBPROTOCOL } from "./generated.ts";
import { Outbox, type Payload, Priority } from "./outbox.ts";
import { CloseCode } from "./refusal.ts";

/** How long an answer may take. */
const ANSWER_TIMEOUT_MS = 10_000;
const PING_INTERVAL_MS = 10_000;
/** How long the server may be silent before the connection counts as lost. */
const SILENCE_TIMEOUT_MS = 25_000;
/** How many times a request that hit the rate limit is sent again. */
const MAX_RETRIES = 3;
/** Delay before such a retry, if the server names none. */
const DEFAULT_RETRY_MS = 1_000;

/** The members of `WebSocket` that are used. Tests implement them. */
export type WebSocketLike = Pick<WebSocket, "send" | "close" | "readyState" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

/** Notifications to the owner of a socket. */
export interface SocketListener {
  /** A message that is not the answer to a request. */
  message(message: ServerMessage): void;
  /** A binary message. */
  binary(message: ServerBinary): void;
  /** The connection was closed or lost, with a WebSocket close code. Called at most once. */
  closed(code: number): void;
}

/** A request that the server refused. */
export class Refused extends TacetError {
  readonly reason: ErrorCode;

  constructor(reason: ErrorCode) {
    super("protocol", `The server rejected a request (${reason}).`);
    this.reason = reason;
  }
}

interface Pending {
  readonly payload: string;
  readonly priority: Priority;
  retries: number;
  readonly timer: ReturnType<typeof setTimeout>;
  resolve(message: ServerMessage): void;
  reject(error: Error): void;
}

/** Opens a `WebSocket`. */
export type OpenWebSocket = (url: string, protocol: string) => WebSocketLike;

/** One connection to the signaling server. */
export class Socket {
  readonly #listener: SocketListener;
  readonly #outbox = new Outbox();
  readonly #pending = new Map<number, Pending>();
  readonly #socket: WebSocketLike;
  #sendTimer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  /** When the server last sent anything. */
  #lastReceived = performance.now();
  #nextId = 1;
  #closed = false;

  /**
   * @param server origin of the server, `http:` or `https:`
   */
  constructor(
    server: string,
    listener: SocketListener,
    open: OpenWebSocket = (url, protocol) => new WebSocket(url, protocol),
  ) {
    this.#listener = listener;
    const url = new URL("/v1/ws", server);
    url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
    this.#socket = open(url.href, SUBPROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#markReceived();
      this.#pingTimer = setInterval(() => this.#ping(), PING_INTERVAL_MS);
      this.#flush();
    };
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = (event) => this.#end(event.code);
  }

  /**
   * Sends a request and resolves with its answer. A request that hits the rate limit is retried.
   *
   * @throws {Refused} if the server refuses it; {TacetError} `server-unreachable` if there is no answer in time, or
   * `message-too-large`
   */
  request(message: ClientMessage, priority: Priority = Priority.Control): Promise<ServerMessage> {
    if (this.#closed) return Promise.reject(new TacetError("server-unreachable"));
    const id = this.#nextId++;
    const payload = JSON.stringify({ ...message, id });
    checkSize(payload);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new TacetError("server-unreachable", "The server did not answer in time."));
      }, ANSWER_TIMEOUT_MS);
      this.#pending.set(id, { payload, priority, retries: 0, timer, resolve, reject });
      this.#push(priority, payload);
    });
  }

  /** Sends a message without waiting for an answer. A later message for the same `object` replaces a waiting one. */
  send(message: ClientMessage, priority: Priority = Priority.Control, object?: string): void {
    const payload = JSON.stringify(message);
    checkSize(payload);
    this.#push(priority, payload, object);
  }

  /** Sends a binary message, which has the priority of keys. */
  sendBinary(type: BinaryType, body: Uint8Array): void {
    const payload = frameBinary(type, this.#nextId++, body);
    checkSize(payload);
    this.#push(Priority.Keys, payload);
  }

  /** Sends `leave` if the socket is open, and closes it. `closed` is not called. */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ t: "leave" }));
      this.#socket.close(CloseCode.Normal);
    } catch {
      // The socket is already closing.
    }
    this.#dispose(new TacetError("ended"));
  }

  #push(priority: Priority, payload: Payload, object?: string): void {
    if (this.#closed) return;
    this.#outbox.push(priority, payload, object);
    this.#flush();
  }

  #flush(): void {
    if (this.#closed || this.#socket.readyState !== WebSocket.OPEN) return;
    for (let payload = this.#outbox.take(performance.now()); payload !== null; ) {
      this.#socket.send(payload);
      payload = this.#outbox.take(performance.now());
    }
    const delay = this.#outbox.delay(performance.now());
    if (delay === null || this.#sendTimer !== undefined) return;
    this.#sendTimer = setTimeout(() => {
      this.#sendTimer = undefined;
      this.#flush();
    }, Math.ceil(delay));
  }

  #receive(data: unknown): void {
    this.#markReceived();
    if (data instanceof ArrayBuffer) {
      const message = parseBinary(data);
      if (message !== null) this.#listener.binary(message);
      return;
    }
    const message = typeof data === "string" ? parseText(data) : null;
    if (message === null) return;
    const pending = message.re === undefined ? undefined : this.#pending.get(message.re);
    if (message.re === undefined || pending === undefined) {
      this.#listener.message(message.body);
      return;
    }
    if (message.body.t === "error" && message.body.code === "rate_limited" && pending.retries < MAX_RETRIES) {
      pending.retries += 1;
      setTimeout(() => this.#push(pending.priority, pending.payload), message.body.retry_ms ?? DEFAULT_RETRY_MS);
      return;
    }
    clearTimeout(pending.timer);
    this.#pending.delete(message.re);
    if (message.body.t === "error") pending.reject(new Refused(message.body.code));
    else pending.resolve(message.body);
  }

  #markReceived(): void {
    this.#lastReceived = performance.now();
  }

  #ping(): void {
    if (performance.now() - this.#lastReceived > SILENCE_TIMEOUT_MS) {
      this.#socket.close();
      this.#end(CloseCode.Abnormal);
      return;
    }
    this.send({ t: "ping", ms: Math.round(performance.now()) }, Priority.Control, "ping");
  }

  #end(code: number): void {
    if (this.#closed) return;
    this.#dispose(new TacetError("server-unreachable"));
    this.#listener.closed(code);
  }

  #dispose(error: TacetError): void {
    this.#closed = true;
    clearTimeout(this.#sendTimer);
    clearInterval(this.#pingTimer);
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    this.#pending.clear();
  }
}

/** Rejects messages for which the server would close the connection. */
function checkSize(payload: Payload): void {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload).length : payload.length;
  if (bytes > MAX_MESSAGE_BYTES) throw new TacetError("message-too-large");
}

interface ServerText {
  readonly re: number | undefined;
  readonly body: ServerMessage;
}

/**
 * Parses a text message. Returns `null` unless it is an object with a type. Messages of unknown type are passed on; the
 * listener ignores them.
 */
function parseText(text: string): ServerText | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("t" in value) || typeof value.t !== "string") return null;
    const re = "re" in value && typeof value.re === "number" ? value.re : undefined;
    return { re, body: value as ServerMessage };
  } catch {
    return null;
  }
}

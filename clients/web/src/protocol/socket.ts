// The signaling connection: requests with answers, events, and one outbox that keeps inside the server's limits.

import { TacetError } from "../errors.ts";
import { frameBinary, parseBinary, type ServerBinary } from "./binary.ts";
import { type ClientMessage, type ErrorCode, MAX_MESSAGE_BYTES, type ServerMessage, SUBPROTOCOL } from "./generated.ts";
import { Outbox, type Payload, Priority } from "./outbox.ts";

/** How long an answer may take. */
const ANSWER_TIMEOUT_MS = 10_000;
/** How often the connection is tested, and how long silence may last before it counts as dead. */
const PING_INTERVAL_MS = 10_000;
const DEAD_AFTER_MS = 25_000;
/** How often a request that met the rate limit is sent again. */
const MOST_RETRIES = 3;

/** The part of `WebSocket` that is used, so that tests can be the server. */
export type WebSocketLike = Pick<WebSocket, "send" | "close" | "readyState" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

/** What the owner of a socket is told. */
export interface SocketListener {
  /** A message that answers no request. */
  message(message: ServerMessage): void;
  /** A binary message. */
  binary(message: ServerBinary): void;
  /** The connection is over, whoever ended it. Called once. */
  closed(code: number): void;
}

/** A request that the server refused. */
export class Refused extends TacetError {
  readonly reason: ErrorCode;

  constructor(reason: ErrorCode) {
    super("protocol", `The server refused a request (${reason}).`);
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
  #lastHeard = performance.now();
  #nextId = 1;
  #over = false;

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
      this.#heard();
      this.#pingTimer = setInterval(() => this.#watch(), PING_INTERVAL_MS);
      this.#flush();
    };
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = (event) => this.#end(event.code);
  }

  /**
   * Sends a request and waits for its answer. One that meets the rate limit is sent again by itself.
   *
   * @throws {Refused} if the server refuses it; {TacetError} `server-unreachable` if no answer comes, or
   * `message-too-large`.
   */
  request(message: ClientMessage, priority: Priority = Priority.Control): Promise<ServerMessage> {
    if (this.#over) return Promise.reject(new TacetError("server-unreachable"));
    const id = this.#nextId++;
    const payload = JSON.stringify({ ...message, id });
    checkSize(payload);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new TacetError("server-unreachable", "The server does not answer."));
      }, ANSWER_TIMEOUT_MS);
      this.#pending.set(id, { payload, priority, retries: 0, timer, resolve, reject });
      this.#push(priority, payload);
    });
  }

  /** Sends a message whose answer does not matter. `object` names what it is the state of: the latest wins. */
  send(message: ClientMessage, priority: Priority = Priority.Control, object?: string): void {
    const payload = JSON.stringify(message);
    checkSize(payload);
    this.#push(priority, payload, object);
  }

  /** Sends key traffic. */
  sendBinary(type: number, body: Uint8Array): void {
    const payload = frameBinary(type, this.#nextId++, body);
    checkSize(payload);
    this.#push(Priority.Keys, payload);
  }

  /** Says goodbye, if that is possible at once, and closes. `closed` is not called. */
  close(): void {
    if (this.#over) return;
    try {
      if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ t: "leave" }));
      this.#socket.close(1000);
    } catch {
      // A socket that is closing by itself is as good as closed.
    }
    this.#dispose(new TacetError("ended"));
  }

  #push(priority: Priority, payload: Payload, object?: string): void {
    if (this.#over) return;
    this.#outbox.push(priority, payload, object);
    this.#flush();
  }

  #flush(): void {
    if (this.#over || this.#socket.readyState !== WebSocket.OPEN) return;
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
    this.#heard();
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
    if (message.body.t === "error" && message.body.code === "rate_limited" && pending.retries < MOST_RETRIES) {
      pending.retries += 1;
      setTimeout(() => this.#push(pending.priority, pending.payload), message.body.retry_ms ?? 1_000);
      return;
    }
    clearTimeout(pending.timer);
    this.#pending.delete(message.re);
    if (message.body.t === "error") pending.reject(new Refused(message.body.code));
    else pending.resolve(message.body);
  }

  #heard(): void {
    this.#lastHeard = performance.now();
  }

  #watch(): void {
    if (performance.now() - this.#lastHeard > DEAD_AFTER_MS) {
      this.#socket.close();
      this.#end(1006);
      return;
    }
    this.send({ t: "ping", ms: Math.round(performance.now()) }, Priority.Control, "ping");
  }

  #end(code: number): void {
    if (this.#over) return;
    this.#dispose(new TacetError("server-unreachable"));
    this.#listener.closed(code);
  }

  #dispose(error: TacetError): void {
    this.#over = true;
    clearTimeout(this.#sendTimer);
    clearInterval(this.#pingTimer);
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    this.#pending.clear();
  }
}

/** Refuses what the server would close the connection for. */
function checkSize(payload: Payload): void {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload).length : payload.length;
  if (bytes > MAX_MESSAGE_BYTES) throw new TacetError("message-too-large");
}

interface ServerText {
  readonly re: number | undefined;
  readonly body: ServerMessage;
}

/**
 * Reads a text frame; `null` if it is not an object with a type. What the type is, and whether the client knows it,
 * the listener decides: unknown types are ignored there.
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

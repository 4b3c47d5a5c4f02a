// One WebSocket to the signaling server: the outbox that keeps within the server's rate limit, and the pings that detect
// a connection that is dead although nothing has closed it.

import { TacetError } from "../errors.ts";
import type { Allowances } from "./allowances.ts";
import { parseBinary, type ServerBinary } from "./binary.ts";
import { type ClientMessage, MAX_MESSAGE_BYTES, type ServerMessage, SUBPROTOCOL } from "./generated.ts";
import { Outbox, type Payload, Priority, type Waiting } from "./outbox.ts";
import { CloseCode } from "./refusal.ts";

const PING_INTERVAL_MS = 10_000;
/** How long the server may be silent after a ping before the connection counts as dead. */
const PONG_TIMEOUT_MS = 5_000;
/** The same after a probe, which is sent when the connection is under suspicion. */
const PROBE_TIMEOUT_MS = 3_000;
/** A timer that is late by this much ran on a device that slept, and says nothing about the server. */
const SLEPT_MS = 2_000;

/** The members of `WebSocket` that are used. Tests implement them. */
export type WebSocketLike = Pick<WebSocket, "send" | "close" | "readyState" | "binaryType"> & {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
};

/** Opens a `WebSocket`. */
export type OpenWebSocket = (url: string, protocol: string) => WebSocketLike;

/** A text message of the server. */
export interface ServerText {
  /** The server's sequence number; 0 if the message has none. */
  readonly seq: number;
  /** Number of the request that it answers. */
  readonly re: number | undefined;
  readonly body: ServerMessage;
}

/** Notifications to the owner of a socket. */
export interface SocketListener {
  text(message: ServerText): void;
  binary(message: ServerBinary): void;
  /** The connection was closed or lost, with a WebSocket close code. Called at most once. */
  closed(code: number): void;
}

/** One connection. */
export class Socket {
  readonly #listener: SocketListener;
  readonly #outbox: Outbox;
  readonly #socket: WebSocketLike;
  #sendTimer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setInterval> | undefined;
  #pongTimer: ReturnType<typeof setTimeout> | undefined;
  /** When the server last sent anything. */
  #lastReceived = performance.now();
  #closed = false;

  /**
   * @param server origin of the server, `http:` or `https:`
   * @param allowances what the session may still send
   */
  constructor(
    server: string,
    listener: SocketListener,
    allowances: Allowances,
    open: OpenWebSocket = (url, protocol) => new WebSocket(url, protocol),
  ) {
    this.#listener = listener;
    this.#outbox = new Outbox(allowances);
    const url = new URL("/v1/ws", server);
    url.protocol = url.protocol === "http:" ? "ws:" : "wss:";
    this.#socket = open(url.href, SUBPROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => {
      this.#lastReceived = performance.now();
      this.#pingTimer = setInterval(() => this.#ping(PONG_TIMEOUT_MS), PING_INTERVAL_MS);
      this.#flush();
    };
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = (event) => this.#end(event.code);
  }

  /**
   * Queues a message. A later one for the same `object` replaces it while it waits.
   *
   * @throws {TacetError} `message-too-large`
   */
  send(message: ClientMessage & { id?: number }, priority: Priority = Priority.Control, object?: string): void {
    const payload = JSON.stringify(message);
    checkSize(payload);
    this.push({ type: message.t, payload, priority, object });
  }

  /** Queues a message that was written before. */
  push(message: Waiting): void {
    if (this.#closed) return;
    this.#outbox.push(message);
    this.#flush();
  }

  /** Sends a message past the queue, because no time may be left: the page is going away. */
  sendNow(message: ClientMessage): void {
    if (this.#closed || this.#socket.readyState !== WebSocket.OPEN) return;
    try {
      this.#socket.send(JSON.stringify(message));
    } catch {
      // The socket is already closing.
    }
  }

  /** Asks the server for a sign of life, because the connection may be dead. Without one, it is `closed` soon. */
  probe(): void {
    this.#ping(PROBE_TIMEOUT_MS);
  }

  /** Closes the socket. `closed` is not called. */
  close(): void {
    if (this.#closed) return;
    this.#dispose();
    try {
      this.#socket.close(CloseCode.Normal);
    } catch {
      // The socket is already closing.
    }
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
    if (this.#closed) return;
    this.#lastReceived = performance.now();
    if (data instanceof ArrayBuffer) {
      const message = parseBinary(data);
      if (message !== null) this.#listener.binary(message);
      return;
    }
    const message = typeof data === "string" ? parseText(data) : null;
    if (message !== null) this.#listener.text(message);
  }

  #ping(timeout: number): void {
    if (this.#closed || this.#socket.readyState !== WebSocket.OPEN) return;
    const sent = performance.now();
    this.send({ t: "ping", ms: Math.round(sent) }, Priority.Control, "ping");
    clearTimeout(this.#pongTimer);
    this.#pongTimer = setTimeout(() => {
      if (this.#lastReceived >= sent) return;
      if (performance.now() - sent > timeout + SLEPT_MS) this.#ping(timeout);
      else this.#abandon();
    }, timeout);
  }

  #abandon(): void {
    const socket = this.#socket;
    this.#end(CloseCode.Abnormal);
    socket.close();
  }

  #end(code: number): void {
    if (this.#closed) return;
    this.#dispose();
    this.#listener.closed(code);
  }

  #dispose(): void {
    this.#closed = true;
    clearTimeout(this.#sendTimer);
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
  }
}

/** Rejects messages for which the server would close the connection. */
export function checkSize(payload: Payload): void {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload).length : payload.length;
  if (bytes > MAX_MESSAGE_BYTES) throw new TacetError("message-too-large");
}

/**
 * Parses a text message. Returns `null` unless it is an object with a type. Messages of unknown type are passed on; the
 * listener ignores them.
 */
function parseText(text: string): ServerText | null {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("t" in value) || typeof value.t !== "string") return null;
    const seq = "seq" in value && typeof value.seq === "number" ? value.seq : 0;
    const re = "re" in value && typeof value.re === "number" ? value.re : undefined;
    return { seq, re, body: value as ServerMessage };
  } catch {
    return null;
  }
}

// The server's end of a WebSocket, for tests.

import type { ServerMessage } from "../src/protocol/generated.ts";
import type { WebSocketLike } from "../src/protocol/socket.ts";

type BinaryType = "blob" | "arraybuffer";

/** A message of the client: parsed, or bytes. */
export type Sent = Record<string, unknown> | Uint8Array;

/** A socket whose other end is the test. */
export class FakeSocket implements WebSocketLike {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static readonly CLOSED = 3;
  /** All sockets that were opened, oldest first. */
  static all: FakeSocket[] = [];

  readonly url: string;
  readonly protocol: string;
  binaryType: BinaryType = "blob";
  readyState: WebSocket["readyState"] = FakeSocket.CONNECTING;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  readonly sent: Sent[] = [];
  #seq = 0;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (last === undefined) throw new Error("no socket was opened");
    return last;
  }

  send(data: unknown): void {
    this.sent.push(typeof data === "string" ? JSON.parse(data) : (data as Uint8Array));
  }

  close(): void {
    this.readyState = FakeSocket.CLOSED;
  }

  open(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.({} as Event);
  }

  /** Delivers text, or a message with the next number unless it has one. */
  deliver(message: string | (ServerMessage & { seq?: number; re?: unknown }) | ArrayBuffer): void {
    let data: unknown = message;
    if (typeof message === "object" && !(message instanceof ArrayBuffer)) {
      const { seq = this.#seq + 1 } = message;
      this.#seq = seq;
      data = JSON.stringify({ ...message, seq });
    }
    this.onmessage?.({ data } as MessageEvent);
  }

  drop(code = 1006): void {
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.({ code } as CloseEvent);
  }

  /** Types of the text messages that were sent. */
  get types(): unknown[] {
    return this.sent.map((message) => (message instanceof Uint8Array ? `binary ${message[0]}` : message.t));
  }

  /** Returns the first message of this type that was sent. */
  find(t: string): Record<string, unknown> | undefined {
    return this.sent.find((message) => !(message instanceof Uint8Array) && message.t === t) as
      | Record<string, unknown>
      | undefined;
  }
}

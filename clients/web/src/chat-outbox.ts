// Own chat messages, from the moment that they are written until the server has accepted them.
//
// The session in the worker seals each one once there is a key, and again on the next link if this one ends before that.
// The server and the others recognise a message that comes twice.

import { CHAT_ID_BYTES, type ChatKind, chatContent, chatId, kindOfId } from "./chat.ts";
import { TacetError } from "./errors.ts";
import { Refused } from "./protocol/refusal.ts";
import type { Signaling } from "./protocol/signaling.ts";
import { chatAnsweredEvent, type SessionEvent, sendChatEvent } from "./worker/event.ts";

/** Delay before a message is sent again that the server did not answer. */
const RETRY_MS = 2_000;
/** Maximum number of messages that wait: the session takes no more. */
const MAX_WAITING = 64;

interface Waiting {
  sealed: Uint8Array | null;
  /** Whether its answer is awaited. */
  sent: boolean;
  resolve(): void;
  reject(error: TacetError): void;
}

/** Own messages that the server has not answered. */
export class ChatOutbox {
  readonly #signaling: Signaling;
  readonly #tell: (event: SessionEvent) => void;
  /** By number. */
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #over: TacetError | null = null;

  /** @param tell passes an event to the session */
  constructor(signaling: Signaling, tell: (event: SessionEvent) => void) {
    this.#signaling = signaling;
    this.#tell = tell;
  }

  /**
   * Says something. Resolves when the server has accepted it.
   *
   * @throws {TacetError} `message-too-large` if it is empty or too long; `server-busy` if too many wait or it is refused; why
   * the session is over if it ends before
   */
  async say(kind: ChatKind, text: string): Promise<void> {
    const content = chatContent(kind, text);
    if (this.#over !== null) throw this.#over;
    if (this.#waiting.size >= MAX_WAITING) throw new TacetError("server-busy");
    this.#last += 1;
    const number = this.#last;
    const accepted = new Promise<void>((resolve, reject) => {
      this.#waiting.set(number, { sealed: null, sent: false, resolve, reject });
    });
    this.#tell(sendChatEvent(chatId(kind, number), content));
    await accepted;
  }

  /** The session has sealed a message for the present link. */
  sealed(id: Uint8Array, sealed: Uint8Array): void {
    const number = numberOf(id);
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    waiting.sealed = new Uint8Array([...id, ...sealed]);
    this.#send(number);
  }

  /** The session is over. */
  end(error: TacetError): void {
    this.#over ??= error;
    for (const waiting of this.#waiting.values()) waiting.reject(this.#over);
    this.#waiting.clear();
  }

  #send(number: number): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined || waiting.sealed === null || waiting.sent) return;
    const body = waiting.sealed;
    const id = body.subarray(0, CHAT_ID_BYTES);
    waiting.sent = true;
    this.#signaling.sendChat(kindOfId(id), body).then(
      () => {
        this.#settle(number, id);
        waiting.resolve();
      },
      (error: unknown) => {
        waiting.sent = false;
        if (error instanceof Refused && error.reason !== "rate_limited") {
          this.#settle(number, id);
          waiting.reject(error);
        } else {
          // On the next link the session seals it again. On this one, it can only be sent again.
          setTimeout(() => this.#send(number), RETRY_MS);
        }
      },
    );
  }

  #settle(number: number, id: Uint8Array): void {
    this.#waiting.delete(number);
    this.#tell(chatAnsweredEvent(id));
  }
}

function numberOf(id: Uint8Array): number {
  const view = new DataView(id.buffer, id.byteOffset, id.byteLength);
  return Number(BigInt.asUintN(56, view.getBigUint64(0)));
}

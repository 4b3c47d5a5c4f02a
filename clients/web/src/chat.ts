// What participants say without voice: its limits, and its form in the events and actions of the session.

import { TacetError } from "./errors.ts";
import { MAX_REACTION_BYTES, MAX_TEXT_BYTES } from "./protocol/generated.ts";

/** Bytes of the id of a chat message: its kind, and a number. */
export const CHAT_ID_BYTES = 8;

/** What kind of chat message it is. */
export type ChatKind = "text" | "reaction";

/** What a participant says. */
export interface ChatContent {
  readonly kind: ChatKind;
  /**
   * Without control characters but line feeds and tabs, and without characters that reorder the text around it. To be shown as
   * text, isolated from what is around it (`<bdi>`).
   */
  readonly text: string;
}

/** First byte of the ids of this kind, which the server sees. */
const KINDS = { text: 0, reaction: 1 } as const satisfies Record<ChatKind, number>;
/** Content type inside the seal. */
const TYPES = { text: 1, reaction: 2 } as const satisfies Record<ChatKind, number>;
const MAX_BYTES = { text: MAX_TEXT_BYTES, reaction: MAX_REACTION_BYTES } as const;

/** Returns the id of a message. */
export function chatId(kind: ChatKind, number: number): Uint8Array<ArrayBuffer> {
  const id = new Uint8Array(CHAT_ID_BYTES);
  new DataView(id.buffer).setBigUint64(0, BigInt(number));
  id[0] = KINDS[kind];
  return id;
}

/** Returns the kind of an id. */
export function kindOfId(id: Uint8Array): ChatKind {
  return id[0] === KINDS.reaction ? "reaction" : "text";
}

/**
 * Returns a content as the session takes it: `type1 text`.
 *
 * @throws {TacetError} `message-too-large` if it is empty or too long
 */
export function chatContent(kind: ChatKind, text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text.replaceAll("\0", ""));
  const most = MAX_BYTES[kind];
  if (bytes.length === 0 || bytes.length > most) {
    throw new TacetError("message-too-large", `A ${kind} has 1 to ${most} bytes.`);
  }
  const content = new Uint8Array(1 + bytes.length);
  content[0] = TYPES[kind];
  content.set(bytes, 1);
  return content;
}

/** Reads `type1 text`. */
export function readChatContent(content: Uint8Array): ChatContent {
  const kind = content[0] === TYPES.reaction ? "reaction" : "text";
  return { kind, text: new TextDecoder().decode(content.subarray(1)) };
}

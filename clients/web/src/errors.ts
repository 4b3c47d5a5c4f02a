// Errors of the SDK, classified by what the user can do about them. A `message` is a sentence for the user; it never
// contains a secret, an address or anything that another participant sent.

/** What went wrong. */
export type TacetErrorCode =
  /** The link is not a complete room link. */
  | "bad-link"
  /** The browser lacks an API that encryption needs. No device was opened. */
  | "unsupported-browser"
  /** The server cannot be reached, or the connection to it was lost. */
  | "server-unreachable"
  /** The server rejected the link's credential: the link is wrong, or belongs to another server. */
  | "access-refused"
  /** The room does not exist, or no longer exists. */
  | "no-room"
  /** The room is full. */
  | "room-full"
  /** Only the operator of this server can create rooms. */
  | "rooms-closed"
  /** The server rejected a request, or sent a response that the protocol does not allow. */
  | "protocol"
  /** A message is larger than the server accepts; it was not sent. */
  | "message-too-large"
  /** Keys could not be made or exchanged. */
  | "encryption"
  /** A frame bypassed its transform; the track was stopped. */
  | "transform-bypassed"
  /** The media path to the server failed. */
  | "media-path"
  /** The camera or microphone cannot be used. */
  | "device"
  /** The call has ended. */
  | "ended";

const MESSAGES: Record<TacetErrorCode, string> = {
  "bad-link": "This is not a complete room link.",
  "unsupported-browser":
    "This browser can't encrypt calls: it lacks RTCRtpScriptTransform. Use a current version of Chrome, Chromium, Edge or Firefox.",
  "server-unreachable": "The server can't be reached. It may be down, or this device may be offline.",
  "access-refused": "The server did not accept this link. Check that you copied all of it and that it is still valid.",
  "no-room": "This room does not exist, or no longer exists.",
  "room-full": "This room is full.",
  "rooms-closed": "Only the operator of this server can create rooms.",
  protocol: "The server sent an unexpected response.",
  "message-too-large": "The message is too large to send.",
  encryption: "Encryption could not be set up.",
  "transform-bypassed": "The browser sent or played media without encryption, so it was stopped.",
  "media-path": "The audio and video connection to the server failed. A firewall may be blocking UDP.",
  device: "The device can't be used.",
  ended: "The call has ended.",
};

/** An error of the SDK. */
export class TacetError extends Error {
  override readonly name = "TacetError";
  readonly code: TacetErrorCode;

  constructor(code: TacetErrorCode, message: string = MESSAGES[code], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Returns a `TacetError` as it is, and wraps any other thrown value in one with this code. */
export function asTacetError(thrown: unknown, code: TacetErrorCode): TacetError {
  return thrown instanceof TacetError ? thrown : new TacetError(code, MESSAGES[code], { cause: thrown });
}

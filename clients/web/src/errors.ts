// Errors of the SDK, by what whoever sees them can do about it. `message` is a sentence for people; it never holds a
// secret, an address or anything that another participant sent.

/** What went wrong. */
export type TacetErrorCode =
  /** The link is not a room link. */
  | "bad-link"
  /** The browser lacks what encryption needs; no device was touched. */
  | "unsupported-browser"
  /** The server cannot be reached, or the connection to it broke. */
  | "server-unreachable"
  /** The server does not let this link in: it is wrong, or from another server. */
  | "access-refused"
  /** There is no such room (any more). */
  | "no-room"
  /** The room is full. */
  | "room-full"
  /** This server does not let visitors make rooms. */
  | "rooms-closed"
  /** The server refused a request, or answered something that the protocol does not allow. */
  | "protocol"
  /** A message is larger than the server accepts; it was not sent. */
  | "message-too-large"
  /** Keys cannot be made or exchanged. */
  | "encryption"
  /** A frame reached or left the browser without passing the transform; the track was silenced. */
  | "transform-bypassed"
  /** The browser's media path to the server failed. */
  | "media-path"
  /** Camera or microphone cannot be used. */
  | "device"
  /** The call has ended, or was left. */
  | "ended";

const SENTENCES: Record<TacetErrorCode, string> = {
  "bad-link": "This is not a complete room link.",
  "unsupported-browser":
    "This browser cannot encrypt calls (it lacks RTCRtpScriptTransform). Use a current Chromium, Chrome, Edge or Firefox.",
  "server-unreachable": "The server cannot be reached.",
  "access-refused": "The server does not accept this link. Check that it was copied whole, and that it is still valid.",
  "no-room": "This room does not exist, or exists no longer.",
  "room-full": "This room is full.",
  "rooms-closed": "This server does not let visitors make rooms.",
  protocol: "The server answered something unexpected.",
  "message-too-large": "The message is too large to be sent.",
  encryption: "Encryption could not be set up.",
  "transform-bypassed": "Media passed without encryption and was silenced.",
  "media-path": "No media connection to the server. A firewall may block UDP.",
  device: "The device cannot be used.",
  ended: "The call has ended.",
};

/** An error of the SDK. */
export class TacetError extends Error {
  override readonly name = "TacetError";
  readonly code: TacetErrorCode;

  constructor(code: TacetErrorCode, message: string = SENTENCES[code], options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Any thrown value as a `TacetError`, keeping the cause. */
export function asTacetError(thrown: unknown, code: TacetErrorCode): TacetError {
  return thrown instanceof TacetError ? thrown : new TacetError(code, SENTENCES[code], { cause: thrown });
}

// Errors of the SDK, classified by what the user can do about them. A `message` is a sentence for the user; it never
// contains a secret, an address or anything that another participant sent.

/** What went wrong. */
export type TacetErrorCode =
  /** The link is not a complete room link. */
  | "bad-link"
  /** The browser lacks an API that encryption needs. No device was opened. */
  | "unsupported-browser"
  /** This device is not connected to a network. */
  | "offline"
  /** The server cannot be reached, or the connection to it was lost. */
  | "server-unreachable"
  /** The server is reachable, but has no capacity left or is restarting. */
  | "server-busy"
  /** The server rejected the link's credential: the link is wrong, or belongs to another server. */
  | "access-refused"
  /** The room does not exist, or no longer exists. */
  | "no-room"
  /** The room is full. */
  | "room-full"
  /** The room is locked: newcomers are not let in. */
  | "room-locked"
  /** The participant may not do this in this room. */
  | "not-allowed"
  /** Only the operator of this server can create rooms. */
  | "rooms-closed"
  /** The participant was removed from the call. */
  | "removed"
  /** The call goes on in another tab or window of this browser. */
  | "moved"
  /** The server rejected a request, or sent a response that the protocol does not allow. */
  | "protocol"
  /** The server sent connection parameters that must not be used. They were not. */
  | "server-violation"
  /** A message is larger than the server accepts; it was not sent. */
  | "message-too-large"
  /** Keys could not be made or exchanged, or the worker that holds them crashed. */
  | "encryption"
  /** A frame bypassed its transform; the track was stopped. */
  | "transform-bypassed"
  /** The media path to the server failed. */
  | "media-path"
  /** The camera or microphone cannot be used. */
  | "device"
  /** The clock of this device is wrong, so that the others refuse its keys. */
  | "clock-skew"
  /** This device slept, or its clock was changed, so its keys were erased. */
  | "device-slept"
  /** The call has ended, or joining was given up. */
  | "ended";

/** What can be done about an error. */
export type Remedy =
  /** It passes: the SDK tries again by itself during a call, and the user can try again before one. */
  | "wait"
  /** Connect this device to a network. */
  | "check-network"
  /** Ask for a new or complete link. */
  | "check-link"
  /** Allow or connect the camera or microphone. */
  | "check-device"
  /** Set this device's clock. */
  | "set-clock"
  /** Use another browser, or a newer version. */
  | "change-browser"
  /** Nothing. */
  | "none";

interface Explanation {
  readonly message: string;
  readonly remedy: Remedy;
}

const EXPLANATIONS: Readonly<Record<TacetErrorCode, Explanation>> = {
  "bad-link": { message: "This is not a complete room link.", remedy: "check-link" },
  "unsupported-browser": {
    message:
      "This browser can't encrypt calls: it lacks RTCRtpScriptTransform. Use a current version of Chrome, Chromium, Edge or Firefox.",
    remedy: "change-browser",
  },
  offline: { message: "This device is offline.", remedy: "check-network" },
  "server-unreachable": {
    message: "The server can't be reached. It may be down, or this device's network may be.",
    remedy: "wait",
  },
  "server-busy": { message: "The server is busy or restarting.", remedy: "wait" },
  "access-refused": {
    message: "The server did not accept this link. Check that you copied all of it and that it is still valid.",
    remedy: "check-link",
  },
  "no-room": { message: "This room does not exist, or no longer exists.", remedy: "check-link" },
  "room-full": { message: "This room is full.", remedy: "wait" },
  "room-locked": { message: "This room is locked. Ask someone in it to unlock it.", remedy: "wait" },
  "not-allowed": { message: "You may not do this in this room.", remedy: "none" },
  "rooms-closed": { message: "Only the operator of this server can create rooms.", remedy: "none" },
  removed: { message: "You were removed from the call.", remedy: "none" },
  moved: { message: "The call was moved to another tab or window.", remedy: "none" },
  protocol: { message: "The server sent an unexpected response.", remedy: "wait" },
  "server-violation": { message: "The server sent connection parameters that must not be used.", remedy: "none" },
  "message-too-large": { message: "The message is too large to send.", remedy: "none" },
  encryption: { message: "Encryption could not be set up.", remedy: "wait" },
  "transform-bypassed": {
    message: "The browser sent or played media without encryption, so it was stopped.",
    remedy: "change-browser",
  },
  "media-path": {
    message: "Audio and video can't reach the server. A firewall may be blocking UDP.",
    remedy: "check-network",
  },
  device: { message: "The device can't be used.", remedy: "check-device" },
  "clock-skew": {
    message: "This device's clock is wrong, so the others would refuse its encryption keys.",
    remedy: "set-clock",
  },
  "device-slept": { message: "This device slept or its clock changed.", remedy: "wait" },
  ended: { message: "The call has ended.", remedy: "none" },
};

/** An error of the SDK. */
export class TacetError extends Error {
  override readonly name = "TacetError";
  readonly code: TacetErrorCode;

  constructor(code: TacetErrorCode, message: string = EXPLANATIONS[code].message, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** What can be done about it. */
  get remedy(): Remedy {
    return EXPLANATIONS[this.code].remedy;
  }
}

/** The clock of this device differs from the server's by more than keys allow. */
export class ClockSkewError extends TacetError {
  /** Minutes by which this device's clock is ahead of the server's; negative if it is behind. */
  readonly minutes: number;

  constructor(minutes: number) {
    const distance = Math.abs(minutes);
    const unit = distance === 1 ? "minute" : "minutes";
    super(
      "clock-skew",
      `This device's clock is ${distance} ${unit} ${minutes > 0 ? "ahead" : "behind"}. The others can't accept its encryption keys until it is set right.`,
    );
    this.minutes = minutes;
  }
}

/** Returns a `TacetError` as it is, and wraps any other thrown value in one with this code. */
export function asTacetError(thrown: unknown, code: TacetErrorCode): TacetError {
  return thrown instanceof TacetError ? thrown : new TacetError(code, undefined, { cause: thrown });
}

/** Returns the error for a server that cannot be reached, which is `offline` if the browser knows of no network. */
export function unreachable(message?: string): TacetError {
  return globalThis.navigator?.onLine === false
    ? new TacetError("offline")
    : new TacetError("server-unreachable", message);
}

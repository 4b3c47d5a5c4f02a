// Sentences about faults. The SDK reports codes; what to say to a person is decided here, in one place.

import type { Downlink, Problem, TacetError, VideoLayer } from "../index.ts";

/** Returns a name as part of a sentence, whose direction of writing it must not change. */
export function isolated(name: string): string {
  return `\u2068${name}\u2069`;
}

/** How many names a sentence lists. */
const LISTED_NAMES = 3;

/** Returns what to say of participants who joined or left at about the same time. */
export function movementSentence(what: "joined" | "left", names: readonly string[]): string {
  if (names.length > LISTED_NAMES) return `${people(names.length)} ${what}`;
  return `${new Intl.ListFormat("en").format(names.map(isolated))} ${what}`;
}

/** Why this device is cut off. */
export type LossCause = "offline" | "server-unreachable" | "signaling" | "media-blocked" | "media" | "slept" | "code";

const LOSS: Readonly<Record<LossCause, string>> = {
  offline: "You're offline.",
  "server-unreachable": "The server can't be reached.",
  signaling: "The connection to the server is interrupted.",
  "media-blocked": "Audio and video can't get through. A firewall or VPN may be blocking UDP on this network.",
  media: "Audio and video are interrupted.",
  slept: "This device slept.",
  code: "The encryption code stopped on this device.",
};

/** Returns the sentence for the cause of a loss. */
export function lossSentence(cause: LossCause): string {
  return LOSS[cause];
}

const JOIN: Partial<Record<TacetError["code"], string>> = {
  offline: "You're offline.",
  "server-unreachable": "Cannot reach the server.",
  "server-busy": "The server has too many connections just now, from this network or in all.",
};

/** Returns the sentence for what keeps a person from joining. */
export function joinSentence({ code, message }: TacetError): string {
  return JOIN[code] ?? message;
}

/** What does not arrive of a participant. */
export interface Missing {
  /** Whether its frames arrive and cannot be decrypted. */
  readonly keys?: boolean;
  readonly away: boolean;
  readonly video: boolean;
  readonly audio: boolean;
  /** Why the server sends none of its video, if so. */
  readonly paused?: VideoLayer["reason"] | null;
  /** Whether its video is on, and left out because too many are viewed. */
  readonly leftOut?: boolean;
}

/** Returns what to write over a participant's tile, or `null` if all arrives that should. */
export function missingNote({
  keys = false,
  away,
  video,
  audio,
  paused = null,
  leftOut = false,
}: Missing): string | null {
  if (away) return "Reconnecting";
  if (keys) return "Can't be decrypted yet";
  if (video && audio) return "No video or audio arrives";
  if (video || paused === "sender") return "Video stopped";
  if (paused === "network") return "Video paused: your network is slow";
  if (paused === "server") return "Video paused: the server is busy";
  if (paused === "bandwidth") return "Video paused: low bandwidth";
  if (audio) return "No audio arrives";
  return leftOut ? "Video not shown: too many at once" : null;
}

/** Returns the layer of a video in a few letters, for developers: lines, temporal layer, and what it was chosen by. */
export function layerNote({ height, temporal, reason }: VideoLayer): string {
  const parts = [height === null ? "–" : `${height}p`, ...(temporal === null ? [] : [`T${temporal}`]), reason];
  return parts.join(" ");
}

/** Returns what the server knows of the path to this device, for developers: estimate, wish, queue and cause. */
export function downlinkNote({ kbps, wanted_kbps: wanted, queue_ms: queue, cause }: Downlink): string {
  const mbps = (rate: number): string => (rate / 1_000).toFixed(1);
  return `${mbps(kbps)} of ${mbps(wanted)} Mbit/s · ${queue} ms · ${cause.replaceAll("_", " ")}`;
}

/** Numbers of people other than this device's user. */
export interface Presence {
  /** Those whose frames arrive, or who send none. */
  readonly here: number;
  readonly away: number;
  /** Those who should be seen or heard and are not. */
  readonly silent: number;
}

/** Returns what the encryption badge says. It claims protection only for those who are there to be protected. */
export function protectionSentence({ here, away, silent }: Presence): string {
  if (away === 0 && silent === 0) return "End-to-end encrypted";
  const missing = [
    ...(away === 0 ? [] : [`${away} reconnecting`]),
    ...(silent === 0 ? [] : [`${silent} not arriving`]),
  ];
  const covered = here === 0 ? "" : `${people(here)} protected`;
  return [...(covered === "" ? [] : [covered]), ...missing].join(", ");
}

/** Returns a duration as a person says it. */
export function duration(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes === 0) return plural(Math.max(1, Math.round(milliseconds / 1_000)), "second");
  const hours = Math.floor(minutes / 60);
  if (hours === 0) return plural(minutes, "minute");
  const rest = minutes % 60;
  return rest === 0 ? plural(hours, "hour") : `${plural(hours, "hour")} ${plural(rest, "minute")}`;
}

/** Smallest difference of clocks that is mentioned. The others refuse announces that are ten minutes off. */
const SHOWN_SKEW_MS = 9 * 60_000;

/**
 * Returns what to say about this device's clock, or `null` if it is right enough. `ahead` is by how many milliseconds it
 * is ahead of the server's.
 */
export function clockSentence(ahead: number): string | null {
  if (Math.abs(ahead) < SHOWN_SKEW_MS) return null;
  const direction = ahead > 0 ? "fast" : "slow";
  return `This device's clock is ${duration(Math.abs(ahead))} ${direction}. Set it right, or the others may not see or hear you.`;
}

const PROBLEMS: Readonly<Record<Problem["code"], (name: string) => string>> = {
  "announce-refused": () => "Someone tried to join without proof of the room's secret and was kept out.",
  "keys-refused": (name) => `Keys of ${name} that were not made for this call arrived and were rejected.`,
  "clock-skew": (name) =>
    `The clock of ${name} is off by more than ten minutes. They are left out of the call until it is corrected.`,
  equivocation: (name) =>
    `The device of ${name} sent different keys to different people. Its audio and video are not played.`,
  "roster-differs": (name) =>
    `The device of ${name} sees other people in this call than yours does: the server shows you different calls, or holds something back. Compare the call code.`,
  "key-missing": (name) =>
    `The key to the audio and video of ${name} has not come, although it was asked for. They can't be decrypted until it does.`,
  "chat-refused": (name) => `A chat message under the name of ${name} could not be verified and is not shown.`,
  "encryption-stopped": () =>
    "Encryption stopped on this device. Nothing was sent or played meanwhile, and the call goes on with new keys.",
  "transform-bypassed": () => "This browser let media bypass encryption, so it was stopped. Update the browser.",
  unknown: () => "Some of your audio or video could not be sent.",
};

/** Returns what to say about a problem with encryption. `name` is that of the participant concerned, if it is known. */
export function problemSentence({ code, participant, minutes = 0 }: Problem, name: string | undefined): string {
  const own = code === "clock-skew" && participant === null ? clockSentence(minutes * 60_000) : null;
  return own ?? PROBLEMS[code](name === undefined ? "someone" : isolated(name));
}

function people(count: number): string {
  return count === 1 ? "1 person" : `${count} people`;
}

function plural(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

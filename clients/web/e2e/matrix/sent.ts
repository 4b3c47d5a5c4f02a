// What the sender of a row sends, and how its encoder ends the largest size.

import type { Participant } from "../participant.ts";
import { until } from "../until.ts";

declare global {
  interface Window {
    matrixPeer?: RTCPeerConnection;
    /** How often the sender changed its encodings. */
    matrixChanges?: number;
  }
}

/** Rates in kbit/s. */
export interface Sent {
  readonly largest: number;
  readonly all: number;
}

/** From when on the largest encoding was sent no more, on the clock of the test, and what was sent before and after. */
export interface Fall {
  readonly at: number;
  readonly before: Sent;
  readonly after: Sent;
}

/** Part of the largest encoding that may still be sent when it counts as sent no more. */
export const REST = 0.1;
/** Over which rates are taken. */
const RATE_MS = 2_000;
/** For how long only a rest must have been sent. */
const QUIET_MS = 1_000;
/** Less than any encoder needs for three sizes, and enough for two. */
const TWO_SIZES_BPS = 300_000;

/** Follows what a participant sends, from before it joins. */
export async function followSender({ page }: Participant): Promise<void> {
  await page.evaluate(() => {
    const { setParameters } = RTCRtpSender.prototype;
    RTCRtpSender.prototype.setParameters = function (...parameters) {
      window.matrixChanges = (window.matrixChanges ?? 0) + 1;
      return setParameters.apply(this, parameters);
    };
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        window.matrixPeer = this;
      }
    };
  });
}

/** Lets the encoder of a participant's camera end its largest size: an encoding, or the highest spatial layer of the only one. */
export async function endLargest({ page }: Participant): Promise<void> {
  await page.evaluate(async (bitrate) => {
    const sender = window.matrixPeer?.getSenders().find(({ track }) => track?.kind === "video");
    const parameters = sender?.getParameters();
    const largest = parameters?.encodings.at(-1);
    if (sender === undefined || parameters === undefined || largest === undefined) throw new Error("no video is sent");
    if (parameters.encodings.length > 1) largest.active = false;
    else largest.maxBitrate = bitrate;
    await sender.setParameters(parameters);
  }, TWO_SIZES_BPS);
}

interface Bytes extends Sent {
  readonly at: number;
  readonly changes: number;
}

/** Bytes that were sent so far. */
async function sentBytes({ page }: Participant): Promise<Bytes> {
  const bytes = await page.evaluate(async () => {
    const stats = [...((await window.testCall?.stats())?.values() ?? [])];
    const sent = stats.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
    const sum = (encodings: typeof sent): number =>
      encodings.reduce((total, { bytesSent = 0 }) => total + bytesSent, 0);
    const largest = sum(sent.filter(({ rid }) => rid === "f"));
    return { largest, all: sum(sent), changes: window.matrixChanges ?? 0 };
  });
  return { ...bytes, at: performance.now() };
}

function rates(from: Bytes, to: Bytes): Sent {
  const rate = (bytes: number): number => Math.round((bytes * 8) / (to.at - from.at));
  return { largest: rate(to.largest - from.largest), all: rate(to.all - from.all) };
}

/** Returns what a participant sends from now on. */
export async function sent(participant: Participant): Promise<Sent> {
  const before = await sentBytes(participant);
  await participant.page.evaluate((time) => new Promise((resolve) => setTimeout(resolve, time)), RATE_MS);
  return rates(before, await sentBytes(participant));
}

/** Waits until the sender changes its encodings, and sends only a rest of the largest one: encoders pause it by themselves, too. */
export async function fall(participant: Participant, before: Sent): Promise<Fall> {
  const seen: Bytes[] = [];
  let at = 0;
  await until("the largest encoding is sent no more", async () => {
    const now = await sentBytes(participant);
    seen.push(now);
    const from = seen.findLast((one) => one.at <= now.at - QUIET_MS);
    if (from === undefined || from.changes === seen[0]?.changes) return "it has not changed";
    const { largest } = rates(from, now);
    at = from.at;
    return largest <= REST * before.largest || `${largest} of ${before.largest} kb/s`;
  });
  // The end of an encoding costs key frames of the others.
  return { at, before, after: await sent(participant) };
}

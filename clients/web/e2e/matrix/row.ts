// One row of the browser matrix: one browser sends a sealed camera in several sizes, another receives it and changes the size
// of what it shows. Every switch is measured beside a control, in which the same receiver changes nothing.

import type { Browser } from "puppeteer-core";
import type { VideoLayer } from "../../src/index.ts";
import type { Codec } from "../../src/protocol/generated.ts";
import { joinWithCanvas } from "../canvas-camera.ts";
import { Participant } from "../participant.ts";
import { until } from "../until.ts";
import { endLargest, type Fall, fall, followSender, sent } from "./sent.ts";

export type BrowserName = "Chromium" | "Firefox";

/** How the sizes are sent: as encodings with RIDs, or as the spatial layers of one encoding (L3T3_KEY). */
export type Sizes = "RIDs" | "L3T3_KEY";

export interface Row {
  readonly codec: Exclude<Codec, "opus">;
  readonly sizes: Sizes;
  readonly sender: BrowserName;
  readonly receiver: BrowserName;
}

/** What browsers count. */
interface Counters {
  readonly nacks: number;
  readonly keyFrames: number;
  /** Key frames that the sender was asked for. */
  readonly requests: number;
  /** How often the sender changed its encodings, each of which makes a key frame of all. */
  readonly changes: number;
  readonly decoded: number;
  /** Complete frames that the server forwarded. */
  readonly received: number;
}

/** What was seen from a change of the tile until it had shown enough frames of the size. */
export interface Measured extends Counters {
  /** From the change to the first frame of the size; 0 of the control. */
  readonly tookMs: number;
  /** Longest time without a new frame. */
  readonly gapMs: number;
  /** What the layer was chosen by at the end, as the server says. */
  readonly reason: string | undefined;
  /** How much less the sender sends, where that was waited for. */
  readonly fell?: Fall;
}

/** A server whose receivers get what they wish, whatever is estimated of a path: that has tests for itself. */
export const BY_WISH = { more: ["--adapt-video=false"] } as const;

/** Lines of the three sizes. */
export const LINES = { small: 180, middle: 360, large: 720 } as const;
/** Frames a second: what an encoder of three AV1 layers keeps up with on two cores beside the rest of the call. */
const FRAMES_PER_SECOND = 10;
/** Frames after which a measurement ends. */
const FRAMES = 25;

declare global {
  interface Window {
    /** The frames that the tile has shown: when, on the page's clock, and their lines. */
    matrixFrames?: { at: number; lines: number }[];
    /** Shows the sender's camera in a tile of this height in device pixels from now on. */
    matrixShow?: (height: number) => void;
  }
}

/** The two participants of a row. */
export class Pair {
  private constructor(
    private readonly sender: Participant,
    private readonly receiver: Participant,
  ) {}

  /** Joins both, the receiver with a tile of this many lines, and waits until it is shown. */
  static async join(
    browsers: (name: BrowserName) => Browser,
    link: string,
    row: Row,
    lines: number = LINES.large,
  ): Promise<Pair> {
    const home = new URL("/", link).href;
    const sender = await Participant.open(browsers(row.sender), home, "Ada", "window");
    const receiver = await Participant.open(browsers(row.receiver), home, "Bo", "window");
    const pair = new Pair(sender, receiver);
    await pair.#joinSender(link, row);
    await pair.#joinReceiver(link);
    await pair.measure(lines);
    return pair;
  }

  async leave(): Promise<void> {
    for (const { page } of [this.sender, this.receiver]) {
      await page.evaluate(() => window.testCall?.leave());
      await page.browserContext().close();
    }
  }

  async #joinSender(link: string, { codec, sizes }: Row): Promise<void> {
    await followSender(this.sender);
    const options = { link, videoCodec: codec, spatialLayers: sizes === "L3T3_KEY" };
    await joinWithCanvas(this.sender, options, FRAMES_PER_SECOND);
  }

  async #joinReceiver(link: string): Promise<void> {
    const { page } = this.receiver;
    await page.evaluate(async (target) => {
      if (window.tacetSdk === undefined) throw new Error("no SDK");
      const call = await window.tacetSdk.Call.join({ link: target, name: "Bo", viewedOnly: true });
      const [tile, frames] = [document.createElement("video"), [] as { at: number; lines: number }[]];
      tile.muted = true;
      tile.autoplay = true;
      document.body.append(tile);
      call.on("trackAdded", ({ source, track }) => {
        if (source === "camera") tile.srcObject = new MediaStream([track]);
      });
      const note = (): void => {
        frames.push({ at: performance.now(), lines: tile.videoHeight });
        tile.requestVideoFrameCallback(note);
      };
      tile.requestVideoFrameCallback(note);
      let view: { close(): void } | undefined;
      window.matrixShow = (height) => {
        const [ada] = call.participants;
        if (ada === undefined) throw new Error("no one to show");
        const before = view;
        view = call.view({ participant: ada.id, source: "camera", shown: height });
        before?.close();
      };
      window.testCall = call;
      window.matrixFrames = frames;
    }, link);
    await until("the receiver sees the sender", () =>
      page.evaluate(() => (window.testCall?.participants.length ?? 0) > 0),
    );
  }

  /** Shows the video in this many lines from now on. Returns when, on the page's clock. */
  async show(lines: number): Promise<number> {
    return this.receiver.page.evaluate((height) => {
      window.matrixShow?.(height);
      return performance.now();
    }, lines);
  }

  /** Shows the video in this many lines from now on, and measures until enough frames of them were shown. */
  async measure(lines: number): Promise<Measured> {
    const before = await this.#counters();
    const since = await this.show(lines);
    return this.#measureFrom(before, since, lines);
  }

  /** Changes nothing, and measures for as many frames. */
  async control(lines: number): Promise<Measured> {
    const before = await this.#counters();
    const since = await this.receiver.page.evaluate(() => performance.now());
    return { ...(await this.#measureFrom(before, since, lines)), tookMs: 0 };
  }

  /** Shows the smallest size, and measures until the largest encoding, which no one shows then, is sent no more. */
  async unwanted(): Promise<Measured> {
    const wanted = await sent(this.sender);
    const [before, start] = [await this.#counters(), performance.now()];
    const since = await this.show(LINES.small);
    const fell = await fall(this.sender, wanted);
    const measured = await this.#measureFrom(before, since, LINES.small);
    return { ...measured, tookMs: Math.round(fell.at - start), fell };
  }

  /** Lets the encoder end its largest size, as one does that lacks bandwidth, and measures until the next lower one is shown. */
  async withoutLargest(): Promise<Measured> {
    const before = await this.#counters();
    const since = await this.receiver.page.evaluate(() => performance.now());
    await endLargest(this.sender);
    return this.#measureFrom(before, since, LINES.middle);
  }

  async #measureFrom(before: Counters, since: number, lines: number): Promise<Measured> {
    const { page } = this.receiver;
    let frames: { at: number; lines: number }[] = [];
    await until(`frames of ${lines} lines`, async () => {
      frames = await page.evaluate(() => window.matrixFrames ?? []);
      const shown = frames.filter((frame) => frame.at > since && frame.lines === lines).length;
      return shown >= FRAMES || JSON.stringify({ shown, last: frames.at(-1), layer: await this.#layer() });
    });
    const reason = (await this.#layer())?.reason;
    const after = await this.#counters();
    const later = frames.filter(({ at }) => at > since);
    const first = later.find((frame) => frame.lines === lines)?.at ?? Number.POSITIVE_INFINITY;
    const times = [...frames.filter(({ at }) => at <= since).slice(-1), ...later].map(({ at }) => at);
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
    return {
      tookMs: Math.round(first - since),
      gapMs: Math.round(Math.max(0, ...gaps)),
      reason,
      nacks: after.nacks - before.nacks,
      keyFrames: after.keyFrames - before.keyFrames,
      requests: after.requests - before.requests,
      changes: after.changes - before.changes,
      decoded: after.decoded - before.decoded,
      received: after.received - before.received,
    };
  }

  /** Returns the encodings of the sender; the height is 0 before the first frame. */
  async encodings(): Promise<{ rid: string | undefined; active: boolean; mode: string | undefined; height: number }[]> {
    return this.sender.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      const sent = stats.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
      return sent.map(({ rid, active = true, scalabilityMode, frameHeight = 0 }) => ({
        rid,
        active,
        mode: scalabilityMode,
        height: frameHeight,
      }));
    });
  }

  /** Frames that the receiver could not open, by reason. */
  async openFailures(): Promise<Record<string, number>> {
    return this.receiver.openFailures();
  }

  async #layer(): Promise<VideoLayer | null | undefined> {
    return this.receiver.page.evaluate(() => {
      const [ada] = window.testCall?.participants ?? [];
      return ada === undefined ? null : window.testCall?.layer(ada.id, "camera");
    });
  }

  async #counters(): Promise<Counters> {
    const sent = await this.sender.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      const outbound = stats.filter(({ type, kind }) => type === "outbound-rtp" && kind === "video");
      const requests = outbound.reduce((sum, { pliCount = 0, firCount = 0 }) => sum + pliCount + firCount, 0);
      return { requests, changes: window.matrixChanges ?? 0 };
    });
    const received = await this.receiver.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      const inbound = stats.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video");
      const sum = (member: string): number => inbound.reduce((total, one) => total + (one[member] ?? 0), 0);
      return {
        nacks: sum("nackCount"),
        keyFrames: sum("keyFramesDecoded"),
        decoded: sum("framesDecoded"),
        received: sum("framesReceived"),
      };
    });
    return { ...received, ...sent };
  }
}

/** Returns whether a browser can send, or receive, a codec. */
export async function handles(browser: Browser, direction: "send" | "receive", codec: string): Promise<boolean> {
  const page = await browser.newPage();
  const codecs = await page.evaluate((way) => {
    const media = way === "send" ? RTCRtpSender : RTCRtpReceiver;
    return (media.getCapabilities("video")?.codecs ?? []).map(({ mimeType }) => mimeType.toLowerCase());
  }, direction);
  await page.close();
  return codecs.includes(`video/${codec}`);
}

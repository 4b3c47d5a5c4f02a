import type { Browser, Page } from "puppeteer-core";
import type { Call, JoinOptions, Problem } from "../src/index.ts";
import { until } from "./until.ts";

declare global {
  interface Window {
    /** The SDK, as the call page exposes it. */
    readonly tacetSdk: typeof import("../src/index.ts");
    /** The test's own call. */
    testCall?: Call;
    testProblems?: Problem[];
    testGenerations?: number[];
  }
}

/** What a test's participant sends: the fake devices, one tone, or nothing. */
export interface Sending {
  readonly devices?: boolean;
  readonly tone?: number;
}

/** How much of one remote track has been decoded: video frames or audio samples, by `name/source`. */
export type Progress = Record<string, number>;

/** A page in which the SDK joins a call. */
export class Participant {
  private constructor(
    readonly name: string,
    readonly page: Page,
  ) {}

  /** Opens a page of the server, in which the SDK is loaded but nothing is joined. */
  static async open(browser: Browser, url: string, name: string): Promise<Participant> {
    const page = await browser.newPage();
    await page.goto(url, { waitUntil: "load" });
    await page.waitForFunction(() => window.tacetSdk !== undefined);
    return new Participant(name, page);
  }

  /** Opens a page and joins. */
  static async join(browser: Browser, link: string, name: string, sending: Sending): Promise<Participant> {
    const participant = await Participant.open(browser, new URL("/", link).href, name);
    await participant.join({ link, name }, sending);
    return participant;
  }

  /** Joins a call; rejects with the SDK's message if that fails. */
  async join(target: Pick<JoinOptions, "name"> & ({ link: string } | Lock), sending: Sending): Promise<void> {
    await this.page.evaluate(
      async (options, { devices = false, tone }) => {
        let audio: MediaStreamTrack | boolean = devices;
        if (tone !== undefined) {
          const context = new AudioContext({ sampleRate: 48_000 });
          await context.resume();
          const oscillator = new OscillatorNode(context, { frequency: tone });
          const output = context.createMediaStreamDestination();
          oscillator.connect(output);
          oscillator.start();
          audio = output.stream.getAudioTracks()[0] ?? false;
        }
        const { access, ...rest } = { access: undefined, ...options };
        const call = await window.tacetSdk.Call.join({
          ...rest,
          audio,
          video: devices,
          ...(access === undefined ? {} : { access: new Uint8Array(access) }),
        });
        window.testCall = call;
        window.testProblems = [];
        window.testGenerations = [];
        call.on("problem", (problem) => window.testProblems?.push(problem));
        call.on("generation", ({ generation }) => window.testGenerations?.push(generation));
      },
      target,
      sending,
    );
  }

  /** Leaves the call as a user would. */
  async leave(): Promise<void> {
    await this.page.evaluate(() => window.testCall?.leave());
  }

  /** Names of the others whose announces were verified. */
  async others(): Promise<string[]> {
    return this.page.evaluate(() => (window.testCall?.participants ?? []).map(({ name }) => name).sort());
  }

  /** Problems told so far. */
  async problems(): Promise<string[]> {
    return this.page.evaluate(() => (window.testProblems ?? []).map(({ code }) => String(code)));
  }

  /** The newest generation of one's own key. */
  async generation(): Promise<number> {
    return this.page.evaluate(() => window.testGenerations?.at(-1) ?? -1);
  }

  /** What has been decoded of each remote track. */
  async progress(): Promise<Progress> {
    return this.page.evaluate(async () => {
      const call = window.testCall;
      const progress: Record<string, number> = {};
      if (call === undefined) return progress;
      const names = new Map(call.participants.map(({ id, name }) => [id, name]));
      const stats = [...(await call.stats()).values()];
      for (const { participant, source, track } of call.tracks) {
        const inbound = stats.find((entry) => entry.type === "inbound-rtp" && entry.trackIdentifier === track.id);
        const decoded = source === "mic" ? inbound?.jitterBufferEmittedCount : inbound?.framesDecoded;
        progress[`${names.get(participant)}/${source}`] = decoded ?? 0;
      }
      return progress;
    });
  }

  /** Frames that all receiving transforms have opened. */
  async opened(): Promise<number> {
    return this.page.evaluate(async () => {
      const counters = (await window.testCall?.counters()) ?? [];
      return counters.filter(({ role }) => role === "open").reduce((sum, { framesOut }) => sum + framesOut, 0);
    });
  }

  /** RTP packets that this page has sent. */
  async packetsSent(): Promise<number> {
    return this.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      return stats
        .filter(({ type }) => type === "outbound-rtp")
        .reduce((sum, { packetsSent = 0 }) => sum + packetsSent, 0);
    });
  }

  /** SRTP profile of the connection, as Chromium names it. */
  async srtpCipher(): Promise<string | undefined> {
    return this.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      return stats.find(({ type }) => type === "transport")?.srtpCipher;
    });
  }

  /** Waits until each of these tracks (`name/source`) has been decoded further than it was. */
  async decodesMore(tracks: string[], steps = 3): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      const before = await this.progress();
      await until(`${this.name} decodes ${tracks.join(", ")}`, async () => {
        const now = await this.progress();
        return tracks.every((track) => (now[track] ?? 0) > (before[track] ?? 0)) || JSON.stringify(now);
      });
    }
  }
}

/** A room by its parts, with an access token that need not belong to the secret. */
export interface Lock {
  readonly server: string;
  readonly room: string;
  readonly secret: string;
  /** As numbers, since it crosses into the page. */
  readonly access?: number[];
}

import { mkdir } from "node:fs/promises";
import type { Browser, Page } from "puppeteer-core";
import type { Call, JoinOptions, Problem } from "../src/index.ts";
import type {} from "../src/page/debug.ts";
import { until } from "./until.ts";

const SCREENSHOTS = `${import.meta.dirname}/screenshots`;

declare global {
  interface Window {
    /** The call of the test. The page itself exposes the SDK, and the call that is joined by its form. */
    testCall?: Call;
    testProblems?: Problem[];
    testGenerations?: number[];
    testHistory?: string[];
    /** Descriptions that were negotiated, in tests that keep them. */
    testDescriptions?: string[];
    /** The track behind each `NAME/SOURCE`, what was decoded of it, and of those before it. */
    testDecoded?: Record<string, { track: string; earlier: number; decoded: number }>;
  }
}

/** What a participant sends: the fake devices, a tone of this frequency in Hz, or nothing. */
export interface Sending {
  readonly devices?: boolean;
  readonly tone?: number;
  /** Silence of a microphone that is on. */
  readonly silence?: boolean;
  /** Whether audio is sent at a constant rate. */
  readonly constantAudioRate?: boolean;
  /** Whether it receives no video but what it views. */
  readonly viewedOnly?: boolean;
}

/** What an outage must not cause. */
export interface Changes {
  readonly rotations: number;
  readonly ratchets: number;
  /** Joins and leaves of others. */
  readonly cameAndWent: number;
}

/** Decoded video frames or audio samples of each remote track, by `NAME/SOURCE`. */
export type Progress = Record<string, number>;

/** A participant of a call: a page in which the SDK runs. */
export class Participant {
  constructor(
    readonly name: string,
    readonly page: Page,
  ) {}

  /**
   * Opens a page with separate storage, as in another person's browser: two tabs of one browser would be one person.
   * Questions whether to leave the page are answered with yes.
   */
  static async page(browser: Browser, type: "tab" | "window" = "tab"): Promise<Page> {
    const page = await (await browser.createBrowserContext()).newPage({ type });
    page.on("dialog", (dialog) => void dialog.accept());
    return page;
  }

  /**
   * Opens a page of the server in which the SDK is loaded, without joining a call. Of several tabs in one window only the last
   * one is visible, and Firefox hardly draws in the others.
   */
  static async open(browser: Browser, url: string, name: string, type: "tab" | "window" = "tab"): Promise<Participant> {
    const page = await Participant.page(browser, type);
    await page.goto(url, { waitUntil: "load" });
    await page.waitForFunction(() => window.tacetSdk !== undefined);
    return new Participant(name, page);
  }

  /** Joins as a user does: opens the link, enters a name, presses the button. Sends the fake devices. */
  static async joinByPage(browser: Browser, link: string, name: string): Promise<Participant> {
    return Participant.joinIn(await Participant.page(browser), link, name);
  }

  /** Joins as a user does, in a page that is open already. */
  static async joinIn(page: Page, link: string, name: string): Promise<Participant> {
    await page.goto(link, { waitUntil: "load" });
    await page.waitForSelector("video");
    return Participant.joinHere(page, name);
  }

  /** Joins as a user does, from the screen before joining. */
  static async joinHere(page: Page, name: string): Promise<Participant> {
    const participant = new Participant(name, page);
    await page.locator("[data-testid=name]").fill(name);
    await page.locator("[data-testid=join]").click();
    await participant.entered();
    return participant;
  }

  /** Waits until the page is in a call. */
  async entered(): Promise<void> {
    await this.page.waitForFunction(() => window.tacet !== undefined, {
      timeout: 60_000,
    });
    await this.observe();
  }

  /** Opens a page and joins through the SDK. */
  static async join(browser: Browser, link: string, name: string, sending: Sending): Promise<Participant> {
    const participant = await Participant.open(browser, new URL("/", link).href, name);
    await participant.join({ link, name }, sending);
    return participant;
  }

  /** Joins a call. Rejects with the SDK's message if that fails. */
  async join(target: Pick<JoinOptions, "name"> & ({ link: string } | RoomParts), sending: Sending): Promise<void> {
    await this.page.evaluate(
      async (options, { devices = false, tone, silence = false, constantAudioRate = false, viewedOnly = false }) => {
        let audio: MediaStreamTrack | boolean = devices;
        if (tone !== undefined || silence) {
          const context = new AudioContext({ sampleRate: 48_000 });
          await context.resume();
          const oscillator = new OscillatorNode(context, { frequency: tone ?? 0 });
          const output = context.createMediaStreamDestination();
          oscillator.connect(output);
          oscillator.start();
          audio = output.stream.getAudioTracks()[0] ?? false;
        }
        const { guestAccess, ...rest } = { guestAccess: undefined, ...options };
        if (window.tacetSdk === undefined) throw new Error("the page exposes no SDK");
        const call = await window.tacetSdk.Call.join({
          ...rest,
          constantAudioRate,
          viewedOnly,
          audio,
          video: devices,
          ...(guestAccess === undefined ? {} : { guestAccess: new Uint8Array(guestAccess) }),
        });
        window.testCall = call;
      },
      target,
      sending,
    );
    await this.observe();
  }

  /** Collects the call's events from now on. */
  private async observe(): Promise<void> {
    await this.page.evaluate(() => {
      const call = window.testCall ?? window.tacet?.call;
      if (call === undefined) throw new Error("there is no call");
      window.testCall = call;
      const problems: Problem[] = [];
      const generations: number[] = [];
      const history: string[] = [];
      window.testProblems = problems;
      window.testHistory = history;
      window.testGenerations = generations;
      call.on("problem", (problem) => problems.push(problem));
      call.on("participantJoined", ({ name }) => history.push(`${name} joined`));
      call.on("participantLeft", ({ name }) => history.push(`${name} left`));
      call.on("participantChanged", ({ name, presence }) => history.push(`${name} ${presence}`));
      call.on("generation", ({ generation }) => generations.push(generation));
    });
  }

  /** Leaves the call. */
  async leave(): Promise<void> {
    await this.page.evaluate(() => window.testCall?.leave());
  }

  /** Returns the names of the other verified participants, sorted. */
  async others(): Promise<string[]> {
    return this.page.evaluate(() => (window.testCall?.participants ?? []).map(({ name }) => name).sort());
  }

  /** Returns this device's participant id. */
  async id(): Promise<number | null> {
    return this.page.evaluate(() => window.testCall?.self ?? null);
  }

  /** Returns the other participants' ids by name. */
  async ids(): Promise<Record<string, number>> {
    return this.page.evaluate(() =>
      Object.fromEntries((window.testCall?.participants ?? []).map(({ id, name }) => [name, id])),
    );
  }

  /** Returns whether another participant is `present`, `away` or, if there is none of this name, `gone`. */
  async presence(name: string): Promise<string> {
    return this.page.evaluate(
      (wanted) => window.testCall?.participants.find((one) => one.name === wanted)?.presence ?? "gone",
      name,
    );
  }

  /** Waits until another participant is `present`, `away` or `gone`. */
  async sees(name: string, presence: "present" | "away" | "gone"): Promise<void> {
    await until(`${this.name} sees ${name} ${presence}`, async () => {
      const seen = await this.presence(name);
      return seen === presence || seen;
    });
  }

  /** Returns what the page says, as a person reads it. */
  async text(): Promise<string> {
    return this.page.evaluate(() => document.body.innerText);
  }

  /** Waits until the page says this. */
  async says(text: RegExp): Promise<void> {
    await until(`${this.name} reads ${text}`, async () => {
      const said = await this.text();
      return text.test(said) || said;
    });
  }

  /** Returns what happened to the other participants since they were first observed: `Bo joined`, `left`, `away` or `present`. */
  async history(): Promise<string[]> {
    return this.page.evaluate(() => [...(window.testHistory ?? [])]);
  }

  /** Returns the call code, as it is read aloud: of the dialog if it is open, else of the SDK. */
  async callCode(): Promise<string> {
    return this.page.evaluate(() => {
      const groups = [...document.querySelectorAll("dialog[open] [data-testid=call-code] [aria-hidden=true]")];
      const shown = groups.map((group) => group.textContent);
      return (groups.length > 0 ? shown : (window.testCall?.callCode?.groups ?? [])).join(" ");
    });
  }

  /** Returns the codes of the problems so far. */
  async problems(): Promise<string[]> {
    return this.page.evaluate(() => (window.testProblems ?? []).map(({ code }) => String(code)));
  }

  /** Returns the latest generation of this device's session key, or -1 if there is none yet. */
  async generation(): Promise<number> {
    return this.page.evaluate(() => window.testGenerations?.at(-1) ?? -1);
  }

  /** Returns the numbers of rotations and ratchets of this device's key, and of others that left and joined. */
  async changes(): Promise<Changes> {
    const keys = await this.page.evaluate(() => window.tacet?.keyChanges);
    const came = (await this.history()).filter((line) => /(joined|left)$/.test(line));
    return { rotations: keys?.rotations ?? 0, ratchets: keys?.ratchets ?? 0, cameAndWent: came.length };
  }

  /** Waits until audio of each of these participants is decoded again. */
  async hears(...names: string[]): Promise<void> {
    await this.decodesMore(
      names.map((name) => `${name}/microphone`),
      1,
    );
  }

  /** Presses a button of the page, by its test id. */
  async press(testId: string): Promise<void> {
    await this.page.locator(`[data-testid=${testId}]`).click();
  }

  /** Returns what has been decoded of each remote track, added up over tracks that replaced one another. */
  async progress(): Promise<Progress> {
    const { present } = await this.decoded();
    return present;
  }

  /** Returns what has been decoded of the tracks that are there, and of all that ever were. */
  private async decoded(): Promise<{ present: Progress; all: Progress }> {
    return this.page.evaluate(async () => {
      const call = window.testCall;
      const present: Record<string, number> = {};
      window.testDecoded ??= {};
      if (call === undefined) return { present, all: {} };
      const names = new Map(call.participants.map(({ id, name }) => [id, name]));
      const stats = [...(await call.stats()).values()];
      for (const { participant, source, track } of call.tracks) {
        const inbound = stats.find((entry) => entry.type === "inbound-rtp" && entry.trackIdentifier === track.id);
        const counted = source === "microphone" ? inbound?.jitterBufferEmittedCount : inbound?.framesDecoded;
        const key = `${names.get(participant)}/${source}`;
        const known = window.testDecoded[key] ?? { track: track.id, earlier: 0, decoded: 0 };
        const same = known.track === track.id;
        const earlier = same ? known.earlier : known.earlier + known.decoded;
        const decoded = counted ?? (same ? known.decoded : 0);
        window.testDecoded[key] = { track: track.id, earlier, decoded };
        present[key] = earlier + decoded;
      }
      const tracks = Object.entries(window.testDecoded);
      return { present, all: Object.fromEntries(tracks.map(([key, one]) => [key, one.earlier + one.decoded])) };
    });
  }

  /** Returns the number of frames that the receiving transforms opened. */
  async opened(): Promise<number> {
    return this.page.evaluate(async () => {
      const counters = (await window.testCall?.counters()) ?? [];
      return counters.filter(({ role }) => role === "open").reduce((sum, { framesOut }) => sum + framesOut, 0);
    });
  }

  /** Returns the number of frames that the receiving transforms dropped, by reason. */
  async openFailures(): Promise<Record<string, number>> {
    return this.page.evaluate(async () => {
      const sum: Record<string, number> = {};
      for (const { role, failures } of (await window.testCall?.counters()) ?? []) {
        if (role !== "open") continue;
        for (const [reason, frames] of Object.entries(failures)) sum[reason] = (sum[reason] ?? 0) + frames;
      }
      return sum;
    });
  }

  /** Returns the number of RTP packets that this page retransmitted. */
  async retransmitted(): Promise<number> {
    return this.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      return stats
        .filter(({ type }) => type === "outbound-rtp")
        .reduce((sum, { retransmittedPacketsSent = 0 }) => sum + retransmittedPacketsSent, 0);
    });
  }

  /** Returns the SRTP profile of the connection, as Chromium names it. */
  async srtpCipher(): Promise<string | undefined> {
    return this.page.evaluate(async () => {
      const stats = [...((await window.testCall?.stats())?.values() ?? [])];
      return stats.find(({ type }) => type === "transport")?.srtpCipher;
    });
  }

  /** Saves a screenshot of the page at this size. */
  async screenshot(name: string, size: { width: number; height: number }): Promise<void> {
    await mkdir(SCREENSHOTS, { recursive: true });
    await this.page.setViewport(size);
    await this.page.bringToFront();
    await this.page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
  }

  /** Waits until a remote video on the page has this many lines. Returns how long that took in milliseconds. */
  async showsVideoOf(least: number, most = least): Promise<number> {
    const start = performance.now();
    await this.page.waitForFunction(
      (from, to) =>
        [...document.querySelectorAll<HTMLVideoElement>("[data-kind=other] video")].some(
          ({ videoHeight: lines }) => lines >= from && lines <= to,
        ),
      { polling: "raf", timeout: 60_000 },
      least,
      most,
    );
    return performance.now() - start;
  }

  /** Waits until the decoding of each of these tracks (`NAME/SOURCE`) has progressed this many times. */
  async decodesMore(tracks: string[], steps = 3): Promise<void> {
    for (let step = 0; step < steps; step += 1) {
      // A track that is being replaced is absent for a moment, and goes on from where it was.
      const { all: before } = await this.decoded();
      await until(`${this.name} decodes ${tracks.join(", ")}`, async () => {
        const { all: now } = await this.decoded();
        return tracks.every((track) => (now[track] ?? 0) > (before[track] ?? 0)) || JSON.stringify(now);
      });
    }
  }
}

/** The parts of a room link, with a guest access that need not belong to the secret. */
export interface RoomParts {
  readonly server: string;
  readonly room: string;
  readonly secret: string;
  /** As an array of numbers, which can be passed into the page. */
  readonly guestAccess?: number[];
}

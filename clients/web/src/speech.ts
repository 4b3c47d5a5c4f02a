// Tells when a person begins and stops to speak, by the level of their microphone: for servers whose table of header
// extensions has no audio level, so that no packet shows how loud it is.

import { type LevelMeter, meter } from "./level.ts";

/** Levels, linear from 0 to 1, at which speech begins and above which it goes on: -45 and -55 dBov, as with the server. */
const BEGINS = 10 ** (-45 / 20);
const GOES_ON = 10 ** (-55 / 20);
/** Speech begins when two of three levels are loud: single clicks are none. */
const OF_LEVELS = 3;
const LOUD_LEVELS = 2;
/** How long it lasts after the last loud moment, so that the server hears of it at most twice a second. */
const LASTS_MS = 1_000;
/** Time between two levels: that of an audio packet. */
const INTERVAL_MS = 20;

/** Detects speech. `now` is a monotonic time in milliseconds. */
export class SpeechDetector {
  #loud: readonly boolean[] = [];
  #lastLoud = 0;
  #speaking = false;

  get speaking(): boolean {
    return this.#speaking;
  }

  /** Takes the next level, linear from 0 to 1. Returns whether speech has begun or ended with it. */
  add(level: number, now: number): boolean {
    const before = this.#speaking;
    this.#loud = [...this.#loud, level >= BEGINS].slice(-OF_LEVELS);
    if (this.#loud.filter(Boolean).length >= LOUD_LEVELS) this.#speaking = true;
    if (level >= (this.#speaking ? GOES_ON : BEGINS)) this.#lastLoud = now;
    if (now - this.#lastLoud >= LASTS_MS) this.#speaking = false;
    return this.#speaking !== before;
  }
}

/** Watches one microphone after the other. */
export class SpeechWatch {
  readonly #say: (speaking: boolean) => void;
  readonly #measure: (media: MediaStreamTrack) => LevelMeter;
  #media: MediaStreamTrack | null = null;
  #detector = new SpeechDetector();
  #meter: LevelMeter | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `say` is called when speech begins and when it ends. */
  constructor(say: (speaking: boolean) => void, measure: (media: MediaStreamTrack) => LevelMeter = meter) {
    this.#say = say;
    this.#measure = measure;
  }

  /** Watches this microphone from now on, or none. */
  follow(media: MediaStreamTrack | null): void {
    if (media === this.#media) return;
    this.stop();
    if (media === null) return;
    this.#media = media;
    try {
      this.#meter = this.#measure(media);
    } catch {
      // A browser that cannot measure says nothing: in large calls this participant is not among the speakers.
      return;
    }
    this.#timer = setInterval(() => {
      if (this.#detector.add(this.#meter?.level() ?? 0, performance.now())) this.#say(this.#detector.speaking);
    }, INTERVAL_MS);
  }

  /** Watches nothing. Speech that goes on has ended. */
  stop(): void {
    clearInterval(this.#timer);
    this.#meter?.stop();
    this.#media = this.#meter = null;
    if (this.#detector.speaking) this.#say(false);
    this.#detector = new SpeechDetector();
  }
}

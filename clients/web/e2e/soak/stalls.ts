// Watches in a page whether the media of others goes on.

import type { Participant } from "../participant.ts";

/** A time without anything new of a track. Milliseconds of the machine's clock. */
export interface Stall {
  /** `NAME/SOURCE`. */
  readonly track: string;
  readonly from: number;
  readonly to: number;
}

declare global {
  interface Window {
    testStalls?: Stall[];
  }
}

/** How often a page looks. */
const LOOK_MS = 250;

/**
 * Watches the tracks of these participants in a page from now on, as long as they are received: audio by the samples that
 * were not made up, video by its frames. Stalls of at least `shortest` milliseconds are kept.
 */
export async function watchStalls({ page }: Participant, names: readonly string[], shortest: number): Promise<void> {
  await page.evaluate(
    (watched, least, every) => {
      const stalls: Stall[] = [];
      window.testStalls = stalls;
      const last = new Map<string, { progress: number; at: number }>();
      const played = new Map<string, HTMLAudioElement>();
      // Chromium decodes the audio of a track only while an element plays it.
      const play = async (track: MediaStreamTrack): Promise<void> => {
        if (played.has(track.id)) return;
        const element = new Audio();
        played.set(track.id, element);
        element.muted = true;
        element.srcObject = new MediaStream([track]);
        await element.play();
      };
      const look = async (): Promise<void> => {
        const call = window.testCall;
        if (call === undefined) return;
        const others = new Map(call.participants.map(({ id, name }) => [id, name]));
        const stats = [...(await call.stats()).values()];
        const now = Date.now();
        for (const { participant, source, track } of call.tracks) {
          const name = others.get(participant) ?? "";
          if (!watched.includes(name)) continue;
          if (track.kind === "audio") await play(track);
          const key = `${name}/${source}`;
          const inbound = stats.find((entry) => entry.type === "inbound-rtp" && entry.trackIdentifier === track.id);
          const { framesDecoded = 0, totalSamplesReceived = 0, concealedSamples = 0 } = inbound ?? {};
          const progress = track.kind === "video" ? framesDecoded : totalSamplesReceived - concealedSamples;
          const paused = source === "camera" && call.layer(participant, source)?.paused === true;
          const before = last.get(key);
          if (before === undefined || paused || progress !== before.progress) {
            if (before !== undefined && !paused && now - before.at >= least) {
              stalls.push({ track: key, from: before.at, to: now });
            }
            last.set(key, { progress, at: now });
          }
        }
      };
      let looking = false;
      setInterval(() => {
        if (looking) return;
        looking = true;
        void look().finally(() => {
          looking = false;
        });
      }, every);
    },
    names,
    shortest,
    LOOK_MS,
  );
}

/** Returns the stalls that a page has seen, and for each watched track how long nothing new has come of it now. */
export async function stalls({ page }: Participant): Promise<readonly Stall[]> {
  return page.evaluate(() => [...(window.testStalls ?? [])]);
}

// Many people with small cameras, and one shared screen, in one page: each has a separate call and receives nothing.

import type { Page } from "puppeteer-core";
import type { Call } from "../../src/index.ts";
import type {} from "../../src/page/debug.ts";

declare global {
  interface Window {
    testCrowd?: Call[];
  }
}

/** Lines of the shared screen. */
export const SCREEN_LINES = 720;

/** Joins `count` people, from a page without a call in which the SDK is loaded; the first one shares a screen. */
export async function joinCrowd(page: Page, link: string, count: number): Promise<void> {
  await page.evaluate(
    async (target, people, lines) => {
      const sdk = window.tacetSdk;
      if (sdk === undefined) throw new Error("no SDK");
      // Text on a page, and something that moves over it.
      const drawing = (width: number, height: number, rate: number): MediaStreamTrack => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [width, height];
        const context = canvas.getContext("2d");
        let frame = 0;
        setInterval(() => {
          frame += 1;
          if (context === null) return;
          context.fillStyle = "#246";
          context.fillRect(0, 0, width, height);
          context.fillStyle = "white";
          context.font = `${Math.round(height / 18)}px sans-serif`;
          for (let row = 1; row < 16; row += 1) {
            context.fillText(`${row} ${"lorem ipsum ".repeat(5)}`, 20, (row * height) / 16);
          }
          context.fillRect((frame * 7) % width, height / 2, height / 16, height / 16);
        }, 1_000 / rate);
        const [track] = canvas.captureStream(rate).getVideoTracks();
        if (track === undefined) throw new Error("no video");
        return track;
      };
      window.testCrowd = [];
      for (let person = 1; person <= people; person += 1) {
        const video = drawing(320, 180, 5);
        const options = { link: target, name: `P${person}`, videoCodec: "vp8", viewedOnly: true, video } as const;
        window.testCrowd.push(await sdk.Call.join(options));
      }
      await window.testCrowd[0]?.publish(drawing((lines * 16) / 9, lines, 5), "screen");
    },
    link,
    count,
    SCREEN_LINES,
  );
}

/** Lets all of them leave. */
export async function leaveCrowd(page: Page): Promise<void> {
  await page.evaluate(async () => {
    await Promise.all((window.testCrowd ?? []).map((call) => call.leave()));
  });
}

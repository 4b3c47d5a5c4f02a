// Chat between browsers, and with the native client: what one writes the others read.

import { afterEach, expect, test } from "vitest";
import type { ChatMessage } from "../src/index.ts";
import { Native } from "./native.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

declare global {
  interface Window {
    /** What the others have said in the test's call. */
    testChat?: ChatMessage[];
  }
}

const scene = Scene.forThisFile();
let native: Native | undefined;

afterEach(async () => {
  await native?.stop();
  native = undefined;
});

/** Joins without sending any media, and keeps what is said. */
async function join(name: "Chromium" | "Firefox"): Promise<Participant> {
  const participant = await Participant.join(scene.browser(name), scene.server.link, name, {});
  await participant.page.evaluate(() => {
    const said: ChatMessage[] = [];
    window.testChat = said;
    window.testCall?.on("chat", (message) => said.push(message));
  });
  return participant;
}

/** What the participant has read, by the sender's name. */
function read(participant: Participant): Promise<string[]> {
  return participant.page.evaluate(() => {
    const name = (id: number): string => window.testCall?.participants.find((one) => one.id === id)?.name ?? "?";
    return (window.testChat ?? []).map(({ participant: id, kind, text }) => `${name(id)} ${kind}: ${text}`);
  });
}

test("what one listener writes is read in both browsers and in the native client", async () => {
  native = Native.start(scene.server);
  const chromium = await join("Chromium");
  const firefox = await join("Firefox");
  for (const page of [chromium, firefox]) {
    await until("both others are there", async () => (await page.others()).length === 2);
  }

  await chromium.page.evaluate(() => window.testCall?.sendChat("Grüße aus\nChromium 👋"));
  await firefox.page.evaluate(() => window.testCall?.react("👍"));
  await until("Firefox reads Chromium's text", async () => {
    const texts = await read(firefox);
    return texts.includes("Chromium text: Grüße aus\nChromium 👋") || texts.join();
  });
  await until("Chromium reads Firefox's reaction", async () => {
    const texts = await read(chromium);
    return texts.includes("Firefox reaction: 👍") || texts.join();
  });
  await until("the native client reads both", () => {
    const chats = native?.events.filter((event) => event.t === "chat") ?? [];
    const texts = chats.map(({ name, kind, text }) => `${name} ${kind}: ${text}`).sort();
    const expected = ["Chromium text: Grüße aus\nChromium 👋", "Firefox reaction: 👍"];
    return Promise.resolve(texts.join() === expected.join() || texts.join());
  });
  expect(await chromium.problems()).toEqual([]);
  expect(await firefox.problems()).toEqual([]);
  await chromium.leave();
  await firefox.leave();
});

test("a late joiner reads the native client's later text and nothing of before", async () => {
  const early = await join("Chromium");
  await early.page.evaluate(() => window.testCall?.sendChat("before"));
  const late = await join("Firefox");
  native = Native.start(scene.server, "--say", "hello from the terminal");
  for (const page of [early, late]) {
    await until("the native client's text is read", async () => {
      const texts = await read(page);
      return texts.join() === "Native text: hello from the terminal" || texts.join();
    });
  }
  const refused = await late.page.evaluate(() =>
    window.testCall?.sendChat("x".repeat(4_097)).then(
      () => "accepted",
      (error: Error & { code?: string }) => error.code,
    ),
  );
  expect(refused).toBe("message-too-large");
  await early.leave();
  await late.leave();
});

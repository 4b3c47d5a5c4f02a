// A server that offers no audio levels: who speaks in a large room is heard all the same, because clients say so.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hears, inSpeakerSlots, joinSilent, SILENT } from "./hall.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

const config = join(mkdtempSync(join(tmpdir(), "tacet-")), "tacet.toml");
writeFileSync(config, "[rooms]\naudio_levels = false\n");
const scene = Scene.forThisFile({ more: ["--config", config] });

/** The header extensions of a participant's microphone, as its browser has negotiated them. */
async function extensions(participant: Participant): Promise<string> {
  return participant.page.evaluate(
    () =>
      (window.testDescriptions ?? [])
        .join()
        .match(/a=extmap:.*/g)
        ?.join() ?? "",
  );
}

/** Keeps the descriptions that a page negotiates from now on. */
async function keepDescriptions({ page }: Participant): Promise<void> {
  await page.evaluate(() => {
    const { setRemoteDescription } = RTCPeerConnection.prototype;
    const kept: string[] = [];
    window.testDescriptions = kept;
    RTCPeerConnection.prototype.setRemoteDescription = function (...[description]: [RTCSessionDescriptionInit]) {
      kept.push(description.sdp ?? "");
      return Reflect.apply(setRemoteDescription, this, [description]);
    };
  });
}

test("speakers of a large room are found although no packet says how loud it is", async () => {
  const { link } = scene.server;
  const listener = await Participant.join(scene.chromium, link, "Listener", { viewedOnly: true });
  const silent = await Participant.open(scene.chromium, new URL("/", link).href, "Silent");
  await joinSilent(silent.page, link);
  const speakers = await Promise.all(
    (
      [
        ["Ada", scene.chromium, 523],
        ["Bo", scene.firefox, 784],
      ] as const
    ).map(async ([name, browser, tone]) => {
      const speaker = await Participant.open(browser, new URL("/", link).href, name);
      await keepDescriptions(speaker);
      await speaker.join({ link, name }, { tone });
      return speaker;
    }),
  );
  await until("the listener knows everyone", async () => {
    const others = await listener.others();
    return others.length === SILENT + 2 || others.join();
  });
  await until("the listener receives speakers", async () => inSpeakerSlots(listener));
  await hears(listener, "Ada", 523);
  await hears(listener, "Bo", 784);
  for (const speaker of speakers) {
    expect(await extensions(speaker)).toContain("sdes:mid");
    expect(await extensions(speaker)).not.toContain("audio-level");
  }
  expect(await listener.problems()).toEqual([]);
  await silent.page.evaluate(() => dispatchEvent(new Event("tacet-test-end")));
  await Promise.all([listener, ...speakers].map((one) => one.leave()));
});

// A room with more open microphones than a listener receives: who speaks is heard, under the right name.

import { expect, test } from "vitest";
import { hears, inSpeakerSlots, joinSilent, SILENT } from "./hall.ts";
import { Participant } from "./participant.ts";
import { Scene } from "./scene.ts";
import { until } from "./until.ts";

const NAMES = ["Chromium", "Firefox"] as const;

const scene = Scene.forThisFile();

test("a participant that speaks among twelve open microphones is heard in both browsers", async () => {
  const { link } = scene.server;
  const listeners = await Promise.all(
    NAMES.map((name) => Participant.join(scene.browser(name), link, name, { viewedOnly: true })),
  );
  const silent = await Participant.open(scene.chromium, new URL("/", link).href, "Silent");
  await joinSilent(silent.page, link);
  const ada = await Participant.join(scene.chromium, link, "Ada", { tone: 523 });
  const bo = await Participant.join(scene.firefox, link, "Bo", { tone: 784 });
  for (const listener of listeners) {
    await until(`${listener.name} knows everyone`, async () => {
      const others = await listener.others();
      return others.length === SILENT + 3 || others.join();
    });
    await until(`${listener.name} receives speakers`, async () => inSpeakerSlots(listener));
    await hears(listener, "Ada", 523);
    await hears(listener, "Bo", 784);
    expect(await listener.problems()).toEqual([]);
  }
  await silent.page.evaluate(() => dispatchEvent(new Event("tacet-test-end")));
  await Promise.all([ada, bo, ...listeners].map((one) => one.leave()));
});

// Reload, a second tab, the back button, an edited address: the place in the call is kept or moved, never lost by
// accident.

import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchChromium, launchFirefox } from "../browser.ts";
import { Participant } from "../participant.ts";
import { Server } from "../server.ts";
import { until } from "../until.ts";
import { CHAOS } from "./extent.ts";

const CHROMIUM = ["Chromium", () => launchChromium()] as const;
const FIREFOX = ["Firefox", () => launchFirefox()] as const;

async function pressed(page: Page, testId: string): Promise<string | null> {
  return page.$eval(`[data-testid=${testId}]`, (button) => button.getAttribute("aria-pressed"));
}

describe.each(CHAOS ? [CHROMIUM, FIREFOX] : [CHROMIUM])("in %s", (_, launch) => {
  let server: Server;
  let browser: Browser;
  let bo: Participant;

  beforeAll(async () => {
    server = await Server.start();
    browser = await launch();
    bo = await Participant.joinByPage(browser, server.link, "Bo");
  });

  afterAll(async () => {
    await bo?.leave();
    await browser?.close();
    await server?.stop();
  });

  test("a reload returns to the same place with the same mute state, and no one is notified", async () => {
    const ada = await Participant.joinByPage(browser, server.link, "Ada");
    await Promise.all([ada.hears("Bo"), bo.hears("Ada")]);
    await ada.press("microphone");
    await until("the microphone is off", async () => (await pressed(ada.page, "microphone")) === "false");
    const before = [await ada.id(), await bo.ids()];
    const seen = await bo.history();

    await ada.page.reload({ waitUntil: "load" });
    await ada.entered();
    await Promise.all([ada.hears("Bo"), bo.decodesMore(["Ada/camera"])]);
    expect([await ada.id(), await bo.ids()]).toEqual(before);
    expect([await pressed(ada.page, "microphone"), await pressed(ada.page, "camera")]).toEqual(["false", "true"]);
    expect((await bo.history()).slice(seen.length)).not.toContain("Ada left");
    await ada.leave();
    await bo.sees("Ada", "gone");
  });

  test("a second tab asks before it takes the call over, and the first says so", async () => {
    const ada = await Participant.joinByPage(browser, server.link, "Ada");
    await bo.sees("Ada", "present");
    const id = await ada.id();
    const seen = await bo.history();

    const tab = await ada.page.browserContext().newPage();
    await tab.goto(server.link, { waitUntil: "load" });
    await tab.waitForFunction(() => /Move the call here\?/.test(document.body.innerText));
    expect(await ada.page.evaluate(() => window.testCall?.state)).toBe("connected");
    await tab.locator("button ::-p-text(Move the call here)").click();
    const moved = new Participant("Ada", tab);
    await moved.entered();
    await ada.says(/The call moved to another tab/);
    await Promise.all([moved.hears("Bo"), bo.hears("Ada")]);
    expect(await moved.id()).toBe(id);
    expect((await bo.history()).slice(seen.length)).not.toContain("Ada left");
    await moved.leave();
    await bo.sees("Ada", "gone");
  });

  test("the back button asks, and an edited address is ignored", async () => {
    const page = await Participant.page(browser);
    await page.goto(new URL("/", server.link).href, { waitUntil: "load" });
    await page.locator("#link").fill(server.link);
    await page.locator("form button").click();
    const ada = await Participant.joinHere(page, "Ada");
    await bo.sees("Ada", "present");

    await page.evaluate(() => {
      location.hash = "#edited";
    });
    await ada.says(/The address was changed back/);
    const address = async (): Promise<string> => page.evaluate(() => location.href);
    await until("the address is back", async () => (await address()) === server.link);

    await page.evaluate(() => history.back());
    await ada.says(/Leave the call\?/);
    expect(await address()).toBe(server.link);
    expect(await page.evaluate(() => window.testCall?.state)).toBe("connected");
    await ada.press("agree");
    await ada.says(/You left the call/);
    await bo.sees("Ada", "gone");

    // Rejoin needs no question: name and devices are known.
    await page.locator("button ::-p-text(Rejoin)").click();
    await bo.sees("Ada", "present");
    await page.close();
  });
});

// The server goes down while a person is at the screen before joining.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, test } from "vitest";
import { launchChromium } from "../browser.ts";
import { Participant } from "../participant.ts";
import { Server } from "../server.ts";

let folder: string;
let server: Server;
let chromium: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tacet-before-"));
  server = await Server.start({ data: join(folder, "data") });
  chromium = await launchChromium();
});

afterAll(async () => {
  await chromium?.close();
  await server?.stop();
  await rm(folder, { recursive: true });
});

test("a click on Join waits for a server that is down, and then joins", async () => {
  const page = await Participant.page(chromium);
  await page.goto(server.link, { waitUntil: "load" });
  await page.waitForSelector("[data-testid=join]:enabled");
  await page.locator("[data-testid=name]").fill("Ada");
  await server.kill();
  await page.locator("[data-testid=join]").click();
  const ada = new Participant("Ada", page);
  await ada.says(/Cannot reach the server/);
  await server.startAgain();
  await ada.entered();
  await ada.leave();
});

test("a link that is opened while the server is down can be joined as soon as it answers", async () => {
  const page = await Participant.page(chromium);
  await page.goto(new URL("/", server.link).href, { waitUntil: "load" });
  await server.kill();
  await page.locator("#link").fill(server.link);
  await page.locator("form button").click();
  const ada = new Participant("Ada", page);
  await ada.says(/Cannot reach the server/);
  await page.waitForSelector("[data-testid=join]:disabled");
  await server.startAgain();
  await page.waitForSelector("[data-testid=join]:enabled");
  await Participant.joinHere(page, "Ada");
  await ada.leave();
});

test("a wrong clock is named before joining, with by how much", async () => {
  const page = await Participant.page(chromium);
  await page.evaluateOnNewDocument(() => {
    const now = Date.now;
    Date.now = () => now() + 20 * 60_000;
  });
  await page.goto(server.link, { waitUntil: "load" });
  await new Participant("Ada", page).says(/This device's clock is 20 minutes fast/);
  await page.waitForSelector("[data-testid=join] ::-p-text(Join anyway)");
  await page.close();
});

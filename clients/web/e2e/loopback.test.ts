// A server as `make run` starts it, on 127.0.0.1, and browsers as installed: Firefox connects to no loopback address.

import { type ChildProcess, spawn } from "node:child_process";
import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll, test } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Participant } from "./participant.ts";
import { binary, firstLine, stop } from "./server.ts";

let server: ChildProcess;
let link: string;
let chromium: Browser;
let firefox: Browser;

beforeAll(async () => {
  const args = ["serve", "--json", "--data", "none", "--port", "0", "--media-port", "0", "--metrics", "off"];
  server = spawn(binary(), args, { stdio: ["ignore", "pipe", "inherit"] });
  ({ link } = await firstLine<{ link: string }>(server));
  [chromium, firefox] = await Promise.all([launchChromium(), launchFirefox()]);
});

afterAll(async () => {
  await Promise.all([chromium?.close(), firefox?.close()]);
  if (server !== undefined) await stop(server);
});

test("Firefox and Chromium meet on a server that listens on loopback", async () => {
  const ada = await Participant.joinByPage(chromium, link, "Ada");
  const bo = await Participant.joinByPage(firefox, link, "Bo");
  await ada.decodesMore(["Bo/microphone", "Bo/camera"]);
  await bo.decodesMore(["Ada/microphone", "Ada/camera"]);
});

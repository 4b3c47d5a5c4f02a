import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";
import type { Island } from "./island.ts";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
];

const FIREFOX_PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "media.gmp-manager.updateEnabled": false,
  // Without it, Web Audio has no clock on machines without a sound card.
  "media.cubeb.force_mock_context": true,
  "app.update.enabled": false,
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "toolkit.telemetry.enabled": false,
};

/** Returns the first of these paths that exists. */
function executable(paths: string[]): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) {
    throw new Error(`none of ${paths.join(", ")} is installed: run \`make setup-browsers\``);
  }
  return found;
}

/** Launches Chromium with fake devices: a test video and beeps. With an island, in its network namespace. */
export async function launchChromium(island?: Island): Promise<Browser> {
  const chromium = executable(["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]);
  return puppeteer.launch({
    browser: "chrome",
    executablePath: island === undefined ? chromium : await island.wrap(chromium),
    // A pipe leads out of a network namespace; a port does not.
    pipe: island !== undefined,
    headless: true,
    acceptInsecureCerts: true,
    args: CHROMIUM_FLAGS,
    defaultViewport: { width: 1280, height: 800 },
  });
}

/** Launches Firefox with fake devices: a test video and a tone. */
export async function launchFirefox(): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: executable(["/usr/bin/firefox-esr", "/usr/bin/firefox"]),
    headless: true,
    acceptInsecureCerts: true,
    extraPrefsFirefox: FIREFOX_PREFERENCES,
    defaultViewport: { width: 1280, height: 800 },
  });
}

// A server, a Chromium and a Firefox, started for the tests of one file.

import type { Browser } from "puppeteer-core";
import { afterAll, beforeAll } from "vitest";
import { launchChromium, launchFirefox } from "./browser.ts";
import { Server, type ServerOptions } from "./server.ts";

/** What is started. */
export class Scene {
  #server: Server | undefined;
  #browsers: readonly Browser[] = [];

  /** Starts everything before the tests of this file, and stops it after them. To be called outside of tests. */
  static forThisFile(options: ServerOptions = {}): Scene {
    const scene = new Scene();
    beforeAll(async () => {
      scene.#server = await Server.start(options);
      scene.#browsers = await Promise.all([launchChromium(), launchFirefox()]);
    });
    afterAll(async () => {
      await Promise.all(scene.#browsers.map((browser) => browser.close()));
      await scene.#server?.stop();
    });
    return scene;
  }

  get server(): Server {
    return started(this.#server);
  }

  get chromium(): Browser {
    return started(this.#browsers[0]);
  }

  get firefox(): Browser {
    return started(this.#browsers[1]);
  }

  /** Returns a browser by its name. */
  browser(name: "Chromium" | "Firefox"): Browser {
    return name === "Chromium" ? this.chromium : this.firefox;
  }
}

function started<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error("server and browsers have not started");
  return thing;
}

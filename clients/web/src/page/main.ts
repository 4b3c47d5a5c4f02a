// The call page: which screen is shown, and what leads from one to the next.

import { Call } from "../call.ts";
import { asTacetError, type TacetError } from "../errors.ts";
import { parseLink } from "../link.ts";
import { assertSupported } from "../support.ts";
import { exposeCall, exposeSdk } from "./debug.ts";
import { home } from "./home.ts";
import { LocalMedia } from "./local-media.ts";
import { message } from "./message.ts";
import { prejoin } from "./prejoin.ts";
import { room } from "./room.ts";
import { show } from "./screen.ts";

const TITLES: Partial<Record<TacetError["code"], string>> = {
  "bad-link": "This link does not work",
  "unsupported-browser": "This browser cannot encrypt calls",
  "access-refused": "This link does not open the room",
  "no-room": "There is no such room",
  "room-full": "The room is full",
  "server-unreachable": "The server cannot be reached",
};

function goHome(): void {
  history.pushState(null, "", "/");
  route();
}

function fail(error: TacetError): void {
  const steps = [
    { label: "Try again", run: route },
    { label: "Start page", run: goHome },
  ];
  show(message(TITLES[error.code] ?? "That did not work", error.message, steps));
}

/** Shows what the address names. */
function route(): void {
  if (location.pathname === "/" || location.pathname === "/index.html") {
    show(
      home((link) => {
        history.pushState(null, "", link.slice(new URL(link).origin.length));
        if (new URL(link).origin === location.origin) route();
        else location.assign(link);
      }),
    );
    return;
  }
  try {
    const link = parseLink(location.href);
    // Before any device is touched: without encryption there is no call.
    assertSupported();
    const media = new LocalMedia();
    let joined = false;
    const screen = prejoin(media, async (name) => {
      try {
        const call = await Call.join({ link: location.href, name });
        joined = true;
        enter(call, media, name);
      } catch (thrown) {
        const error = asTacetError(thrown, "server-unreachable");
        // What may pass, or is a device's fault, is said beside the button, to try again.
        if (TITLES[error.code] === undefined || error.code === "server-unreachable") throw error;
        fail(error);
      }
    });
    const leave = (): void => {
      screen.leave?.();
      if (!joined) media.stop();
    };
    show({ element: screen.element, leave });
    document.title = `tacet · ${new URL(link.server).host}`;
  } catch (thrown) {
    fail(asTacetError(thrown, "bad-link"));
  }
}

function enter(call: Call, media: LocalMedia, name: string): void {
  exposeCall(call);
  const leave = (): void => call.leave();
  addEventListener("pagehide", leave);
  show(
    room(call, media, name, (error) => {
      removeEventListener("pagehide", leave);
      if (error === null) sayGoodbye();
      else fail(error);
    }),
  );
}

function sayGoodbye(): void {
  const steps = [
    { label: "Join again", run: route },
    { label: "Start page", run: goHome },
  ];
  show(message("You left the call", "Its keys are gone from this device.", steps));
}

exposeSdk();
addEventListener("popstate", route);
addEventListener("hashchange", route);
route();

// The entry point of the call page: routes between its screens.

import { asTacetError } from "../errors.ts";
import { assertSupported, Call, parseLink, type TacetError } from "../index.ts";
import { callScreen } from "./call-screen.ts";
import { exposeCall, exposeSdk } from "./debug.ts";
import { home } from "./home.ts";
import { LocalMedia } from "./local-media.ts";
import { message } from "./message.ts";
import { prejoin } from "./prejoin.ts";
import { show } from "./screen.ts";

const TITLES: Partial<Record<TacetError["code"], string>> = {
  "bad-link": "This link doesn't work",
  "unsupported-browser": "This browser can't encrypt calls",
  "access-refused": "The server did not accept this link",
  "no-room": "Room not found",
  "room-full": "This room is full",
  "server-unreachable": "Can't reach the server",
};

function goHome(): void {
  history.pushState(null, "", "/");
  route();
}

function fail(error: TacetError): void {
  const steps = [
    { label: "Try again", run: route },
    { label: "Home", run: goHome },
  ];
  show(message(TITLES[error.code] ?? "The call ended unexpectedly", error.message, steps));
}

/** Shows the screen for the current address. */
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
    // Before any device is opened: there is no call without encryption.
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
        // Temporary problems and those of devices are shown beside the button, so that the user can try again.
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
    callScreen(call, media, name, (error) => {
      removeEventListener("pagehide", leave);
      if (error === null) showLeft();
      else fail(error);
    }),
  );
}

function showLeft(): void {
  const steps = [
    { label: "Rejoin", run: route },
    { label: "Home", run: goHome },
  ];
  show(message("You left the call", "The keys of the call were erased from this device.", steps));
}

exposeSdk();
addEventListener("popstate", route);
addEventListener("hashchange", route);
route();

// The entry point of the call page: routes between its screens.

import { asTacetError } from "../errors.ts";
import { assertSupported, Call, parseLink, preload, type RoomLink, type TacetError } from "../index.ts";
import { callScreen } from "./call-screen.ts";
import { CallSession } from "./call-session.ts";
import { exposeCall, exposeSdk } from "./debug.ts";
import { ended } from "./ended.ts";
import { askForPlace } from "./hand-over.ts";
import { home } from "./home.ts";
import { LocalMedia } from "./local-media.ts";
import { message } from "./message.ts";
import { notify } from "./notice.ts";
import { forgetPlace, type Place, takePlace } from "./place.ts";
import { type JoinRequest, prejoin } from "./prejoin.ts";
import { RoomLock } from "./room-lock.ts";
import { type Screen, show } from "./screen.ts";

const TITLES: Partial<Record<TacetError["code"], string>> = {
  "bad-link": "This link doesn't work",
  "unsupported-browser": "This browser can't encrypt calls",
  "access-refused": "The server did not accept this link",
  "no-room": "Room not found",
  "room-full": "This room is full",
  "room-locked": "This room is locked",
  "server-violation": "This server can't be used",
  removed: "You were removed from this call",
};

/** A reloaded page may load before the browser has unloaded the old one, which still holds the room's lock. */
const LOCK_WAIT_MS = 3_000;

/** The call of this tab. While there is one, its address is guarded and does not route. */
let session: CallSession | null = null;

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
  if (session !== null) return;
  if (location.pathname === "/" || location.pathname === "/index.html") {
    document.title = "tacet";
    show(home(openLink));
    return;
  }
  try {
    const link = parseLink(location.href);
    // Before any device is opened: there is no call without encryption.
    assertSupported();
    document.title = `tacet · ${new URL(link.server).host}`;
    const place = takePlace(link.room);
    if (place?.fresh === true) void enterDirectly(link, place);
    else void enterByPrejoin(link, place);
  } catch (thrown) {
    fail(asTacetError(thrown, "bad-link"));
  }
}

function openLink(link: string): void {
  if (new URL(link).origin !== location.origin) {
    location.assign(link);
    return;
  }
  history.pushState(null, "", link.slice(location.origin.length));
  route();
}

/** Shows the screen before joining, or asks whether to move the call if another tab is in it. */
async function enterByPrejoin(link: RoomLink, place: Place | null): Promise<void> {
  const current = visit();
  if (await RoomLock.held(link.room)) {
    if (current()) askToMove(link);
    return;
  }
  if (!current()) return;
  // The join fetches it again if that fails now.
  preload().catch(() => {});
  const media = new LocalMedia();
  let joined = false;
  const screen = prejoin(media, place, link.server, async ({ name, ...request }: JoinRequest) => {
    const lock = await RoomLock.request(link.room);
    if (lock === null) {
      askToMove(link);
      return;
    }
    try {
      const call = await Call.join({ link: location.href, name, viewedOnly: true, ...request });
      joined = true;
      enter(call, media, name, lock);
    } catch (thrown) {
      lock.release();
      const error = asTacetError(thrown, "server-unreachable");
      // Problems that may pass are shown beside the button, so that the person can try again.
      if (TITLES[error.code] === undefined) throw error;
      fail(error);
    }
  });
  const leave = (): void => {
    screen.leave?.();
    if (!joined) media.stop();
  };
  show({ element: screen.element, leave });
}

/** Joins without a question: the person was in the call a moment ago. */
async function enterDirectly(link: RoomLink, place: Place, taken?: RoomLock): Promise<void> {
  const abort = new AbortController();
  show(returning(() => abort.abort()));
  const lock = taken ?? (await RoomLock.request(link.room, LOCK_WAIT_MS));
  if (lock === null) {
    askToMove(link);
    return;
  }
  const media = new LocalMedia();
  const { name, on, ticket } = place;
  try {
    const quiet = media.on("failed", ({ error }) => notify(error.message, "bad"));
    await Promise.all((["microphone", "camera"] as const).map((device) => media.set(device, on[device])));
    quiet();
    const call = await Call.join({
      link: location.href,
      name,
      viewedOnly: true,
      signal: abort.signal,
      ...(ticket === null ? {} : { return: ticket }),
    });
    enter(call, media, name, lock);
  } catch (thrown) {
    media.stop();
    lock.release();
    if (abort.signal.aborted) return;
    const error = asTacetError(thrown, "server-unreachable");
    // The screen before joining knows what to do about everything that may pass.
    if (TITLES[error.code] === undefined) void enterByPrejoin(link, place);
    else fail(error);
  }
}

/** The call is open in another tab of this browser. */
function askToMove(link: RoomLink): void {
  const move = async (): Promise<void> => {
    const place = await askForPlace(link.room);
    const lock = await RoomLock.take(link.room);
    if (place !== null && lock !== null) await enterDirectly(link, place, lock);
    else {
      lock?.release();
      await enterByPrejoin(link, null);
    }
  };
  const steps = [
    { label: "Move the call here", run: () => void move() },
    { label: "Home", run: goHome },
  ];
  show(message("Move the call here?", "You are in this call in another tab of this browser.", steps));
}

function enter(call: Call, media: LocalMedia, name: string, lock: RoomLock): void {
  exposeCall(call);
  const current = new CallSession(call, media, name, lock, (error) => {
    session = null;
    forgetPlace();
    const { place, lasted } = current;
    const rejoin = (): void => {
      if (error?.code === "moved") askToMove(call.link);
      else void enterDirectly(call.link, place);
    };
    show(ended(error, lasted, { rejoin, home: goHome }));
  });
  session = current;
  show(callScreen(call, media, name));
}

function returning(cancel: () => void): Screen {
  const steps = [
    {
      label: "Cancel",
      run: () => {
        cancel();
        route();
      },
    },
  ];
  return {
    ...message("Returning to the call…", "Your name, microphone and camera stay as they were.", steps),
    leave: () => {},
  };
}

let visits = 0;

/** Returns a function that says whether no other screen was asked for since. */
function visit(): () => boolean {
  visits += 1;
  const mine = visits;
  return () => mine === visits;
}

exposeSdk();
addEventListener("popstate", route);
addEventListener("hashchange", route);
route();

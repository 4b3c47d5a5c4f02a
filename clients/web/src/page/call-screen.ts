// The call screen: stage, controls, and the state of the connection.

import { type Call, formatLink, type LevelMeter, meter, type TacetError } from "../index.ts";
import { h } from "./element.ts";
import { EncryptionBadge } from "./encryption.ts";
import { icon } from "./icon.ts";
import type { Device, LocalMedia } from "./local-media.ts";
import { notify } from "./notice.ts";
import { type Screen, wordmark } from "./screen.ts";
import { ScreenShare } from "./screen-share.ts";
import { Stage } from "./stage.ts";
import { Toggle } from "./toggle.ts";

const SPEAKING_INTERVAL_MS = 150;
/** Level of the user's own microphone from which the tile shows them as speaking. */
const SPEAKING_LEVEL = 0.015;

/** Returns the call screen. `ended` is called once, with an error unless the user left. */
export function callScreen(
  call: Call,
  media: LocalMedia,
  name: string,
  ended: (error: TacetError | null) => void,
): Screen {
  const stage = new Stage(call, name, () => copyLink(call));
  const badge = new EncryptionBadge(call);
  const status = h("p", { class: "status", role: "status", "data-testid": "status" });
  const stageArea = h("div", { class: "stage-area" }, stage.element);

  const microphone = new Toggle(
    {
      label: "Microphone",
      icons: { on: "microphone", off: "microphone-off" },
      hints: { on: "Turn off microphone (M)", off: "Turn on microphone (M)" },
      testId: "microphone",
    },
    () => toggle("microphone", microphone),
  );
  const camera = new Toggle(
    {
      label: "Camera",
      icons: { on: "camera", off: "camera-off" },
      hints: { on: "Turn off camera (V)", off: "Turn on camera (V)" },
      testId: "camera",
    },
    () => toggle("camera", camera),
  );
  const share = new ScreenShare(call);
  const leave = h(
    "button",
    {
      type: "button",
      class: "round leave",
      "aria-label": "Leave",
      title: "Leave",
      "data-testid": "leave",
      onclick: () => call.leave(),
    },
    icon("leave"),
  );
  const copy = h(
    "button",
    {
      type: "button",
      class: "button quiet",
      "data-testid": "copy-link",
      "aria-label": "Copy room link",
      onclick: () => copyLink(call),
    },
    icon("link"),
    h("span", { class: "wide-only" }, "Copy link"),
  );

  async function toggle(device: Device, button: Toggle): Promise<void> {
    button.busy = true;
    try {
      await setDevice(device, media.track(device) === null);
    } finally {
      button.busy = false;
    }
  }
  async function setDevice(device: Device, on: boolean): Promise<void> {
    // Mute first, so that nothing is sent of a track that is about to stop.
    if (!on) await call.setMuted(device, true).catch(() => {});
    await media.set(device, on);
  }

  let running: LevelMeter | null = null;
  let speaking = false;
  function refresh(device: Device): void {
    const track = media.track(device);
    (device === "microphone" ? microphone : camera).set(track !== null);
    if (device === "camera") {
      stage.self.video = track;
    } else {
      running?.stop();
      running = track === null ? null : meter(track);
      stage.self.set({ muted: track === null, speaking: false });
    }
    const work = track === null ? call.setMuted(device, true) : call.publish(track, device);
    work.catch((thrown: unknown) => {
      if (call.state === "connected")
        notify(thrown instanceof Error ? thrown.message : "Your audio or video could not be sent.", "bad");
    });
  }

  let lossCause: TacetError | null = null;
  function draw(): void {
    const text = statusText(call, lossCause);
    status.textContent = text;
    status.hidden = text === "";
    stageArea.classList.toggle("is-stale", call.state === "reconnecting");
    stage.inviting = call.participants.length === 0 && call.state === "connected";
  }

  const timer = setInterval(() => {
    const loud = (running?.level() ?? 0) >= SPEAKING_LEVEL;
    if (loud === speaking) return;
    speaking = loud;
    stage.self.set({ muted: running === null, speaking });
  }, SPEAKING_INTERVAL_MS);

  const onKey = (event: KeyboardEvent): void => {
    const typing = event.target instanceof HTMLInputElement || badge.dialog.open;
    if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.key === "m") microphone.element.click();
    if (event.key === "v") camera.element.click();
  };
  document.addEventListener("keydown", onKey);

  const subscriptions = [
    media.on("changed", refresh),
    media.on("failed", ({ error }) => notify(error.message, "bad")),
    call.on("media", draw),
    call.on("participantJoined", draw),
    call.on("participantLeft", draw),
    call.on("state", ({ state, error }) => {
      lossCause = error;
      draw();
      if (state === "ended") ended(error);
    }),
  ];
  refresh("microphone");
  refresh("camera");
  draw();

  return {
    element: h(
      "div",
      { class: "screen call", "data-testid": "call" },
      h("header", { class: "top" }, wordmark(), status, h("div", { class: "top-right" }, badge.element, copy)),
      stageArea,
      h(
        "footer",
        { class: "controls", role: "toolbar", "aria-label": "Call controls" },
        microphone.element,
        camera.element,
        share.element,
        leave,
      ),
      badge.dialog,
    ),
    leave() {
      clearInterval(timer);
      running?.stop();
      document.removeEventListener("keydown", onKey);
      for (const unsubscribe of subscriptions) unsubscribe();
      badge.stop();
      stage.stop();
      // The browser's back button ends up here too, so the call has to be left.
      call.leave();
      media.stop();
    },
  };
}

function statusText(call: Call, lossCause: TacetError | null): string {
  if (call.state === "reconnecting") return `${lossCause?.message ?? "The connection was lost."} Reconnecting…`;
  if (call.state === "ended") return "";
  if (call.media === "connecting") return "Connecting…";
  return call.media === "interrupted" ? "Audio and video are interrupted" : "";
}

async function copyLink(call: Call): Promise<void> {
  try {
    await navigator.clipboard.writeText(formatLink(call.link));
    notify("Link copied. Anyone who has it can join.");
  } catch {
    notify("The browser blocked copying. Copy this page's address instead.", "bad");
  }
}

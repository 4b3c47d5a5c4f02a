// The call screen: stage, controls, and the state of the connection.

import { type Call, formatLink, type LevelMeter, meter } from "../index.ts";
import { ConnectionBanner } from "./connection-banner.ts";
import { h } from "./element.ts";
import { EncryptionBadge } from "./encryption.ts";
import { icon } from "./icon.ts";
import { guardLeaving } from "./leaving-guard.ts";
import type { Device, LocalMedia } from "./local-media.ts";
import { lossOf } from "./loss.ts";
import { notify } from "./notice.ts";
import { Question } from "./question.ts";
import { type Screen, wordmark } from "./screen.ts";
import { ScreenShare } from "./screen-share.ts";
import { Stage } from "./stage.ts";
import { Toggle } from "./toggle.ts";

const SPEAKING_INTERVAL_MS = 150;
/** Level of the user's own microphone from which the tile shows them as speaking. */
const SPEAKING_LEVEL = 0.015;

/** Returns the call screen. */
export function callScreen(call: Call, media: LocalMedia, name: string): Screen {
  const stage = new Stage(call, name, () => copyLink(call));
  const badge = new EncryptionBadge(call);
  const status = h("p", { class: "status", "data-testid": "status" }, "Connecting…");
  let flowed = call.media === "connected";
  const banner = new ConnectionBanner(
    () => lossOf(call.connection, call.media),
    () => call.tryNow(),
    (loss) => {
      // Without signaling alone, everything still arrives.
      const cutOff = loss !== null && loss.cause !== "signaling";
      stage.cutOff = cutOff;
      badge.cutOff = cutOff;
      drawStatus();
    },
  );
  const leaving = new Question(
    {
      question: "Leave the call?",
      explanation: "The others are still here.",
      stay: "Stay",
      go: "Leave",
    },
    () => call.leave(),
  );
  const endGuard = guardLeaving({
    others: () => call.participants.length > 0,
    back: askToLeave,
    addressChanged: () => notify("The address was changed back. You are still in this call."),
  });
  function askToLeave(): void {
    if (call.participants.length > 0) leaving.ask();
    else call.leave();
  }

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
      stage.self.show(track);
    } else {
      running?.stop();
      running = track === null ? null : meter(track);
      stage.self.set({ muted: track === null, speaking: false, note: null, dimmed: false });
    }
    const work = track === null ? call.setMuted(device, true) : call.publish(track, device);
    work.catch((thrown: unknown) => {
      if (call.state !== "ended")
        notify(thrown instanceof Error ? thrown.message : "Your audio or video could not be sent.", "bad");
    });
  }

  // Joining is not a loss: until media has flowed, a word beside the mark is enough.
  function drawStatus(): void {
    flowed ||= call.media === "connected";
    status.hidden = flowed || !banner.element.hidden;
  }
  function draw(): void {
    banner.refresh();
    drawStatus();
    stage.inviting = call.participants.length === 0 && call.connection.state === "connected";
  }

  const timer = setInterval(() => {
    const loud = (running?.level() ?? 0) >= SPEAKING_LEVEL;
    if (loud === speaking) return;
    speaking = loud;
    stage.self.set({ muted: running === null, speaking, note: null, dimmed: false });
  }, SPEAKING_INTERVAL_MS);

  const onKey = (event: KeyboardEvent): void => {
    const typing = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]") !== null;
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
    call.on("connection", (connection) => {
      draw();
      // Said once the call is back, when the person is back too.
      if (connection.state !== "connected") slept ||= connection.cause === "device-slept";
      else if (slept) {
        slept = false;
        notify("This device slept. You are back in the call.");
      }
    }),
    call.on("role", ({ role }) => notify(`A moderator has made you a ${role}.`)),
    call.on("muteRequested", () => notify("A moderator asks you to mute your microphone.")),
    call.on("locked", (locked) =>
      notify(locked ? "The room is locked: no one else can join." : "The room is open again."),
    ),
    call.on("unpublished", ({ source, error }) => {
      if (source !== "microphone" && source !== "camera") return;
      if (media.track(source) === null) return;
      void media.set(source, false);
      notify(error.message, "bad");
    }),
  ];
  let slept = false;
  refresh("microphone");
  refresh("camera");
  draw();
  const home = wordmark();
  home.addEventListener("click", (event) => {
    event.preventDefault();
    askToLeave();
  });

  return {
    element: h(
      "div",
      { class: "screen call", "data-testid": "call" },
      h("header", { class: "top" }, home, status, h("div", { class: "top-right" }, badge.element, copy)),
      banner.element,
      h("div", { class: "stage-area" }, stage.element),
      h(
        "footer",
        { class: "controls", role: "toolbar", "aria-label": "Call controls" },
        microphone.element,
        camera.element,
        share.element,
        leave,
      ),
      badge.dialog,
      leaving.element,
    ),
    leave() {
      endGuard();
      banner.stop();
      clearInterval(timer);
      running?.stop();
      document.removeEventListener("keydown", onKey);
      for (const unsubscribe of subscriptions) unsubscribe();
      badge.stop();
      stage.stop();
      media.stop();
    },
  };
}

async function copyLink(call: Call): Promise<void> {
  try {
    await navigator.clipboard.writeText(formatLink(call.link));
    notify("Link copied. Anyone who has it can join.");
  } catch {
    notify("The browser blocked copying. Copy this page's address instead.", "bad");
  }
}

// Opens the microphone and the camera, with errors that say what the user can do.

import { TacetError } from "./errors.ts";

/** Speech: the browser's audio processing is on, one channel. */
export const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
};

/** The largest of the sizes in which a camera is sent. */
export const CAMERA: MediaTrackConstraints = {
  width: { ideal: 1_280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30, max: 30 },
};

/** Frames per second of a shared screen, and of one that shows a video. */
const SCREEN_FPS = { detail: 15, motion: 30 } as const;

type DeviceName = "microphone" | "camera";

/** By the name of the `DOMException` (Media Capture and Streams, section 10.2). */
const MESSAGES: Readonly<Record<string, (device: DeviceName) => string>> = {
  NotAllowedError: (device) => `The browser blocked the ${device}. Allow it in the address bar.`,
  NotFoundError: (device) => `No ${device} is connected.`,
  NotReadableError: (device) => `Another app is using the ${device}.`,
  OverconstrainedError: (device) => `The selected ${device} is no longer connected.`,
};

/**
 * Opens the microphone.
 *
 * @throws {TacetError} `device`
 */
export async function openMicrophone(constraints: MediaTrackConstraints = {}): Promise<MediaStreamTrack> {
  const [track] = (await open({ audio: { ...MICROPHONE, ...constraints } }, "microphone")).getAudioTracks();
  if (track === undefined) throw new TacetError("device");
  return track;
}

/**
 * Opens the camera.
 *
 * @throws {TacetError} `device`
 */
export async function openCamera(constraints: MediaTrackConstraints = {}): Promise<MediaStreamTrack> {
  const [track] = (await open({ video: { ...CAMERA, ...constraints } }, "camera")).getVideoTracks();
  if (track === undefined) throw new TacetError("device");
  track.contentHint = "motion";
  return track;
}

/** How a screen is to be shared. */
export interface ScreenOptions {
  /** Whether it shows a video, in which motion matters more than detail. */
  readonly motion?: boolean;
}

/**
 * Asks the user which screen to share. What is shared stays as sharp as it is: if the network has no room, frames are left
 * out.
 *
 * @throws {DOMException} `NotAllowedError` if the user cancels
 */
export async function openScreen({ motion = false }: ScreenOptions = {}): Promise<MediaStreamTrack> {
  const contentHint = motion ? "motion" : "detail";
  const video = { frameRate: { max: SCREEN_FPS[contentHint] } };
  const [track] = (await navigator.mediaDevices.getDisplayMedia({ video })).getVideoTracks();
  if (track === undefined) throw new TacetError("device");
  track.contentHint = contentHint;
  return track;
}

async function open(constraints: MediaStreamConstraints, device: DeviceName): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (thrown) {
    const name = thrown instanceof DOMException ? thrown.name : "";
    const message = MESSAGES[name]?.(device) ?? `The ${device} can't be used.`;
    throw new TacetError("device", message, { cause: thrown });
  }
}

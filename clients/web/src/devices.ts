// Camera and microphone, with errors that say what a person can do about them.

import { TacetError } from "./errors.ts";

/** Speech: the browser's processing on, one channel. */
export const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
};

/** Enough for tiles of ten people without simulcast: everyone receives what everyone sends. */
export const CAMERA: MediaTrackConstraints = {
  width: { ideal: 640 },
  height: { ideal: 360 },
  frameRate: { ideal: 24, max: 30 },
};

const SENTENCES: Readonly<Record<string, string>> = {
  NotAllowedError: "The browser was not allowed to use it. Allow it beside the address bar.",
  NotFoundError: "No such device is connected.",
  NotReadableError: "Another program is using it.",
  OverconstrainedError: "The chosen device is gone.",
};

/**
 * Opens the microphone.
 *
 * @throws {TacetError} `device`
 */
export async function openMicrophone(constraints: MediaTrackConstraints = {}): Promise<MediaStreamTrack> {
  const [track] = (await open({ audio: { ...MICROPHONE, ...constraints } }, "Microphone")).getAudioTracks();
  if (track === undefined) throw new TacetError("device");
  return track;
}

/**
 * Opens the camera.
 *
 * @throws {TacetError} `device`
 */
export async function openCamera(constraints: MediaTrackConstraints = {}): Promise<MediaStreamTrack> {
  const [track] = (await open({ video: { ...CAMERA, ...constraints } }, "Camera")).getVideoTracks();
  if (track === undefined) throw new TacetError("device");
  track.contentHint = "motion";
  return track;
}

async function open(constraints: MediaStreamConstraints, device: string): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (thrown) {
    const name = thrown instanceof DOMException ? thrown.name : "";
    throw new TacetError("device", `${device}: ${SENTENCES[name] ?? "It cannot be used."}`, { cause: thrown });
  }
}

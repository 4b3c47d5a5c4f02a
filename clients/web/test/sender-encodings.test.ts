import { beforeEach, expect, it } from "vitest";
import { SenderEncodings } from "../src/sender-encodings.ts";

type Encoding = RTCRtpEncodingParameters & { scalabilityMode?: string };

let encodings: Encoding[];
let preference: RTCDegradationPreference | undefined;
/** Number of times that parameters were set. */
let sets: number;
let refusesModes: boolean;
let sender: RTCRtpSender;

beforeEach(() => {
  [sets, refusesModes, preference] = [0, false, undefined];
  sender = {
    getParameters: () => structuredClone({ encodings }),
    setParameters: async (parameters: { encodings: Encoding[]; degradationPreference?: RTCDegradationPreference }) => {
      sets += 1;
      const modes = parameters.encodings.some(({ scalabilityMode }) => scalabilityMode !== undefined);
      if (modes && refusesModes) throw new DOMException("no such mode", "OperationError");
      encodings = parameters.encodings;
      preference = parameters.degradationPreference;
    },
  } as unknown as RTCRtpSender;
});

function media(width: number, height: number, contentHint = ""): MediaStreamTrack {
  return { contentHint, getSettings: () => ({ width, height }) } as unknown as MediaStreamTrack;
}
const active = (): (boolean | undefined)[] => encodings.map((encoding) => encoding.active);

it("sets nothing that is set already, since each change costs a key frame", async () => {
  encodings = [{ rid: "q" }, { rid: "h" }, { rid: "f" }];
  const camera = new SenderEncodings(sender, "camera", "simulcast");
  const hd = media(1_280, 720);
  await camera.set(hd, []);
  await camera.set(hd, []);
  expect([sets, active()]).toEqual([1, [true, true, true]]);
  await camera.set(hd, [true, true, false]);
  await camera.set(hd, [true, true, false]);
  expect([sets, active()]).toEqual([2, [true, true, false]]);
});

it("goes on without scalability modes where the encoder has none", async () => {
  encodings = [{ rid: "q" }, { rid: "h" }, { rid: "f" }];
  refusesModes = true;
  const camera = new SenderEncodings(sender, "camera", "simulcast");
  await camera.set(media(1_280, 720), []);
  expect(encodings[0]).toMatchObject({ scaleResolutionDownBy: 4, maxFramerate: 30 });
  await camera.set(media(1_280, 720), [true]);
  expect(sets).toBe(2);
  await camera.set(media(1_280, 720), [false]);
  expect(sets).toBe(3);
});

it("rejects if the browser takes no parameters at all", async () => {
  encodings = [{ rid: "q" }];
  sender.setParameters = () => Promise.reject(new DOMException("no", "InvalidStateError"));
  await expect(new SenderEncodings(sender, "camera", "simulcast").set(media(1_280, 720), [])).rejects.toThrow("no");
});

it("tells which media can follow without being published again", async () => {
  encodings = [{ rid: "q" }, { rid: "h" }, { rid: "f" }];
  const camera = new SenderEncodings(sender, "camera", "simulcast");
  await camera.set(media(1_280, 720), []);
  expect(camera.fits(media(1_920, 1_080))).toBe(true);
  expect(camera.fits(media(640, 360))).toBe(false);
});

it("keeps a screen readable, and a video in it moving", async () => {
  encodings = [{ rid: "t" }, { rid: "f" }];
  const screen = new SenderEncodings(sender, "screen", "simulcast");
  const text = media(1_920, 1_080);
  await screen.set(text, []);
  expect([text.contentHint, preference]).toEqual(["detail", "maintain-resolution"]);
  expect(encodings.map(({ maxFramerate }) => maxFramerate)).toEqual([5, 15]);
  await screen.set(media(1_920, 1_080, "motion"), []);
  expect(preference).toBe("balanced");
  expect(encodings.map(({ maxFramerate }) => maxFramerate)).toEqual([5, 30]);
});

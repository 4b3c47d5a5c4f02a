// The worker of one session. It owns the keys, the counters and all transforms. The page sees neither keys nor frames.

import { Frames } from "../e2ee/frames.ts";
import { FrameCrypto, type FrameCryptoSession } from "../e2ee/wasm.ts";
import type { FrameEngine } from "./engine.ts";
import { holdLock } from "./life-lock.ts";
import type { FromWorker, ToWorker, TransformOptions } from "./messages.ts";
import { type EncodedFrame, Opener, Sealer } from "./pipeline.ts";
import { PULSE_MS, PulseMeter } from "./pulse.ts";
import { type ReadClock, Session } from "./session.ts";

declare const self: DedicatedWorkerGlobalScope;

const clock: ReadClock = () => ({ now: Math.floor(performance.now()), wall: Date.now() });
const openers = new Map<string, Opener>();
const sealers = new Map<string, Sealer>();

const pulses = new PulseMeter();

let module: FrameCrypto | undefined;
let invite: Uint8Array | undefined;
let device: FrameCryptoSession | undefined;
let engine: FrameEngine | undefined;
let session: Session | undefined;

function post(message: FromWorker): void {
  self.postMessage(message);
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  handle(data).catch((error: unknown) => {
    post({ t: "failed", detail: error instanceof Error ? error.message : "unknown" });
  });
};

async function handle(message: ToWorker): Promise<void> {
  switch (message.t) {
    case "load":
      module = await FrameCrypto.fromModule(message.module);
      invite = message.invite;
      post({
        t: "loaded",
        guestAccess: module.accessToken(message.invite),
        locked: await holdLock(message.lock),
      });
      break;
    case "start":
      if (module === undefined || invite === undefined || session !== undefined)
        throw new Error("it was started twice, or before it was loaded");
      device = module.session(message.room, message.call, invite, message.name, clock());
      engine = new Frames(device);
      invite.fill(0);
      invite = undefined;
      session = new Session(engine, clock, (action) => {
        if (action.kind === "key-installed") retryHeld();
        post({ t: "action", action });
      });
      session.pump();
      setInterval(() => post({ t: "pulse", ...pulses.take([...sealers.values(), ...openers.values()]) }), PULSE_MS);
      break;
    case "ask":
      post({ t: "alive" });
      break;
    case "event":
      session?.event(message.kind, message.body);
      break;
    case "prove":
      post({ t: "proof", request: message.request, proof: device?.proveResume(message.statement) ?? null });
      break;
    case "forget":
      for (const id of message.ids) {
        sealers.delete(id);
        openers.delete(id);
      }
      break;
    case "counters": {
      const transforms = [...sealers.values(), ...openers.values()].map(({ counters }) => counters);
      post({ t: "counters", request: message.request, transforms });
      break;
    }
  }
}

/** A key has arrived: retries the held frames. A receiver may have ended in the meantime; its pipe then takes no frames. */
function retryHeld(): void {
  for (const opener of openers.values()) {
    opener.retry(clock()).then(
      () => session?.pump(),
      () => {},
    );
  }
}

self.onrtctransform = ({ transformer }: RTCTransformEvent) => {
  const options = transformer.options as TransformOptions;
  if (engine === undefined || session === undefined) {
    // Without a session the transform reads nothing, so nothing is sent.
    post({ t: "failed", detail: "a transform was created before the session" });
    return;
  }
  const process = options.role === "seal" ? sealer(engine, options) : opener(engine, options, transformer);
  const stream = new TransformStream<EncodedFrame, EncodedFrame>(process);
  // The pipe rejects when its sender or receiver ends, which is no error.
  transformer.readable
    .pipeThrough(stream)
    .pipeTo(transformer.writable)
    .catch(() => {});
  post({ t: "attached", id: options.id });
};

function sealer(
  engine: FrameEngine,
  { id, codec, stream }: TransformOptions & { role: "seal" },
): Transformer<EncodedFrame, EncodedFrame> {
  const sealer = new Sealer(engine, id, codec, stream);
  sealers.set(id, sealer);
  return {
    // The stream awaits this before it delivers the next frame.
    async transform(frame, controller) {
      if (await sealer.push(frame, clock())) controller.enqueue(frame);
      session?.pump();
    },
  };
}

function opener(
  engine: FrameEngine,
  { id, codec, streams }: TransformOptions & { role: "open" },
  transformer: RTCRtpScriptTransformer,
): Transformer<EncodedFrame, EncodedFrame> {
  let enqueue: (frame: EncodedFrame) => void = () => {};
  const opener = new Opener(engine, id, codec, streams, {
    frame: (frame) => enqueue(frame),
    authenticated: (origin) => post({ t: "authenticated", id, origin }),
    needsKeyFrame: () => {
      // Rejects for audio, and where the browser does not support it; the decoder then sends its own request.
      if (codec !== "opus") transformer.sendKeyFrameRequest().catch(() => {});
    },
  });
  openers.set(id, opener);
  return {
    start(controller) {
      enqueue = (frame) => controller.enqueue(frame);
    },
    async transform(frame) {
      await opener.push(frame, clock());
      session?.pump();
    },
  };
}

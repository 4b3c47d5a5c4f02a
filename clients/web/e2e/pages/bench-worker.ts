// Measures how long it takes to seal and to open one frame, in the module and by WebCrypto. Both use the code of calls,
// including its copies, and handle one frame at a time, like the pipeline of a track.
//
// Clocks of browsers are coarse, so batches are timed. The two ciphers alternate, so that a disturbance affects both.

import { Frames } from "../../src/e2ee/frames.ts";
import { type Clock, FrameCrypto, type FrameCryptoSession } from "../../src/e2ee/wasm.ts";
import { type Action, EventKind, readAction } from "../../src/worker/action.ts";
import { u16, u32 } from "../../test/peer/bytes.ts";
import { announcement, boxed, entryFor } from "../../test/wire.ts";

/** Microseconds per frame, medians. */
export interface Row {
  readonly bytes: number;
  readonly seal: Times;
  readonly open: Times;
}
export interface Times {
  readonly wasm: number;
  readonly webCrypto: number;
}

const SIZES = [100, 1_000, 1_500, 2_000, 4_000, 10_000, 100_000];
const ROUNDS = 11;
/** Long compared with a clock of millisecond resolution. */
const BATCH_MS = 25;
const [VIDEO, VP8] = [1, 1];
/** Time stands still. */
const CLOCK: Clock = { now: 0, wall: Date.now() };

/** Returns a sender and a receiver that have verified each other and share a key. */
function pair(library: FrameCrypto): [FrameCryptoSession, FrameCryptoSession] {
  const [room, call, invite] = [new Uint8Array(16), new Uint8Array(16), new Uint8Array(32)];
  const [from, to] = [1, 2].map((seat) => library.session(room, call, invite, `${seat}`, CLOCK)) as [
    FrameCryptoSession,
    FrameCryptoSession,
  ];
  const take = <Kind extends Action["kind"]>(session: FrameCryptoSession, kind: Kind): Action & { kind: Kind } => {
    for (let bytes = session.poll(); bytes !== null; bytes = session.poll()) {
      const action = readAction(bytes);
      if (action?.kind === kind) return action as Action & { kind: Kind };
    }
    throw new Error(`no ${kind}`);
  };
  const [first, second] = [take(from, "announce"), take(to, "announce")];
  from.event(EventKind.Joined, CLOCK, u16(1));
  to.event(EventKind.Joined, CLOCK, u16(2));
  from.event(EventKind.Announces, CLOCK, announcement(2, second.announce, second.display));
  to.event(EventKind.Announces, CLOCK, announcement(1, first.announce, first.display));
  from.event(EventKind.StreamOpened, CLOCK, u32(VIDEO));
  const batch = take(from, "key-batch");
  from.event(EventKind.KeyBatchAccepted, CLOCK, u32(batch.number));
  const box = entryFor(2, batch.body);
  if (box === undefined) throw new Error("no key");
  to.event(EventKind.Keys, CLOCK, boxed(box));
  return [from, to];
}

async function sealAll(frames: Frames, clear: ArrayBuffer, count: number): Promise<ArrayBuffer[]> {
  const sealed: ArrayBuffer[] = [];
  for (let done = 0; done < count; done += 1) {
    const frame = await frames.seal(CLOCK, VIDEO, VP8, false, clear);
    if (typeof frame === "number") throw new Error(`not sealed: ${frame}`);
    sealed.push(frame);
  }
  return sealed;
}

async function openAll(frames: Frames, sealed: readonly ArrayBuffer[]): Promise<void> {
  for (const frame of sealed) {
    const opened = await frames.open(CLOCK, VP8, frame);
    if (typeof opened === "number") throw new Error(`not opened: ${opened}`);
  }
}

async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}

interface Measurement {
  readonly sender: Frames;
  readonly receiver: Frames;
  readonly seal: number[];
  readonly open: number[];
}

const median = (times: readonly number[]): number => [...times].sort((a, b) => a - b)[times.length >> 1] ?? 0;

async function bench(library: FrameCrypto): Promise<Row[]> {
  const [from, to] = pair(library);
  const rows: Row[] = [];
  for (const bytes of SIZES) {
    const clear = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 65_536)));
    const frame = new Uint8Array(bytes).map((_, at) => clear[at % clear.length] ?? 0).buffer;
    const measurements = [Number.POSITIVE_INFINITY, 0].map(
      (large): Measurement => ({
        sender: new Frames(from, large),
        receiver: new Frames(to, large),
        seal: [],
        open: [],
      }),
    ) as [Measurement, Measurement];
    let count = 16;
    for (const { sender, receiver } of measurements) {
      // Warms up, and determines the number of frames in a batch.
      for (let took = 0; took < BATCH_MS; ) {
        count *= 2;
        let sealed: ArrayBuffer[];
        [sealed, took] = await timed(() => sealAll(sender, frame, count));
        await openAll(receiver, sealed);
      }
    }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const { sender, receiver, seal, open } of measurements) {
        const [sealed, sealing] = await timed(() => sealAll(sender, frame, count));
        const [, opening] = await timed(() => openAll(receiver, sealed));
        seal.push((1_000 * sealing) / count);
        open.push((1_000 * opening) / count);
      }
    }
    const [wasm, webCrypto] = measurements;
    rows.push({
      bytes,
      seal: { wasm: median(wasm.seal), webCrypto: median(webCrypto.seal) },
      open: { wasm: median(wasm.open), webCrypto: median(webCrypto.open) },
    });
  }
  return rows;
}

self.onmessage = async ({ data }: MessageEvent<string>) => {
  try {
    self.postMessage(await bench(await FrameCrypto.fromUrl(data)));
  } catch (error) {
    self.postMessage(error instanceof Error ? error.message : "unknown");
  }
};

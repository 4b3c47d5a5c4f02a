// Runs the benchmark in a worker, as frames are sealed and opened in a call.

import wasmUrl from "../../src/e2ee/e2ee_frames.wasm?url";
import type { Row } from "./bench-worker.ts";

declare global {
  interface Window {
    benchFrames?: () => Promise<Row[]>;
  }
}

window.benchFrames = () =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./bench-worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Row[] | string>) => {
      if (typeof data === "string") reject(new Error(data));
      else resolve(data);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage(new URL(wasmUrl, location.href).href);
  });

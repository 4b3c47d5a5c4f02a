// The native client as a participant of a test's call.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { binary, type Server, stop } from "./server.ts";

/** Sample rate of the files that the native client plays and records, in Hz. */
export const SAMPLE_RATE = 48_000;

/** A line that `tacet call --json` prints. */
export interface NativeEvent {
  readonly event?: string;
  readonly [member: string]: unknown;
}

/** A running `tacet call --json` that trusts the server's self-signed certificate. */
export class Native {
  /** What it has printed so far. */
  readonly events: NativeEvent[] = [];

  private constructor(private readonly process: ChildProcess) {
    if (process.stdout === null) throw new Error("the native client has no standard output");
    createInterface({ input: process.stdout }).on("line", (line) => this.events.push(JSON.parse(line) as NativeEvent));
  }

  /** Joins the server's room as "Native". */
  static start(server: Server, ...args: string[]): Native {
    const pin = server.fingerprint;
    const trust = pin === undefined ? [] : ["--pin", pin];
    const all = ["call", server.link, "--json", "--name", "Native", ...trust, ...args];
    return new Native(spawn(binary(), all, { stdio: ["ignore", "pipe", "inherit"] }));
  }

  /** Whether the process still runs. */
  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Leaves the call as on Ctrl-C, and waits for the process to exit. */
  async stop(): Promise<void> {
    await stop(this.process, "SIGINT");
  }
}

/** Returns a WAV file with one second of a tone, which is a whole number of periods. */
export function tone(hertz: number): Buffer {
  const data = Buffer.alloc(SAMPLE_RATE * 2);
  for (let n = 0; n < SAMPLE_RATE; n += 1)
    data.writeInt16LE(Math.round(16_000 * Math.sin((2 * Math.PI * hertz * n) / SAMPLE_RATE)), n * 2);
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(SAMPLE_RATE, 24);
  header.writeUInt32LE(SAMPLE_RATE * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

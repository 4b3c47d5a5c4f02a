import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Address of the namespace's only interface other than loopback. */
export const ADDRESS = "10.99.0.1";

/** The first line of output of `tacet serve --json`. */
interface Announcement {
  url: string;
  link: string;
  room: string;
  media_ports: number[];
  /** SHA-256 of a self-signed certificate. */
  fingerprint?: string;
}

/** Returns the path of the binary under test. */
export function binary(): string {
  const path = process.env.TACET;
  if (path === undefined) {
    throw new Error("TACET must name the binary: run `make test-browsers`");
  }
  return path;
}

/** Returns the first line that a program prints, parsed as JSON. Later lines are passed to `onLine`. */
export async function firstLine<T>(child: ChildProcess, onLine?: (line: string) => void): Promise<T> {
  if (child.stdout === null) throw new Error("the program has no standard output");
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise<T>((resolve, reject) => {
    lines.once("line", (line) => resolve(JSON.parse(line) as T));
    child.once("exit", (code) => reject(new Error(`the program exited with code ${code}`)));
    child.once("error", reject);
  });
  if (onLine !== undefined) lines.on("line", onLine);
  return first;
}

/** Terminates a program and waits for it to exit. */
export async function stop(child: ChildProcess): Promise<void> {
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exited;
}

/** A call server, run from the built binary. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly announcement: Announcement,
  ) {}

  /** Starts the binary that the environment variable TACET names, on free ports. */
  static async start(more: string[] = []): Promise<Server> {
    const args = [
      "serve",
      "--json",
      "--bind",
      ADDRESS,
      "--port",
      "0",
      "--media-port",
      "0",
      "--metrics",
      "off",
      ...more,
    ];
    const child = spawn(binary(), args, { stdio: ["ignore", "pipe", "inherit"] });
    return new Server(child, await firstLine<Announcement>(child));
  }

  /** The room link that the server printed. Its host is always the server, even if media goes through a relay. */
  get link(): string {
    const link = new URL(this.announcement.link);
    link.hostname = ADDRESS;
    return link.href;
  }

  /** UDP port of the first worker. */
  get mediaPort(): number {
    const [port] = this.announcement.media_ports;
    if (port === undefined) throw new Error("the server has no media port");
    return port;
  }

  async stop(): Promise<void> {
    await stop(this.process);
  }
}

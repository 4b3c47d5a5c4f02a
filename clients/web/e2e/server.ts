import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Address of the namespace's only interface beyond loopback. */
export const ADDRESS = "10.99.0.1";

/** What `tacet serve --json` says of itself. */
interface Announcement {
  url: string;
  link: string;
  room: string;
  media_ports: number[];
  /** SHA-256 of a self-signed certificate. */
  fingerprint?: string;
}

/** The program to test. */
export function binary(): string {
  const path = process.env.TACET;
  if (path === undefined) {
    throw new Error("TACET must name the binary: run `make test-browsers`");
  }
  return path;
}

/** The first line that a program prints, which is JSON; its other lines go to `onLine`. */
export async function firstLine<T>(child: ChildProcess, onLine?: (line: string) => void): Promise<T> {
  if (child.stdout === null) throw new Error("the program has no output");
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise<T>((resolve, reject) => {
    lines.once("line", (line) => resolve(JSON.parse(line) as T));
    child.once("exit", (code) => reject(new Error(`the program stopped with code ${code}`)));
    child.once("error", reject);
  });
  if (onLine !== undefined) lines.on("line", onLine);
  return first;
}

/** Asks a program to end, and waits for it. */
export async function stop(child: ChildProcess): Promise<void> {
  const stopped = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await stopped;
}

/** A call server of our own, from the built binary. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly announcement: Announcement,
  ) {}

  /** Starts the binary named by the environment variable TACET, on ports that are free. */
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

  /** The room link that the server printed. Its page is here, wherever the server sends media. */
  get link(): string {
    const link = new URL(this.announcement.link);
    link.hostname = ADDRESS;
    return link.href;
  }

  /** The UDP port of its first worker. */
  get mediaPort(): number {
    const [port] = this.announcement.media_ports;
    if (port === undefined) throw new Error("the server has no media port");
    return port;
  }

  async stop(): Promise<void> {
    await stop(this.process);
  }
}

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** Address of the namespace's only interface other than loopback. */
export const ADDRESS = "10.99.0.1";

/** The first line of output of `tacet serve --json`. */
interface Announcement {
  url: string;
  media_ports: number[];
  /** SHA-256 of a self-signed certificate. */
  fingerprint?: string;
}

/** Where tests read a server's metrics. */
export const METRICS = "127.0.0.1:9464";

/** The operator's key. */
const API_KEY = "the key of the tests' operator";

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

/** Sends a signal to a program and waits for it to exit. */
export async function stop(child: ChildProcess, signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await exited;
}

/** How to start a server. */
export interface ServerOptions {
  /** Arguments besides those for ports and addresses. */
  readonly more?: readonly string[];
  /** Folder that outlives the process, for a server that is to be started again. Without it, all is kept in memory. */
  readonly data?: string;
  /** Address of the metrics; off by default. */
  readonly metrics?: string;
}

/** A call server, run from the built binary. */
export class Server {
  #process: ChildProcess;
  #announcement: Announcement;
  readonly #options: ServerOptions;
  /** The link of a room that was created when the server was first started. */
  readonly link: string;

  private constructor(options: ServerOptions, process: ChildProcess, announcement: Announcement, link: string) {
    this.#options = options;
    this.#process = process;
    this.#announcement = announcement;
    this.link = link;
  }

  /** Starts the binary that the environment variable TACET names, on free ports. */
  static async start(options: ServerOptions = {}): Promise<Server> {
    const child = Server.#spawn(options, 0, 0);
    const announcement = await firstLine<Announcement>(child);
    return new Server(options, child, announcement, await Server.#createRoom(announcement));
  }

  /** Creates a room as an operator does, since a server that others reach draws no link. The link's host is always the
   * server, even if media goes through a relay. */
  static async #createRoom({ url, fingerprint }: Announcement): Promise<string> {
    const server = new URL(url);
    server.hostname = ADDRESS;
    const pin = fingerprint === undefined ? [] : ["--pin", fingerprint];
    const args = ["room", "--server", server.origin, ...pin, "--api-key", API_KEY];
    const { stdout } = await promisify(execFile)(binary(), args);
    return stdout.trim();
  }

  static #spawn({ more = [], data, metrics = "off" }: ServerOptions, port: number, mediaPort: number): ChildProcess {
    const ports = ["--port", String(port), "--media-port", String(mediaPort), "--metrics", metrics];
    const folder = ["--data", data ?? "none"];
    const args = ["serve", "--json", "--bind", ADDRESS, "--api-key", API_KEY, ...ports, ...folder, ...more];
    return spawn(binary(), args, { stdio: ["ignore", "pipe", "inherit"] });
  }

  /** Number of its process. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** TCP port of page and signaling. */
  get port(): number {
    return Number(new URL(this.#announcement.url).port);
  }

  /** UDP port of the first worker. */
  get mediaPort(): number {
    const [port] = this.#announcement.media_ports;
    if (port === undefined) throw new Error("the server has no media port");
    return port;
  }

  /** Returns the value of a counter of its metrics, added up over all workers; `name` is without `tacet_`. */
  async counter(name: string): Promise<number> {
    const text = await (await fetch(`http://${this.#options.metrics}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(`tacet_${name}`));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  /** SHA-256 of the self-signed certificate. */
  get fingerprint(): string | undefined {
    return this.#announcement.fingerprint;
  }

  /** Kills the process, which has no time to say goodbye or to write anything. */
  async kill(): Promise<void> {
    await stop(this.#process, "SIGKILL");
  }

  /** Starts the server again, with the same ports and data. */
  async startAgain(): Promise<void> {
    this.#process = Server.#spawn(this.#options, this.port, this.mediaPort);
    this.#announcement = await firstLine<Announcement>(this.#process);
  }

  async stop(): Promise<void> {
    await stop(this.#process);
  }
}

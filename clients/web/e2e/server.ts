import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Address of the namespace's only interface beyond loopback. */
const ADDRESS = "10.99.0.1";

/** What `tacet serve --json` says of itself. */
interface Announcement {
  url: string;
  link: string;
  room: string;
  /** SHA-256 of a self-signed certificate. */
  fingerprint?: string;
}

/** A call server of our own, from the built binary. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    readonly announcement: Announcement,
  ) {}

  /** Starts the binary named by the environment variable TACET, on ports that are free. */
  static async start(): Promise<Server> {
    const binary = process.env.TACET;
    if (binary === undefined) {
      throw new Error("TACET must name the binary: run `make test-browsers`");
    }
    const args = ["serve", "--json", "--bind", ADDRESS, "--port", "0", "--media-port", "0"];
    const child = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
    const lines = createInterface({ input: child.stdout });
    const announcement = await new Promise<Announcement>((resolve, reject) => {
      lines.once("line", (line) => resolve(JSON.parse(line) as Announcement));
      child.once("exit", (code) => reject(new Error(`the server stopped with code ${code}`)));
      child.once("error", reject);
    });
    return new Server(child, announcement);
  }

  /** The room link that the server printed. */
  get link(): string {
    return this.announcement.link;
  }

  async stop(): Promise<void> {
    const stopped = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    await stopped;
  }
}

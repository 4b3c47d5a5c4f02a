import { type ChildProcess, spawn } from "node:child_process";
import { ADDRESS, binary, firstLine, Server, stop } from "./server.ts";

/** The namespace's second address: what stands for the server at the other end of a bad network. */
const OUTSIDE = "10.99.0.2";

/** Packets of one direction, as far as tests look. */
interface Counts {
  readonly received: number;
  readonly lost: number;
  readonly forwarded: number;
}

/** What the relay has done. */
export interface RelayStats {
  readonly up: Counts;
  readonly down: Counts;
  readonly clients: number;
  readonly address_changes: number;
}

/** What it says of itself when it listens. */
interface Ready {
  readonly seed: number;
}

/** What it answers to a command. */
interface Answer {
  readonly stats?: RelayStats;
  readonly changed?: number;
  readonly error?: string;
}

/** `tacet relay` between browsers and a server. */
export class Relay {
  /** Those who wait for answers, in the order of their commands. */
  readonly #waiting: ((answer: Answer) => void)[] = [];

  private constructor(private readonly process: ChildProcess) {}

  /** A server that browsers reach through a relay only, and the relay; `settings` are the options of `tacet relay`. */
  static async withServer(settings: string[]): Promise<[Server, Relay]> {
    // One worker has one port, and so there is one relay.
    const server = await Server.start(["--advertise", OUTSIDE, "--workers", "1"]);
    const [listen, to] = [OUTSIDE, ADDRESS].map((address) => `${address}:${server.mediaPort}`);
    const args = ["relay", "--json", "--listen", `${listen}`, "--to", `${to}`, ...settings];
    const child = spawn(binary(), args, { stdio: ["pipe", "pipe", "inherit"] });
    const relay = new Relay(child);
    await firstLine<Ready>(child, (line) => relay.#waiting.shift()?.(JSON.parse(line) as Answer));
    return [server, relay];
  }

  async #command(line: string): Promise<Answer> {
    const answered = new Promise<Answer>((resolve) => this.#waiting.push(resolve));
    this.process.stdin?.write(`${line}\n`);
    const answer = await answered;
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  async stats(): Promise<RelayStats> {
    const { stats } = await this.#command("stats");
    if (stats === undefined) throw new Error("the relay tells no statistics");
    return stats;
  }

  /** Gives every client another address towards the server; gives how many there are. */
  async changeAddresses(): Promise<number> {
    return (await this.#command("change-addresses")).changed ?? 0;
  }

  async stop(): Promise<void> {
    await stop(this.process);
  }
}

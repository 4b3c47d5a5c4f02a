import { type ChildProcess, spawn } from "node:child_process";
import { ADDRESS, binary, firstLine, Server, type ServerOptions, stop } from "./server.ts";

/** The namespace's second address, at which a relay stands in for the server. */
export const RELAY_ADDRESS = "10.99.0.2";

/** Packets in one direction; the members that tests use. */
interface Counts {
  readonly received: number;
  readonly lost: number;
  readonly forwarded: number;
}

/** Statistics of the relay. */
export interface RelayStats {
  readonly up: Counts;
  readonly down: Counts;
  readonly clients: number;
  readonly address_changes: number;
}

/** Its first line of output, once it listens. */
interface Ready {
  readonly seed: number;
}

/** Its answer to a command. */
interface Answer {
  readonly stats?: RelayStats;
  readonly changed?: number;
  readonly error?: string;
}

/** `tacet relay` between browsers and a server. */
export class Relay {
  /** Resolvers of pending answers, in the order of their commands. */
  readonly #waiting: ((answer: Answer) => void)[] = [];

  private constructor(private readonly process: ChildProcess) {}

  /** Starts a server that browsers reach only through a relay, and the relay, each with these options. */
  static async withServer(settings: string[], serve: ServerOptions = {}): Promise<[Server, Relay]> {
    // With one worker there is one media port, so one relay is enough.
    const more = ["--advertise", RELAY_ADDRESS, "--workers", "1", ...(serve.more ?? [])];
    const server = await Server.start({ ...serve, more });
    const [listen, to] = [RELAY_ADDRESS, ADDRESS].map((address) => `${address}:${server.mediaPort}`);
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
    if (stats === undefined) throw new Error("the relay returned no statistics");
    return stats;
  }

  /** Changes the address that the server sees of every client. Returns the number of clients. */
  async changeAddresses(): Promise<number> {
    return (await this.#command("change-addresses")).changed ?? 0;
  }

  /** Changes the network towards clients from now on, such as `rate=2mbit,queue=300ms`. */
  async setDown(settings: string): Promise<void> {
    await this.#command(`set down ${settings}`);
  }

  /** Changes the network of both directions from now on. */
  async set(settings: string): Promise<void> {
    await this.#command(`set ${settings}`);
  }

  async stop(): Promise<void> {
    await stop(this.process);
  }
}

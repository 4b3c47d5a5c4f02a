// A separate network namespace for one browser, behind a cable that a test can pull.
//
// The cable is a veth pair. With its outer end down, packets vanish in both directions and the browser notices nothing
// by itself, as with a dead access point; with its inner end down, the browser sees its network interface go.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stop } from "./server.ts";

const OUTER = "10.99.1.1";
const INNER = "10.99.1.2";
const OUTER_END = "island0";
const INNER_END = "island1";

/** A namespace with one cable. At most one exists at a time. */
export class Island {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly folder: string,
  ) {}

  static async create(): Promise<Island> {
    // The namespace lives as long as this process, which prints a line once it is in it.
    const holder = spawn("unshare", ["-n", "sh", "-c", "echo; exec sleep infinity"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (holder.stdout === null) throw new Error("unshare has no standard output");
    await once(holder.stdout, "data");
    const island = new Island(holder, await mkdtemp(join(tmpdir(), "tacet-island-")));
    const peer = ["peer", "name", INNER_END, "netns", String(holder.pid)];
    ip("link", "add", OUTER_END, "type", "veth", ...peer);
    ip("link", "set", OUTER_END, "addrgenmode", "none", "up");
    ip("address", "add", `${OUTER}/24`, "dev", OUTER_END);
    island.#ip("link", "set", "lo", "up");
    island.#ip("link", "set", INNER_END, "addrgenmode", "none");
    island.#ip("address", "add", `${INNER}/24`, "dev", INNER_END);
    island.plugIn();
    return island;
  }

  /** Returns the path of a program that runs this program in the namespace. */
  async wrap(program: string): Promise<string> {
    const path = join(this.folder, "inside");
    await writeFile(path, `#!/bin/sh\nexec nsenter --target ${this.holder.pid} --net -- ${program} "$@"\n`);
    await chmod(path, 0o755);
    return path;
  }

  /** Loses every packet from now on, silently. */
  cut(): void {
    ip("link", "set", OUTER_END, "down");
  }

  /** Ends `cut`. */
  mend(): void {
    ip("link", "set", OUTER_END, "up");
  }

  /** Takes the network interface down. */
  unplug(): void {
    this.#ip("link", "set", INNER_END, "down");
  }

  /** Takes the network interface up. */
  plugIn(): void {
    this.#ip("link", "set", INNER_END, "up");
    this.#ip("route", "replace", "default", "via", OUTER);
  }

  /** Drops all UDP that leaves the namespace, as some firewalls do. */
  blockUdp(): void {
    this.#ip("rule", "add", "pref", "10", "ipproto", "udp", "blackhole");
  }

  /** Ends `blockUdp`. */
  allowUdp(): void {
    this.#ip("rule", "del", "pref", "10");
  }

  async remove(): Promise<void> {
    ip("link", "del", OUTER_END);
    await stop(this.holder, "SIGKILL");
    await rm(this.folder, { recursive: true });
  }

  #ip(...args: string[]): void {
    execFileSync("nsenter", ["--target", String(this.holder.pid), "--net", "--", "ip", ...args]);
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args);
}

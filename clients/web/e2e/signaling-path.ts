// The TCP path between browsers and the server, which a test can break while media flows on.

import { connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { ADDRESS, type Server } from "./server.ts";

/** Forwards TCP connections to a server. */
export class SignalingPath {
  readonly #listener: NetServer;
  readonly #sockets = new Set<Socket>();
  #open = true;

  private constructor(server: Server) {
    this.#listener = createServer((socket) => this.#forward(socket, server.port));
  }

  static async to(server: Server): Promise<SignalingPath> {
    const path = new SignalingPath(server);
    await new Promise<void>((resolve) => path.#listener.listen(0, ADDRESS, resolve));
    return path;
  }

  /** Returns a link of the server as it is reached through this path. */
  link(link: string): string {
    const address = this.#listener.address();
    if (address === null || typeof address === "string") throw new Error("the path does not listen");
    const url = new URL(link);
    url.port = String(address.port);
    return url.href;
  }

  /** Closes every connection, and accepts none until `mend`. */
  cut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Ends `cut`. */
  mend(): void {
    this.#open = true;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #forward(socket: Socket, port: number): void {
    if (!this.#open) {
      socket.destroy();
      return;
    }
    const onward = connect(port, ADDRESS);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      this.#sockets.add(one);
      // A reset of one side is passed on by closing the other.
      one.on("error", () => other.destroy());
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
}

import { expect, test } from "vitest";
import type { ConnectionStatus } from "../src/index.ts";
import { isShown } from "../src/page/connection-banner.ts";
import { lossOf } from "../src/page/loss.ts";

function status(change: Partial<ConnectionStatus>): ConnectionStatus {
  return { state: "reconnecting", since: 1_000, cause: "network", error: null, nextAttempt: null, ...change };
}

test("a connection that stands is no loss", () => {
  expect(lossOf(status({ state: "connected" }), "connected")).toBeNull();
});

test("nothing is shown for two seconds", () => {
  const loss = { cause: "offline", since: 1_000 } as const;
  expect([2_999, 3_000].map((now) => isShown(loss, now))).toEqual([false, true]);
});

test("while media flows, lost signaling is not worth a word for ten seconds", () => {
  const loss = lossOf(status({ state: "interrupted", cause: "server" }), "connected");
  expect(loss).toEqual({ cause: "signaling", since: 1_000 });
  expect([10_999, 11_000].map((now) => loss !== null && isShown(loss, now))).toEqual([false, true]);
});

test("media that does not get through is blocked, and stays so until it flows", () => {
  const media = status({ state: "interrupted", cause: "media" });
  expect(lossOf(media, "interrupted")?.cause).toBe("media");
  expect(lossOf(media, "blocked")?.cause).toBe("media-blocked");
  expect(lossOf(status({ cause: "server" }), "blocked")?.cause).toBe("media-blocked");
});

test("an offline device is called so, whatever else is gone", () => {
  expect(lossOf(status({ cause: "offline" }), "interrupted")?.cause).toBe("offline");
  expect(lossOf(status({ cause: "server" }), "interrupted")?.cause).toBe("server-unreachable");
});

import { expect, test } from "vitest";
import { ProblemLog } from "../src/page/problem-log.ts";

test("a problem that lasts goes when it is solved, or its participant leaves; an event stays", () => {
  const log = new ProblemLog();
  log.add({ code: "keys-refused", participant: 3 }, "keys");
  log.add({ code: "roster-differs", participant: 3 }, "differs");
  log.add({ code: "key-missing", participant: 4 }, "missing");
  expect([log.sentences, log.warns]).toEqual([["keys", "differs", "missing"], true]);
  log.solve({ code: "roster-differs", participant: 3 });
  log.left(4);
  log.left(3);
  expect(log.sentences).toEqual(["keys"]);
});

test("encryption that stopped and goes on is listed, and no warning", () => {
  const log = new ProblemLog();
  log.add({ code: "encryption-stopped", participant: null }, "stopped");
  expect([log.sentences, log.warns]).toEqual([["stopped"], false]);
});

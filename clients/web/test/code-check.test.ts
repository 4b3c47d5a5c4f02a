import { beforeEach, describe, expect, it } from "vitest";
import type { CallCode } from "../src/call-code.ts";
import { CodeCheck } from "../src/page/code-check.ts";

const code = (text: string): CallCode => ({ text, groups: [text] });

let check: CodeCheck;
let outdated: number;
beforeEach(() => {
  check = new CodeCheck(code("a"));
  outdated = 0;
  check.on("outdated", () => {
    outdated += 1;
  });
});

describe("CodeCheck", () => {
  it("holds a match until the code changes, and says what happened since", () => {
    check.happened("Bo joined.");
    check.compare(code("a"), "matches");
    expect([check.comparison, check.changes]).toEqual(["matches", []]);
    check.happened("Cy joined.");
    check.code = code("b");
    expect([check.comparison, check.changes, outdated]).toEqual(["outdated", ["Cy joined."], 1]);
    check.happened("Bo left.");
    check.code = code("c");
    expect([check.comparison, check.changes, outdated]).toEqual(["outdated", ["Cy joined.", "Bo left."], 1]);
    check.compare(code("c"), "matches");
    expect([check.comparison, check.changes]).toEqual(["matches", []]);
  });

  it("refuses an answer about a code that is not the present one", () => {
    check.code = code("b");
    check.compare(code("a"), "matches");
    expect(check.comparison).toBe("none");
  });

  it("claims nothing while there is no code", () => {
    check.compare(code("a"), "matches");
    check.code = null;
    expect(check.comparison).toBe("outdated");
    check.compare(code("a"), "matches");
    expect(check.comparison).toBe("outdated");
  });

  it("holds a mismatch for the code that differed", () => {
    check.compare(code("a"), "differs");
    expect(check.comparison).toBe("differs");
    check.code = code("b");
    expect([check.comparison, outdated]).toEqual(["none", 0]);
    check.reset();
    expect(check.comparison).toBe("none");
  });

  it("keeps a bounded number of changes", () => {
    check.compare(code("a"), "matches");
    for (let i = 0; i < 1_000; i += 1) check.happened(`${i} joined.`);
    expect(check.changes).toHaveLength(6);
    expect(check.changes.at(-1)).toBe("995 more changes.");
  });
});

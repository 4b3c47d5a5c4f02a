#!/usr/bin/env python3
"""Checks docs/security/unsafe.md against the code: which files have `unsafe`, and how often. Exits with 1 if they differ.

`unsafe.py --print` prints the files and counts as the code has them. Comments, strings and lint attributes do not count.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "docs/security/unsafe.md"
# Comments, strings and character literals, in the order in which they may hide each other.
HIDDEN = re.compile(r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\'', re.DOTALL)


def in_code():
    counts = {}
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "*.rs"], capture_output=True, check=True).stdout
    for path in filter(None, files.decode().split("\0")):
        if not (ROOT / path).is_file():
            continue
        code = HIDDEN.sub(" ", (ROOT / path).read_text())
        if count := len(re.findall(r"\bunsafe\b", code)):
            counts[path] = count
    return counts


def in_inventory():
    rows = re.findall(r"^\| `([^`]+\.rs)` \| (\d+) \|", INVENTORY.read_text(), re.MULTILINE)
    return {path: int(count) for path, count in rows}


def main():
    code = in_code()
    if sys.argv[1:] == ["--print"]:
        for path, count in code.items():
            print(f"| `{path}` | {count} | |")
        return 0
    inventory = in_inventory()
    for path in sorted(code.keys() | inventory.keys()):
        if code.get(path, 0) != inventory.get(path, 0):
            print(f"{path}: {code.get(path, 0)} times `unsafe`, and {inventory.get(path, 0)} in {INVENTORY.relative_to(ROOT)}")
    return 0 if code == inventory else 1


if __name__ == "__main__":
    sys.exit(main())

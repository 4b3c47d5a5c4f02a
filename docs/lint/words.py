#!/usr/bin/env python3
"""Finds the dropped words of docs/glossary.md in tracked files; exits with 1 if there are any.

`words.py [PATH…]` looks only at these paths. The list is the block ```dropped of the glossary: word, replacement,
contexts in which it is allowed (glob patterns of paths, or /regular expressions/ of lines), separated by `|`.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLOSSARY = "docs/glossary.md"
# The list itself, text that quotes others, and files that tools write.
EXEMPT = [GLOSSARY, "docs/lint/*", "docs/decisions/*", "CHANGELOG.md", "LICENSE*", "*.lock", "*package-lock.json",
          "*/fuzz/corpus/*", "*/corpus/*", "*.png", "*.json"]
READ = (".rs", ".ts", ".tsx", ".css", ".html", ".md", ".toml", ".py", ".c", ".h", ".sh", ".yml", ".svg")


def dropped():
    block = (ROOT / GLOSSARY).read_text().split("```dropped\n")[1].split("\n```")[0]
    for line in filter(str.strip, block.splitlines()):
        # A `|` inside /…/ or (…) belongs to a pattern; the separator has a space before it.
        fields = [field.strip() for field in re.split(r"\s\|\s", line)]
        word, instead, contexts = fields[0], fields[1], fields[2].split() if len(fields) > 2 and not fields[2].startswith("/") \
            else fields[2:3]
        yield re.compile(rf"(?<![a-z]){word}(?![a-z])", re.IGNORECASE), word, instead, contexts


def allowed(contexts, path, line):
    for context in contexts:
        if context.startswith("/"):
            if re.search(context.strip("/"), line):
                return True
        elif fnmatch.fnmatch(path, context):
            return True
    return False


def main():
    listed = subprocess.run(["git", "ls-files", "--", *sys.argv[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    words, found = list(dropped()), 0
    for path in listed.stdout.splitlines():
        name = path.rsplit("/", 1)[-1]
        if not (path.endswith(READ) or name in ("Makefile", "Dockerfile", "run")) or any(fnmatch.fnmatch(path, e) for e in EXEMPT):
            continue
        for number, line in enumerate((ROOT / path).read_text(errors="replace").splitlines(), 1):
            for pattern, _, instead, contexts in words:
                # Identifiers are words too: `no_picture` and `PictureSize`.
                spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", line)
                match = pattern.search(spaced)
                if match and not allowed(contexts, path, line):
                    print(f"{path}:{number}: “{match[0]}”: write {instead}")
                    found += 1
    if found:
        print(f"{found} dropped words; docs/glossary.md says why")
    return 1 if found else 0


sys.exit(main())

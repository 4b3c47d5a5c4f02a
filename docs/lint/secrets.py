#!/usr/bin/env python3
"""Finds what looks like a secret in tracked files; exits with 1 if there is any.

`secrets.py --history` also reads every version of every file that git has. A line that holds no secret, such as a test's, is
excused by a pattern in ALLOWED with its reason; there is no way to excuse a whole file except those that hold vectors.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {
    "private key": rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s*(?:\\n)?\s*[A-Za-z0-9+/=]{16}",
    "room link": rb"/r/[A-Za-z0-9_-]{22}#[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",
    "AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,})",
    "npm, PyPI or crates.io token": rb"\b(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,}|cio[A-Za-z0-9]{32})\b",
    "Slack or Google key": rb"\b(?:xox[abpr]-[A-Za-z0-9-]{20,}|AIza[A-Za-z0-9_-]{35})\b",
    "bearer token": rb"[Bb]earer [A-Za-z0-9_.+/-]{24,}",
    "password in a URL": rb"\b[a-z][a-z0-9+]*://[^\s/:@'\"<>{}$]+:[^\s/@'\"<>{}$]{6,}@",
    "assigned secret": rb"(?i)\b(?:api_?key|secret|password|passwd|auth_?token)[\"']?\s*[:=]\s*[\"'](?=[^\"']*[0-9])(?=[^\"']*[A-Za-z])[A-Za-z0-9+/_=-]{24,}[\"']",
}
# Random bytes that look like text.
BINARY = ["*/corpus/*", "*.png", "*.wasm", "*.ico", "*.woff2", "*.h264", "*.ivf"]
# Secrets of the published vectors, which everyone must know.
VECTORS = ["*/vectors/*.json"]
ALLOWED = [
    # Repeated characters and words are no randomness: AAAA…, correct horse battery staple.
    re.compile(rb"([A-Za-z0-9_])\1{15}"),
]


def is_read(path):
    return not any(fnmatch.fnmatch(path, pattern) for pattern in BINARY + VECTORS)


def findings(path, contents):
    if b"\0" in contents[:8_192]:
        return
    for kind, pattern in KINDS.items():
        for found in re.finditer(pattern, contents):
            if not any(allowed.search(found.group()) for allowed in ALLOWED):
                line = contents.count(b"\n", 0, found.start()) + 1
                # Only the beginning: a log of a build is public.
                yield f"{path}:{line}: {kind}: {found.group()[:12].decode(errors='replace')}…"


def git(*arguments, stdin=None):
    return subprocess.run(["git", "-C", str(ROOT), *arguments], input=stdin, capture_output=True, check=True).stdout


def tracked():
    for path in git("ls-files", "-z").decode().split("\0"):
        file = ROOT / path
        if path and is_read(path) and file.is_file():
            yield from findings(path, file.read_bytes())


def history():
    if git("rev-parse", "--is-shallow-repository").strip() == b"true":
        print("the history is cut off here (a shallow clone): only what is there is read", file=sys.stderr)
    objects = dict(line.split(" ", 1) for line in git("rev-list", "--objects", "--all").decode().splitlines()
                   if " " in line and not line.endswith(" "))
    wanted = [identity for identity, path in objects.items() if is_read(path)]
    output = git("cat-file", "--batch", stdin="\n".join(wanted).encode())
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        identity, kind, size = output[at:end].decode().split()
        contents = output[end + 1:end + 1 + int(size)]
        at = end + 2 + int(size)
        if kind == "blob":
            yield from findings(f"{objects[identity]}@{identity[:10]}", contents)


def self_test():
    """Each kind is found, in words that this file does not contain itself."""
    letters = "q7Zk2mWx9Lp4Rt6Vb8Ny3Hd5Jf1Gs0Cc" * 2
    samples = [
        "-----BEGIN " + "PRIVATE KEY-----\n" + letters, "http://h/r/" + letters[:22] + "#" + letters[:43],
        "AKIA" + "Q7ZK2MWX9LP4RT6V", "ghp_" + letters[:36], "npm_" + letters[:36], "AIza" + letters[:35],
        "Authorization: Bearer " + letters[:30], "postgres://user:" + letters[:10] + "@host/", "api_key = '" + letters[:30] + "'",
    ]
    for sample in samples:
        assert list(findings("sample", sample.encode())), sample[:20]
    for harmless in ["Bearer k3y", "#" + "A" * 43, "password = 'correct horse battery staple'"]:
        assert not list(findings("sample", harmless.encode())), harmless


def main():
    self_test()
    found = sorted(set(tracked()) | (set(history()) if "--history" in sys.argv[1:] else set()))
    for line in found:
        print(line)
    if found:
        print(f"{len(found)} possible secrets", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Refuses, in the web client's source, what turns text into code or markup, or sends messages to any origin.

The page shows names and links that other people write. It builds elements from text nodes and attributes alone, so that there
is nothing to escape; the content security policy is the second line of defence, not the first.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SINKS = {
    "markup from text": r"\.(?:inner|outer)HTML\b|\.insertAdjacentHTML\b|\bdocument\.write(?:ln)?\b|\bsrcdoc\b|\bcreateContextualFragment\b"
                        r"|\bsetHTMLUnsafe\b|\bDOMParser\b|\bv-html\b|\bdangerouslySetInnerHTML\b",
    "code from text": r"\beval\s*\(|\bnew Function\b|\bset(?:Timeout|Interval)\s*\(\s*[\"'`]|javascript:|\bimportScripts\b",
    "a message to any origin": r"\.postMessage\([^)\n]*[\"']\*[\"']",
    "handler as attribute": r"setAttribute\(\s*[\"'`]on",
    "randomness that can be guessed": r"\bMath\.random\b",
    "script from elsewhere": r"(?:src|href)\s*=\s*[\"']https?://",
    "lasting secret": r"\b(?:localStorage|sessionStorage|indexedDB)\b[^\n]*\b(?:secret|invite|key)\b",
}
# A line that is right as it is: file, pattern of the line, and why.
ALLOWED = [
    ("src/retry.ts", r"random: \(\) => number = Math.random", "spreads retries in time"),
]


def main():
    found = []
    for path in sorted((ROOT / "clients/web").rglob("*")):
        relative = path.relative_to(ROOT / "clients/web")
        if path.suffix not in (".ts", ".html") or relative.parts[0] not in ("src", "index.html"):
            continue
        if path.name.endswith(".test.ts"):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = re.sub(r"^\s*(?://|\*|/\*).*", "", line)
            for kind, pattern in SINKS.items():
                if re.search(pattern, code) and not any(path.match(file) and re.search(text, line) for file, text, _ in ALLOWED):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {kind}: {line.strip()[:100]}")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

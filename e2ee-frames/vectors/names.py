"""Names as they are shown, written from their description with the Unicode data of Python.

Of what characters look like it knows what the vectors use: compatibility forms, and some letters of Greek and Cyrillic.
"""

import unicodedata

MAX_GRAPHEMES = 60
MAX_BYTES = 256
MAX_MARKS = 4
NAMELESS = "Guest"
# Default-ignorable characters that are neither controls nor formats, and characters without ink that are no spaces.
IGNORABLE = set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(point) for start, end in ((0xFE00, 0xFE10), (0xE0000, 0xE1000), (0x180B, 0x1810)) for point in range(start, end)
}
BLANK = set("\u2800\U0001d159\U00013441\U00013442")
LOOKS_LIKE = {"0": "O", "1": "l", "I": "l", "|": "l", "`": "'", '"': "''", "m": "rn"}
LOOKS_LIKE |= {"\u0410": "A", "\u0430": "a", "\u05d5": "l"}


def visible(text):
    for character in text:
        category = unicodedata.category(character)
        if character.isspace() or category in ("Zs", "Zl", "Zp") or character in BLANK:
            yield " "
        elif category in ("Cc", "Cf", "Co", "Cs") or character in IGNORABLE or ord(character) & 0xFFFE == 0xFFFE:
            continue
        else:
            yield character


def cut(text, most_graphemes, most_bytes):
    out, graphemes, marks, space = "", 0, 0, False
    for character in text:
        if character == " ":
            space = bool(out)
            continue
        if unicodedata.category(character).startswith("M"):
            marks += 1
            if not out or space or marks > MAX_MARKS:
                continue
        else:
            graphemes += 1 + space
            marks = 0
        longer = out + " " * space + character
        if graphemes > most_graphemes or len(longer.encode()) > most_bytes:
            break
        out, space = longer, False
    return out


def harmless(name):
    before = None
    while name != before:
        before = name
        name = cut(unicodedata.normalize("NFC", "".join(visible(name))), MAX_GRAPHEMES, MAX_BYTES)
    return name or NAMELESS


def skeleton(name):
    decomposed = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", name))
    looks = "".join(LOOKS_LIKE.get(character, character) for character in decomposed)
    return "".join(character.lower() if character.isascii() else character for character in looks)


def numbered(names):
    cleaned, shown = [], []
    for name in map(harmless, names):
        candidate, number = name, max(1, [skeleton(other) for other in cleaned].count(skeleton(name)))
        while skeleton(candidate) in map(skeleton, shown):
            number += 1
            suffix = f" {number}"
            candidate = cut(name, MAX_GRAPHEMES - len(suffix), MAX_BYTES - len(suffix)) + suffix
        cleaned.append(name)
        shown.append(candidate)
    return shown

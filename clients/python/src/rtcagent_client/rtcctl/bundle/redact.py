"""Takes secrets out of texts: tokens, keys, passwords, and the credentials in addresses."""

import re
from collections.abc import Callable, Iterable

REMOVED = "[removed]"
SHORTEST_KNOWN = 4  # a known secret shorter than this would take every other word along

_NAMES = (
    r"[\w.-]*(?:secret|password|passwd|passphrase|token|credential|api[_-]?key|private[_-]?key|ice-pwd|ice-ufrag|pwd)"
)
_NO_SECRET = r"(?!true\b|false\b|null\b|none\b|\[removed\])"

_PATTERNS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REMOVED),
    # JSON Web Tokens, which room tokens are
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), REMOVED),
    (re.compile(r"(?i)\b(bearer|basic|digest)\s+[\w+/=.~-]{6,}"), rf"\1 {REMOVED}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^/\s\"'<>@]+@"), rf"\1{REMOVED}@"),
    (
        re.compile(r"(?i)([?&][\w.-]*(?:token|secret|password|passwd|pwd|auth|key|sig|signature)=)[^&\s\"'<>]+"),
        rf"\1{REMOVED}",
    ),
    # name = value, name: value, "name": "value"
    (
        re.compile(rf"(?i)({_NAMES}[\"']?\s*(?:=|:(?=\s*[\"'])|:(?=\S))\s*)([\"'])(?!\[removed\])[^\"'\n]*\2"),
        rf"\1\2{REMOVED}\2",
    ),
    (re.compile(rf"(?i)({_NAMES}\s*=\s*|(?:ice-pwd|ice-ufrag):){_NO_SECRET}[^\s\"',;}}\]]+"), rf"\1{REMOVED}"),
]


def redactor(known: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that takes secrets out of a text: those that have the form of one, and those that are known."""
    secrets = sorted({each for each in known if len(each) >= SHORTEST_KNOWN}, key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, REMOVED)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    return redact

"""Tokens of typed form that builds leave in texts: dates, hosts and users, commits, random ids, versions. A mask replaces each by its form.

Every repetition in a pattern is bounded, and none can match one text in two ways that multiply: the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_DAY = rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? {1,2})?"
_YEAR = rb"(?:19|20)\d\d"
_CLOCK = rb"[0-2]?\d:[0-5]\d(?::[0-6]\d)?(?:\.\d{1,9})?(?: ?[AP]M)?"
_ZONE = rb"(?: ?(?:Z|UTC|GMT|[A-Z]{3,4}|[+-]\d\d:?\d\d))?"
_DATE = re.compile(
    rb"|".join(
        [
            _DAY + _MONTH + rb" {1,2}\d{1,2},? (?:" + _CLOCK + rb"(?: [A-Z]{3,5})? )?" + _YEAR,
            _DAY + rb"\d{1,2}[ -]" + _MONTH + rb"[ -]" + _YEAR + rb"(?:,? " + _CLOCK + _ZONE + rb")?",
            _MONTH + rb" " + _YEAR,
            rb"(?<!\d)" + _YEAR + rb"[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:[T ]" + _CLOCK + _ZONE + rb")?(?!\d)",
            rb"(?<!\d)[0-3]?\d[/.][01]?\d[/.]" + _YEAR + rb"(?: " + _CLOCK + _ZONE + rb")?(?!\d)",
            rb"(?<!\d)" + _YEAR + rb"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T.-]?[0-2]\d[0-5]\d(?:[0-5]\d)?Z?)?(?!\d)",
            rb"(?<![\d:])" + _CLOCK + rb"(?![\d:])",
            rb"(?<!\d)1\d{9}(?:\d{3})?(?!\d)",
            rb"(?i:copyright|\(c\)|\xc2\xa9)[^\n\d]{0,40}" + _YEAR,
        ]
    )
)
_WHO = rb"[A-Za-z0-9_][\w.@-]{0,95}"
_PERSON = re.compile(
    rb"(?<![\w.@-])[A-Za-z_][\w.-]{0,31}@[A-Za-z0-9][\w.-]{0,63}"
    rb"|(?<=/home/)[\w.-]{1,32}|(?<=/Users/)[\w.-]{1,32}"
    rb"|(?<![A-Za-z])(?i:hostname|host|nodename|machine|username|user|built[ ._-]?by|builder"
    rb"|packager|whoami|uname|(?:built|compiled|created|packaged|generated)[ ._-]?(?:by|on|at))[\"']?(?: {0,3}[=:] {0,3}| )[\"']?"
    + _WHO
    + rb"(?: (?:on|at) "
    + _WHO
    + rb")?"
)
_STATE = re.compile(
    rb"(?<![0-9A-Za-z])g?[0-9a-f]{40}(?![0-9A-Za-z])"
    rb"|-\d{1,6}-g[0-9a-f]{6,40}(?:-dirty|\+)?|(?<![A-Za-z])g(?=[0-9a-f]{0,10}\d)[0-9a-f]{7,12}(?![0-9A-Za-z])"
    rb"|(?<![0-9A-Za-z])(?=[0-9a-f]{0,11}\d)(?=[0-9a-f]{0,11}[a-f])[0-9a-f]{7,12}(?![0-9A-Za-z])"
    rb"|-dirty|(?<![A-Za-z])dev\d{1,6}|\+d20\d{6}|\.d20\d{6}"
    rb"|(?<![A-Za-z])(?i:branch|describe|describe-name|tag|ref-names)[\"']?(?: {0,3}[=:] {0,3})[\"']?[\w./-]{1,80}"
)
_UUID = rb"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
_RANDOM = re.compile(_UUID + rb"|(?<=tmp)[A-Za-z0-9_.]{6,12}|(?<![\w+/-])[A-Za-z0-9+/_-]{16,128}={0,2}(?![\w+/=])")
_VERSION = re.compile(
    rb"(?<![\w.])v?\d{1,6}(?:\.\d{1,6}){1,3}(?:[-+.]?[A-Za-z]{1,10}\.?\d{0,6})?(?![\w])|(?<![\w])(?:sha\d{1,3}-)?[A-Za-z0-9+/_-]{32,128}={0,2}"
)
_DIGEST_WORD = re.compile(rb"(?i)sha-?\d|md5|digest|checksum|integrity|hash|fingerprint|signature|blake")
_DIGEST = re.compile(rb"(?<![0-9a-zA-Z])[0-9a-fA-F]{32,128}(?![0-9a-zA-Z])|[A-Za-z0-9+/_-]{32,128}={0,2}")
LOCKS = re.compile(
    r"(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|(?:Cargo|poetry|uv|Pipfile|composer|Gemfile|flake|pdm)\.lock|go\.sum"
    r"|(?:requirements|constraints)[\w.-]{0,40}\.txt|[\w.-]{1,60}\.(?:cdx|spdx)\.json)"
)
"""Names of files that list versions of dependencies."""


def dates(text: bytes) -> bytes:
    """The text with every date and time replaced."""
    return _DATE.sub(b"\0D", text)


def people(text: bytes) -> bytes:
    """The text with what is named as a host or user replaced, and everything of the form ``user@host``."""
    return _PERSON.sub(b"\0U", text)


def commits(text: bytes) -> bytes:
    """The text with commits, and what version tools derive from them, replaced."""
    return _STATE.sub(b"\0G", text)


def randoms(text: bytes) -> bytes:
    """The text with unguessable names replaced; no digest that is called so, for that says what something else has to be."""
    named = _DIGEST_WORD.search(text) is not None
    return _RANDOM.sub(lambda found: found[0] if not _is_random(found[0]) or (named and _DIGEST.fullmatch(found[0])) else b"\0R", text)


def versions(text: bytes) -> bytes:
    """The text with versions and digests replaced: for lists of dependencies."""
    return _VERSION.sub(b"\0V", text)


def _is_random(token: bytes) -> bool:
    """Whether a token mixes digits and letters as nobody who writes names does."""
    digits = sum(48 <= byte <= 57 for byte in token)
    return 2 <= digits < len(token) and len(set(token)) >= min(8, len(token) - 2) and not token.isdigit()


Mask = Callable[[bytes], bytes]
MASKS: tuple[tuple[str, Mask], ...] = (("git-state", commits), ("embedded-date", dates), ("host-or-user", people), ("random", randoms))
"""Cause and mask, the narrower forms first."""

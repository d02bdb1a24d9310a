"""Tells a token that was refused because this machine's clock is wrong from one that is bad."""

import re
from datetime import UTC, datetime

from rtcagent.engine.v1 import engine_pb2 as en
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.control.events import cause
from rtcagentd.control.server_probe import look

# Room servers forgive a minute; below this a clock is not why they refused.
WRONG_BY_S = 30.0
_ABOUT_TIME = re.compile(
    r"expired|not valid yet|not yet valid|\bnbf\b|\bexp\b|\biat\b|issued in the future", re.IGNORECASE
)


async def explain(failure: en.Failure, server_url: str) -> en.Failure:
    """`failure` of a join; as CLOCK_WRONG, which passes, where the token's time was refused and the clocks differ."""
    if failure.cause.reason != ty.REASON_TOKEN_REJECTED or not _ABOUT_TIME.search(failure.cause.message):
        return failure
    theirs = (await look(server_url)).date
    ours = datetime.now(UTC)
    if theirs is None or theirs.tzinfo is None:
        return failure
    ahead_s = (ours - theirs).total_seconds()
    if abs(ahead_s) < WRONG_BY_S:
        return failure
    where = "ahead of" if ahead_s > 0 else "behind"
    message = (
        f"this machine's clock is {_in_words(abs(ahead_s))} {where} the room server's, which therefore refused the "
        "token: set it, by NTP for example"
    )
    return en.Failure(cause=cause(ty.REASON_CLOCK_WRONG, message))


def _in_words(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"

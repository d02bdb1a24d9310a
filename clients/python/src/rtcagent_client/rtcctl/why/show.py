"""What `rtcctl why` prints."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from rtcagent_client.errors import describe_cause
from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.render.events import event_line
from rtcagent_client.rtcctl.screen import Screen, to_dict
from rtcagent_client.rtcctl.why.chain import Chain, Link, Verdict
from rtcagent_client.rtcctl.why.history import Since
from rtcagent_client.rtcctl.why.next_steps import next_step

_MARKS = {Verdict.OK: ("=", "green"), Verdict.BROKEN: ("!", "red"), Verdict.UNKNOWN: ("?", "dim")}
_NAME_WIDTH = len("publication")


def show_chain(chain: Chain, since: Since | None, screen: Screen) -> None:
    """The links, then the first broken one: since when, and what to do."""
    broken = chain.broken
    if broken is None:
        screen.line(f"{screen.paint(chain.name, 'bold')}: {screen.paint('nothing is broken', 'green')}")
    else:
        said = screen.paint(f"broken at {broken.name}", "red")
        screen.line(f"{screen.paint(chain.name, 'bold')}: {said}")
    for link in chain.links:
        mark, colour = _MARKS[link.verdict]
        texts = [link.text] if link.text else []
        if link.verdict is Verdict.BROKEN:
            texts.append(describe_cause(link.cause) if link.cause.reason else "")
        if link.verdict is Verdict.UNKNOWN and not texts:
            texts.append("-")
        text = ": ".join(filter(None, texts))
        screen.line(f"  {screen.paint(mark, colour)} {link.name.ljust(_NAME_WIDTH)}  {text}")
    if broken is None:
        return
    begun, event = begin(broken, since)
    screen.line(f"  {'since'.ljust(_NAME_WIDTH + 2)}  {_since_text(broken, begun, event, since)}")
    if event is not None:
        screen.line(f"  {'event'.ljust(_NAME_WIDTH + 2)}  {' '.join(event_line(event, screen).split())}")
    screen.line(f"  {'next'.ljust(_NAME_WIDTH + 2)}  {next_step(broken.cause.reason, broken.name)}")


def begin(broken: Link, since: Since | None) -> tuple[Timestamp | None, Any]:
    """Since when the link is broken, and the event that broke it; what was asked for later cannot be broken longer."""
    event = since.event if since is not None else None
    ordered = broken.order.at if broken.order is not None and broken.order.HasField("at") else None
    if event is not None and (ordered is None or event.at.ToNanoseconds() >= ordered.ToNanoseconds()):
        return event.at, event
    if ordered is not None:
        return ordered, None
    return None, None


def _since_text(broken: Link, begun: Timestamp | None, event: Any, since: Since | None) -> str:
    if begun is not None:
        return f"{phrases.clock(begun)} ({ago(begun)}){', since it was asked for' if event is None else ''}"
    if since is None or since.oldest is None:
        return "ever"
    begins = f"the log, which begins {phrases.clock(since.oldest.at)}"
    return f"no order about it is in {begins}" if broken.name == "order" else f"it was broken before {begins}"


def ago(at: Timestamp) -> str:
    """ "3 min ago" """
    now = Timestamp()
    now.GetCurrentTime()
    seconds = max(0, now.seconds - at.seconds)
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            count = seconds // size
            return f"{phrases.plural(count, unit) if unit == 'day' else f'{count} {unit}'} ago"
    return f"{seconds} s ago" if seconds > 1 else "just now"


def as_document(chain: Chain, since: Since | None) -> dict[str, Any]:
    """The same for programs."""
    broken = chain.broken
    document: dict[str, Any] = {
        "room_id": chain.room_id,
        "source_id": chain.source_id,
        "links": [
            {"name": link.name, "state": link.verdict.value, "text": link.text}
            | ({"cause": to_dict(link.cause)} if link.verdict is Verdict.BROKEN else {})
            for link in chain.links
        ],
        "broken": broken.name if broken is not None else None,
    }
    if broken is not None:
        begun, event = begin(broken, since)
        document["since"] = begun.ToJsonString() if begun is not None else None
        document["event"] = to_dict(event) if event is not None else None
        document["next"] = next_step(broken.cause.reason, broken.name)
    return document

"""The calls of the service Rooms about statistics."""

from collections.abc import Iterable

from rtcagent.v1.statistics_pb2 import GetStatisticsRequest, SetStatisticsIntervalRequest, Statistics
from rtcagent.v1.types_pb2 import Keep, OrderResult

from rtcagent_client.requests.call import ANSWER_S, Call, order_call, order_options


def get_statistics(room_ids: Iterable[str] = (), *, over_ms: int = 0) -> Call[Statistics]:
    """How the streams of the rooms (empty: of all) get through, measured over the next `over_ms` (0: 1000)."""
    request = GetStatisticsRequest(room_ids=room_ids, over_ms=over_ms)
    answer_s = ANSWER_S + over_ms / 1000
    return Call("rooms", "GetStatistics", request, lambda response: response.statistics, answer_s=answer_s)


def set_statistics_interval(
    room_id: str,
    interval_ms: int,
    *,
    wait_ms: int | None = None,
    keep: Keep | None = None,
    request_id: str | None = None,
    check: bool = True,
) -> Call[OrderResult]:
    """Set how often statistics() tells of a room: 200-60000 ms, 0 for every 2000. NotFound: it was not asked to be in
    it.
    """
    request = SetStatisticsIntervalRequest(
        room_id=room_id, interval_ms=interval_ms, order=order_options(wait_ms, keep, request_id)
    )
    return order_call("rooms", "SetStatisticsInterval", request, wait_ms=wait_ms, check=check)

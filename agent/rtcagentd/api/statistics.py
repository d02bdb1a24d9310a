"""The calls of rtcagent.v1.Rooms about statistics."""

from collections.abc import AsyncIterator
from typing import Any

from rtcagent.v1 import statistics_pb2 as stat

from rtcagentd.api.ordering import OrderDesk
from rtcagentd.control import checks, user_info
from rtcagentd.control.errors import invalid
from rtcagentd.control.statistics import StatisticsDesk

DEFAULT_OVER_MS = 1000
MAX_OVER_MS = 10_000
MIN_OVER_MS = 200


class StatisticsCalls:
    """See proto/rtcagent/v1/rooms.proto. A part of RoomsService."""

    _desk: OrderDesk
    _statistics: StatisticsDesk

    async def GetStatistics(self, request: stat.GetStatisticsRequest, context: Any) -> stat.GetStatisticsResponse:
        _check_rooms(request)
        over_ms = request.over_ms or DEFAULT_OVER_MS
        if not MIN_OVER_MS <= over_ms <= MAX_OVER_MS:
            text = f"over_ms is {over_ms}, not {MIN_OVER_MS}-{MAX_OVER_MS}"
            raise invalid("over_ms", "INTERVAL_INVALID", text)
        return stat.GetStatisticsResponse(statistics=await self._statistics.over(request.room_ids, over_ms / 1000))

    async def WatchStatistics(
        self, request: stat.WatchStatisticsRequest, context: Any
    ) -> AsyncIterator[stat.WatchStatisticsResponse]:
        _check_rooms(request)
        yield stat.WatchStatisticsResponse()
        async for statistics in self._statistics.watch(request.room_ids):
            yield stat.WatchStatisticsResponse(statistics=statistics)

    async def SetStatisticsInterval(
        self, request: stat.SetStatisticsIntervalRequest, context: Any
    ) -> stat.SetStatisticsIntervalResponse:
        edits = user_info.set_statistics_interval(request)
        return stat.SetStatisticsIntervalResponse(
            result=await self._desk.take(request, request.order, edits, context, in_room=True)
        )


def _check_rooms(request: stat.GetStatisticsRequest | stat.WatchStatisticsRequest) -> None:
    for index, room_id in enumerate(request.room_ids):
        checks.room_id(room_id, f"room_ids[{index}]")

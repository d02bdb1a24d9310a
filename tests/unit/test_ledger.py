"""Orders as edits: stored once, numbered, undone as a whole, repeated without effect."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rtcagent.v1 import event_pb2 as ev
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagentd.control.errors import OrderError, not_found
from rtcagentd.control.keeping import Keeper
from rtcagentd.control.ledger import Edit, Ledger, Order, digest_of
from rtcagentd.control.objects import Key, capture_key, key_of, ref_of, room_key, stream_key, subscription_key
from rtcagentd.control.state import State
from rtcagentd.control.wall_clock import WallClock
from rtcagentd.journal.journal import Journal
from rtcagentd.journal.retention import Retention
from rtcagentd.store.database import Database

BOOT = "this boot"


@contextlib.asynccontextmanager
async def opened(path: Path, boot_id: str = BOOT) -> AsyncIterator[tuple[State, Ledger]]:
    async with Database(path) as database:
        journal = Journal(database, Retention(10_000, 3600.0, 1 << 30))
        await journal.open()
        state = State(database, journal)
        await state.load()
        yield state, Ledger(state, boot_id)


def order(request_id: str = "", digest: bytes = b"", keep: ty.Keep.Kind.ValueType = ty.Keep.KIND_FOREVER) -> Order:
    return Order("JoinRoom", ty.Controller(identity="ann"), ty.Keep(kind=keep), request_id, digest)


def join(room_id: str, extra_info: str = "") -> ty.RoomConfig:
    return ty.RoomConfig(room_id=room_id, extra_info=extra_info)


def put_room(room_id: str, extra_info: str = "", token: str = ""):  # type: ignore[no-untyped-def]
    return lambda edits: edits.put(room_key(room_id), st.DesiredRoom(config=join(room_id, extra_info)), token)


@pytest.mark.parametrize(
    "key",
    [
        room_key("demo"),
        capture_key("camera"),
        stream_key("demo", "camera"),
        subscription_key("demo", "ann@x", 1, "a/b c"),
        Key("slot", "front-cam"),
    ],
)
def test_a_reference_names_the_key_that_it_was_made_of(key: Key) -> None:
    assert key_of(ref_of(key)) == key


async def test_an_order_is_kept_with_who_gave_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (_, ledger):
        taken = await ledger.take(order(), put_room("demo", token="secret-token"))
    async with opened(tmp_path / "a.db") as (state, _):
        row = state.rows[room_key("demo")]
        assert (taken.revision, state.revision, row.revision) == (1, 1, 1)
        assert row.secret == "secret-token"
        assert row.body.order.controller.identity == "ann"
        assert "secret-token" not in str(state.desired())


async def test_repeating_an_order_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (_, ledger):
        first = await ledger.take(order(), put_room("demo"))
        again = await ledger.take(order(), put_room("demo"))
        other = await ledger.take(order(), put_room("demo", '{"a":1}'))
        assert (first.revision, again.revision, other.revision) == (1, 1, 2)
        assert again.objects == {room_key("demo"): True}


async def test_a_refused_order_stores_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, ledger):
        await ledger.take(order(), put_room("one"))

        def half(edits: Edit) -> None:
            put_room("two")(edits)
            raise not_found("X", "no")

        with pytest.raises(OrderError):
            await ledger.take(order("r1"), half)
        assert state.revision == 1
        assert list(state.rows) == [room_key("one")]
        await ledger.take(order("r1"), put_room("three"))  # the request_id was not used up
        assert state.revision == 2


async def test_a_request_id_has_one_effect_across_restarts(tmp_path: Path) -> None:
    digest = digest_of("JoinRoom", b"x")
    async with opened(tmp_path / "a.db") as (state, ledger):
        await ledger.take(order("r1", digest), put_room("demo"))
        await ledger.take(order(), lambda edits: edits.remove_room(room_key("demo")))
    async with opened(tmp_path / "a.db") as (state, ledger):
        again = await ledger.take(order("r1", digest), put_room("demo"))
        assert again.revision == 1
        assert again.objects == {room_key("demo"): True}
        assert not state.rows
        with pytest.raises(OrderError) as refused:
            await ledger.take(order("r1", digest_of("JoinRoom", b"y")), put_room("other"))
        assert refused.value.reason == "REQUEST_ID_REUSED"


async def test_leaving_a_room_takes_its_streams_and_subscriptions_along(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, ledger):

        def everything(edits: Edit) -> None:
            for room_id in ("demo", "demo2"):
                put_room(room_id)(edits)
                edits.put(stream_key(room_id, "camera"), st.DesiredStream(room_id=room_id, source_id="camera"))
                edits.put(subscription_key(room_id, "ann", 1, ""), st.DesiredSubscription(room_id=room_id))

        await ledger.take(order(), everything)
        await ledger.take(order(), lambda edits: edits.remove_room(room_key("demo")))
        assert sorted(state.rows) == [
            room_key("demo2"),
            stream_key("demo2", "camera"),
            subscription_key("demo2", "ann", 1, ""),
        ]


async def test_an_order_for_this_boot_ends_with_the_boot(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, ledger):
        await ledger.take(order(keep=ty.Keep.KIND_THIS_BOOT), put_room("passing"))
        await ledger.take(order(keep=ty.Keep.KIND_FOREVER), put_room("lasting"))
        await Keeper(state, ledger, BOOT).end_overdue()
        assert len(state.rows) == 2
    async with opened(tmp_path / "a.db", "next boot") as (state, ledger):
        await Keeper(state, ledger, "next boot").end_overdue()
        assert list(state.rows) == [room_key("lasting")]


async def test_an_order_until_a_time_ends_then(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as (state, ledger):
        past = ty.Keep(kind=ty.Keep.KIND_UNTIL)
        past.until.FromSeconds(1)
        await ledger.take(Order("JoinRoom", ty.Controller(), past), put_room("over"))
        await Keeper(state, ledger, BOOT).end_overdue()
        assert not state.rows
        page = await state._journal.read(0)
        assert [entry.type for entry in page] == ["desired_state_changed", "order_ended"]  # type: ignore[union-attr]


class Clocks:
    """A wall clock that can be set, beside one that nobody sets."""

    def __init__(self) -> None:
        self.since_boot = 100.0
        self.set_by = 0.0

    def clock(self) -> WallClock:
        return WallClock(lambda: 1_000_000.0 + self.since_boot + self.set_by, lambda: self.since_boot)


def until(at_s: float) -> Order:
    keep = ty.Keep(kind=ty.Keep.KIND_UNTIL)
    keep.until.FromMilliseconds(int(at_s * 1000))
    return Order("JoinRoom", ty.Controller(), keep)


async def test_a_clock_that_leaps_and_is_put_right_ends_nothing(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "a.db") as (state, ledger):
        keeper = Keeper(state, ledger, BOOT, clocks.clock())
        await ledger.take(until(1_000_700), put_room("demo"))
        clocks.set_by = 86_400.0
        await keeper.end_overdue()
        clocks.since_boot += 20
        await keeper.end_overdue()
        clocks.set_by = 0.0
        clocks.since_boot += 300
        left_s = await keeper.end_overdue()
        assert left_s == pytest.approx(280)
        clocks.since_boot += 280
        await keeper.end_overdue()
        assert not state.rows


async def test_a_clock_that_was_set_forward_is_believed_half_a_minute_later(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "a.db") as (state, ledger):
        keeper = Keeper(state, ledger, BOOT, clocks.clock())
        await ledger.take(until(1_000_700), put_room("demo"))
        clocks.set_by = 86_400.0
        await keeper.end_overdue()
        clocks.since_boot += 29
        await keeper.end_overdue()
        assert state.rows
        clocks.since_boot += 1
        await keeper.end_overdue()
        assert not state.rows


async def test_a_clock_that_was_set_back_lets_an_order_hold_until_it_has_come_to_its_time(tmp_path: Path) -> None:
    clocks = Clocks()
    async with opened(tmp_path / "a.db") as (state, ledger):
        keeper = Keeper(state, ledger, BOOT, clocks.clock())
        await ledger.take(until(1_000_700), put_room("demo"))
        clocks.set_by = -3600.0
        clocks.since_boot += 600
        assert await keeper.end_overdue() == pytest.approx(3600)
        clocks.since_boot += 3600
        await keeper.end_overdue()
        assert not state.rows


async def test_a_clock_that_is_hurried_is_believed_as_it_is() -> None:
    clocks = Clocks()
    clock = clocks.clock()
    for _ in range(1000):
        clocks.since_boot += 30
        clocks.set_by += 0.015  # as much as the kernel slews
        assert clock.now() == 1_000_000.0 + clocks.since_boot + clocks.set_by


def shared(*screens: tuple[str, str]):  # type: ignore[no-untyped-def]
    """Each source, a screen, is captured and published in its room."""

    def edit(edits: Edit) -> None:
        for room_id, source_id in screens:
            put_room(room_id)(edits)
            config = ty.CaptureConfig(input=ty.VideoInput(screen=ty.VideoInput.Screen()))
            edits.put(capture_key(source_id), st.DesiredCapture(source_id=source_id, config=config))
            stream = st.DesiredStream(room_id=room_id, source_id=source_id, published=True)
            edits.put(stream_key(room_id, source_id), stream)

    return edit


async def test_a_screen_ends_with_the_last_room_that_it_is_shared_in(tmp_path: Path) -> None:
    """However the rooms end: one after the other, or at once; each end is told."""
    why = ty.Cause(reason=ty.REASON_KEEP_ENDED, message="over")
    async with opened(tmp_path / "a.db") as (state, ledger):
        await ledger.take(order(), shared(("one", "screen"), ("two", "screen"), ("two", "slides"), ("three", "far")))
        await ledger.end([room_key("one")], why)
        assert [key for key in state.rows if key.kind == "capture"] == [
            capture_key("screen"),
            capture_key("slides"),
            capture_key("far"),
        ]
        await ledger.end([room_key("two"), room_key("three")], why)
        assert not state.rows
        page = await state._journal.read(0)
        told = [ev.Event.FromString(entry.body) for entry in page]  # type: ignore[union-attr]
        ended = [key_of(one.order_ended.object) for one in told if one.HasField("order_ended")]
        assert sorted(ended) == sorted(
            [*map(room_key, ("one", "two", "three")), *map(capture_key, ("screen", "slides", "far"))]
        )

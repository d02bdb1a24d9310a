"""Streams of others: taken by default, by order, and not taken by order; in the state, and in what really arrives."""

from collections.abc import AsyncIterator

import pytest_asyncio
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty
from rtcagent_client import AsyncClient, fold

from tests.parts.bare_publisher import BarePublisher, still
from tests.parts.daemon import Daemon
from tests.parts.picture import make_bars
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

SUBSCRIBED, UNSUBSCRIBED = st.SUBSCRIPTION_STATE_SUBSCRIBED, st.SUBSCRIPTION_STATE_UNSUBSCRIBED


@pytest_asyncio.fixture
async def publisher(room_server: RoomServer) -> AsyncIterator[BarePublisher]:
    person = BarePublisher("face")
    await person.capture(still(make_bars(320, 240)))
    await person.join(room_server.url, room_server.token("lab", "ann"))
    yield person
    await person.close()


@pytest_asyncio.fixture
async def client(daemon: Daemon) -> AsyncIterator[AsyncClient]:
    async with AsyncClient.connect(daemon.address) as client:
        yield client


async def until_subscription(client: AsyncClient, wanted: st.SubscriptionState.ValueType) -> None:
    async def is_so() -> bool:
        user = fold.find_user((await client.get_state()).reported, "lab", "ann")
        return user is not None and [stream.subscription for stream in user.streams] == [wanted]

    await until(is_so, timeout_ms=10_000, what=f"the subscription is {st.SubscriptionState.Name(wanted)}")


async def received(client: AsyncClient) -> int:
    streams = (await client.get_capture_stats()).remote_streams
    return sum(stream.frames_received for stream in streams)


async def until_frames(client: AsyncClient) -> None:
    before = await received(client)

    async def came() -> bool:
        return await received(client) > before + 5

    await until(came, timeout_ms=10_000, what="frames of ann arrive")


async def test_taken_by_default_until_ordered_otherwise(client: AsyncClient, publisher: BarePublisher) -> None:
    await client.join_room("lab")
    await publisher.publish()
    await until_subscription(client, SUBSCRIBED)
    for name in ("face", ""):  # nobody looks at it otherwise
        picture = await client.take_remote_snapshot("lab", "ann", name=name)
        assert (picture.width, picture.height) == (320, 240)

    await client.unsubscribe_stream("lab", "ann")
    await until_subscription(client, UNSUBSCRIBED)
    await client.subscribe_stream("lab", "ann")
    await until_subscription(client, SUBSCRIBED)
    await until_frames(client)


async def test_taken_only_by_order_where_the_room_says_so(client: AsyncClient, publisher: BarePublisher) -> None:
    await client.join_room("lab", auto_subscribe_video=False)
    waiting = await client.subscribe_stream("lab", "ann", kind="camera", name="face", check=False)
    assert waiting.outcomes[0].cause.reason == ty.REASON_STREAM_NOT_PUBLISHED
    await publisher.publish()
    await until_subscription(client, SUBSCRIBED)
    await until_frames(client)


async def test_not_taken_at_all_without_an_order(client: AsyncClient, publisher: BarePublisher) -> None:
    await client.join_room("lab", auto_subscribe_video=False)
    await publisher.publish()
    await until_subscription(client, UNSUBSCRIBED)
    assert await received(client) == 0


async def test_the_order_holds_for_every_new_publication(client: AsyncClient, publisher: BarePublisher) -> None:
    await client.join_room("lab")
    await client.unsubscribe_stream("lab", "ann")
    await publisher.publish()
    await until_subscription(client, UNSUBSCRIBED)

"""What whoever operates an agent sees of it from outside: metrics and health, while all is well and while it is not."""

import asyncio
import json
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from tests.parts import media, y4m
from tests.parts.controller import all_reached, bars
from tests.parts.daemon import Daemon, MakeDaemon, faults_environment
from tests.parts.ports import free_tcp_port
from tests.parts.room_server import RoomServer
from tests.parts.waiting import until

_Serving = health_pb2.HealthCheckResponse


class Metrics:
    """What one scrape said."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]  # fails on what Prometheus would not take

    def value(self, name: str, **labels: str) -> float | None:
        """The one value with these labels, whatever others it has; None: there is none."""
        found = [
            sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, f"{name}{labels}: {found}"
        return found[0] if found else None


async def scrape(port: int) -> Metrics:
    def get() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    return Metrics(await asyncio.to_thread(get))


async def scraped(port: int, fact: Callable[[Metrics], Any], *, what: str, timeout_ms: float = 15_000) -> Metrics:
    """The first scrape for which `fact` holds."""
    last: list[Metrics] = []

    async def holds() -> bool:
        last[:] = [await scrape(port)]
        return bool(fact(last[0]))

    await until(holds, timeout_ms=timeout_ms, what=lambda: f"{what}. Last scrape:\n{last[0].text[-6000:]}")
    return last[0]


async def health(daemon: Daemon, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(daemon.control.channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)).status  # type: ignore[no-any-return]


async def is_healthy(daemon: Daemon, service: str, serving: bool, *, timeout_ms: float = 15_000) -> None:
    wanted = _Serving.SERVING if serving else _Serving.NOT_SERVING

    async def is_so() -> bool:
        return bool(await health(daemon, service) == wanted)

    await until(is_so, timeout_ms=timeout_ms, what=f"health of {service!r} is {_Serving.ServingStatus.Name(wanted)}")


async def test_metrics_tell_the_state_and_the_recovery_of_a_killed_engine(
    make_daemon: MakeDaemon, room_server: RoomServer
) -> None:
    port = free_tcp_port()
    daemon = await make_daemon(room_server, settings={"metrics": {"address": f"127.0.0.1:{port}"}})
    control = daemon.control
    assert all_reached(await control.start_capture(bars()))
    assert all_reached(await control.join("demo"))
    names = {"room": "demo", "source": "camera"}
    pushed = "rtcagent_publication_frames_pushed_total"
    before = await scraped(port, lambda m: (m.value(pushed, **names) or 0) > 5, what="frames are pushed")
    assert before.value("rtcagent_room_state", room="demo", state="joined") == 1
    assert before.value("rtcagent_room_state", room="demo", state="waiting") == 0
    assert before.value("rtcagent_capture_state", source="camera", state="capturing") == 1
    assert before.value("rtcagent_publication_state", **names, state="published") == 1
    assert before.value("rtcagent_desired_objects", kind="stream") == 1, "the one that auto_publish sends"
    assert before.value("rtcagent_orders_total", method="JoinRoom", outcome="reached") == 1
    assert before.value("rtcagent_engine_answers") == 1
    assert (before.value("rtcagent_engine_resident_memory_bytes") or 0) > 10e6
    assert (before.value("rtcagent_engine_threads") or 0) > 1
    assert (before.value("rtcagent_store_commit_seconds_count") or 0) > 2
    assert (before.value("rtcagent_store_size_bytes") or 0) > 0
    assert before.value("rtcagent_store_writable") == 1
    known = "rtcagent_publication_media_state"
    await scraped(
        port,
        lambda m: any(m.value(known, **names, state=state) for state in ("live", "paused")),
        what="it is known how far the frames get",
    )
    last_seq = (await control.state()).position.seq
    assert last_seq >= (before.value("rtcagent_journal_last_seq") or 0) > 0
    assert (before.value("rtcagent_journal_events_total") or 0) > 5
    assert before.value("rtcagent_room_server_up") is None
    assert room_server.secret not in before.text

    await daemon.kill_engine()
    for kind in ("engine", "capture", "room", "stream"):
        after = await scraped(
            port,
            lambda m, kind=kind: m.value("rtcagent_recovery_seconds_count", kind=kind) == 1,  # type: ignore[misc]
            what=f"the recovery of the {kind} is measured",
        )
    assert after.value("rtcagent_engine_restarts_total") == 1
    assert 0.05 < (after.value("rtcagent_recovery_seconds_sum", kind="stream") or 0) < 15


async def test_a_hung_engine_holds_up_no_scrape(make_daemon: MakeDaemon, room_server: RoomServer) -> None:
    """What only the engine knows is absent, the rest is there."""
    port = free_tcp_port()
    settings = {"metrics": {"address": f"127.0.0.1:{port}"}, "engine": {"heartbeat_timeout_ms": 60_000}}
    environment = {**faults_environment(), "RTCAGENT_TEST_HOLD_GIL_MS": "3000"}
    daemon = await make_daemon(room_server, settings=settings, environment=environment)
    daemon.hold_gil(await daemon.engine_pid())
    hung = await scraped(port, lambda m: m.value("rtcagent_engine_answers") == 0, what="the engine does not answer")
    assert hung.value("rtcagent_engine_resident_memory_bytes") is None
    assert hung.value("rtcagent_engine_state", state="running") == 1
    await scraped(port, lambda m: m.value("rtcagent_engine_answers") == 1, what="the engine answers again")


async def test_health_of_media_follows_what_is_sent(daemon: Daemon, room_server: RoomServer) -> None:
    control = daemon.control
    await is_healthy(daemon, "media", True)  # nothing is asked for
    await control.start_capture(bars())
    await control.join("demo")
    await is_healthy(daemon, "media", True)
    assert await media.pushed(control, "demo") > 0
    await room_server.kill()
    await is_healthy(daemon, "media", False, timeout_ms=30_000)
    assert await health(daemon, "engine") == _Serving.SERVING
    assert await health(daemon, "api") == await health(daemon, "") == _Serving.SERVING
    await room_server.start()
    await is_healthy(daemon, "media", True, timeout_ms=30_000)
    await control.mute("demo", True)
    await is_healthy(daemon, "media", True)


async def test_health_of_media_sees_that_no_frames_come_any_more(
    make_daemon: MakeDaemon, room_server: RoomServer
) -> None:
    """A film that is over, and shown again much later: its stream stays published, and nothing is to be seen."""
    daemon = await make_daemon(room_server, settings={"retry": {"first_ms": 60_000, "max_ms": 60_000}})
    film = y4m.make(daemon.media_folder / "film.y4m", width=320, height=180, fps=15, seconds=5)
    await daemon.control.join("demo")
    config = ty.CaptureConfig(input=ty.VideoInput(file=ty.VideoInput.File(path=str(film))))
    await daemon.control.start_capture(config)
    await is_healthy(daemon, "media", True)
    await is_healthy(daemon, "media", False, timeout_ms=30_000)
    room = await daemon.control.room("demo")
    assert room is not None
    assert [each.state for each in room.publications] == [st.PUBLICATION_STATE_PUBLISHED]
    assert await health(daemon, "engine") == _Serving.SERVING


async def rtcctl(daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """Run it as people do. Returns its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("rtcctl")), "--address", daemon.address, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def why(daemon: Daemon, what: str) -> tuple[int, dict[str, Any]]:
    code, output = await rtcctl(daemon, "why", what, "--json")
    (chain,) = json.loads(output)["chains"]
    return code, chain


async def test_why_names_the_first_broken_link_and_since_when(daemon: Daemon, room_server: RoomServer) -> None:
    control = daemon.control
    await control.start_capture(bars())
    await control.join("demo")
    await is_healthy(daemon, "media", True)
    code, chain = await why(daemon, "demo/camera")
    assert (code, chain["broken"]) == (0, None), chain
    assert [link["state"] for link in chain["links"]] == ["ok"] * 8, "a test picture needs no device"

    before = (await control.state()).position.seq
    await room_server.kill()
    await is_healthy(daemon, "media", False, timeout_ms=30_000)
    code, chain = await why(daemon, "demo")
    assert (code, chain["broken"]) == (3, "server"), chain
    assert int(chain["event"]["seq"]) > before
    assert chain["event"]["room_state_changed"]["room"]["room_id"] == "demo"
    assert "room server" in chain["next"] or "network" in chain["next"]
    _, text = await rtcctl(daemon, "why", "demo")
    assert "broken at server" in text

    await control.leave("demo")
    code, chain = await why(daemon, "demo")
    assert (code, chain["broken"]) == (3, "order")
    assert chain["event"]["desired_state_changed"]["method"] == "LeaveRoom"
    assert (await why(daemon, "camera"))[0] == 0


async def test_doctor_with_and_without_a_daemon(daemon: Daemon, room_server: RoomServer) -> None:
    async def findings() -> dict[str, dict[str, str]]:
        _, output = await rtcctl(daemon, "doctor", "--config", str(daemon.config_path), "--json")
        return {each["about"]: each for each in json.loads(output)["findings"]}

    found = await findings()
    assert found["daemon"]["level"] == "ok"
    assert found["engine"]["level"] == "ok"
    assert found["room server"]["text"].endswith(f"takes our key {room_server.key}")
    assert found["GStreamer"]["level"] == "ok"
    assert found["clock"]["level"] == "ok", "it agrees with the room server's"
    secret = daemon.folder / "api-secret"
    secret.write_text("another" * 6)
    assert (await findings())["room server"]["level"] == "problem"
    await daemon.stop()
    found = await findings()
    assert found["daemon"]["level"] in ("note", "problem")
    assert found["configuration"]["level"] == "ok"
    code, text = await rtcctl(daemon, "doctor", "--config", str(daemon.config_path))
    assert code == 1, text
    assert "PROBLEM  room server: " in text


async def test_a_bundle_has_everything_but_secrets(daemon: Daemon, room_server: RoomServer, tmp_path: Path) -> None:
    control = daemon.control
    token = room_server.token("demo", "guest")
    password, api_key = "Hunter2Hunter2", "k3yk3yk3yk3y"
    await control.start_capture(bars())
    rtsp = ty.VideoInput.Rtsp(url=f"rtsp://admin:{password}@127.0.0.1:{free_tcp_port()}/x?token={api_key}")
    order = ty.OrderOptions(wait_ms=5000)
    await control.start_capture(ty.CaptureConfig(input=ty.VideoInput(rtsp=rtsp)), source_id="door", order=order)
    await control.join("demo", token=token)
    log = tmp_path / "site.log"
    log.write_text(f"{daemon.log()}\nroom secret: secret={room_server.secret}\nwss://x/rtc?access_token={token}\n")

    out = tmp_path / "fault.tar.gz"
    code, text = await rtcctl(daemon, "bundle", str(out), "--log", str(log), "--config", str(daemon.config_path))
    assert code == 0, text
    with tarfile.open(out) as tar:
        files = {
            member.name.removeprefix("fault/"): content.read().decode()
            for member in tar.getmembers()
            if (content := tar.extractfile(member)) is not None
        }
    wanted = {"agent.json", "state.json", "desired.json", "stats.json", "events.jsonl", "events.txt", "why.txt"}
    assert wanted | {"doctor.txt", "versions.json", "log-site.log.txt", "missing.txt", "README.txt"} <= set(files)
    for secret in (password, api_key, token, token.rpartition(".")[2], room_server.secret):
        leaking = [name for name, content in files.items() if secret in content]
        assert not leaking, f"{secret} is in {leaking}"
    assert json.loads(files["state.json"])["reported"]["rooms"][0]["room_id"] == "demo"
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    assert [int(event["seq"]) for event in events] == list(range(1, len(events) + 1))
    assert "stream demo/camera: nothing is broken" in files["why.txt"]

    await daemon.stop()
    code, text = await rtcctl(daemon, "bundle", str(out), "--config", str(daemon.config_path))
    assert code == 0, "also when the agent is gone, which is when it is wanted most"
    assert "packed without the agent" in text

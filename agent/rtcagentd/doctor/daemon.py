"""Looks whether the daemon runs and answers, and how it is."""

from collections.abc import Iterator

from rtcagent.v1.state_pb2 import EngineState
from rtcagent_client import Client, RtcAgentError
from rtcagent_client import address as addresses
from rtcagent_client.errors import describe_cause
from rtcagent_client.words import describe_object

from rtcagentd.config import Config
from rtcagentd.doctor import units
from rtcagentd.doctor.findings import Finding, note, ok, problem
from rtcagentd.doctor.processes import Processes

ANSWER_S = 5.0
ABOUT = "daemon"


def check(config: Config, processes: Processes, address: str | None) -> Iterator[Finding]:
    """The daemon at `address`, else at the first listener that needs no token."""
    daemon = processes.daemon
    if daemon is None and address is None and (said := units.failure_to_start()):
        yield problem(ABOUT, f"rtcagentd fails to start: {said}", "look into its log: journalctl -u rtcagentd")
        return
    if daemon is None and address is None:
        yield note(ABOUT, "rtcagentd does not run", "systemctl start rtcagentd, or rtcagentd --config FILE")
        return
    open_ones = [each.address for each in config.listeners if each.is_unix or each.insecure]
    address = address or next(iter(open_ones), None)
    who = f"rtcagentd (pid {daemon.pid}, user {daemon.account.name})" if daemon is not None else "rtcagentd"
    if address is None:
        yield ok(ABOUT, f"{who} runs; ask it with rtcctl and a token or certificate")
        return
    trouble = addresses.probe(addresses.parse(address), ANSWER_S)
    if trouble:
        advice = "is this its configuration (--config)? Else look into its log: journalctl -u rtcagentd"
        if "permission" in trouble:
            advice = "run this as root, or join the socket's group"
        yield problem(ABOUT, f"{who} cannot be asked at {address}: {trouble}", advice)
        return
    try:
        with Client.connect(address, timeout_s=ANSWER_S) as client:
            agent, state = client.get_agent(), client.get_state()
    except RtcAgentError as error:
        yield problem(
            ABOUT, f"{who} answers with an error: {error.message}", "look into its log: journalctl -u rtcagentd"
        )
        return
    yield ok(ABOUT, f"{who} {agent.version} answers at {address} as {agent.name}")
    engine = state.reported.engine
    if engine.state == EngineState.ENGINE_STATE_RUNNING:
        yield ok("engine", f"{engine.kind} {engine.version} runs, pid {engine.pid}")
    else:
        why = describe_cause(engine.cause) if engine.HasField("cause") else "it is being started"
        yield problem(
            "engine", f"it does not run: {why}", "look into the log: journalctl -u rtcagentd -u rtcagent-engine"
        )
    for outcome in state.differences:
        about = describe_object(outcome.object)
        yield note(
            about,
            f"not as asked for: {describe_cause(outcome.cause)}",
            "rtcctl why shows since when, and the next step",
        )
    if not state.differences:
        yield ok("state", "everything is as asked for")

"""state, agent, desired, reset-engine."""

import argparse

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, command
from rtcagent_client.rtcctl.render.agent import engine_text, show_agent, show_desired
from rtcagent_client.rtcctl.render.state import show_state
from rtcagent_client.rtcctl.screen import Screen


def add(subparsers: Subparsers) -> None:
    command(subparsers, "state", _state, "show what was asked for beside what is so, and why they differ")
    command(subparsers, "agent", _agent, "show what the agent is and can do")
    command(subparsers, "desired", _desired, "show what was asked for, by whom, and how long it holds")
    command(subparsers, "reset-engine", _reset_engine, "destroy the native engine and create it anew")


def _state(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    state = client.get_state()
    if screen.as_json:
        screen.document(state)
    else:
        show_state(state, client.get_agent(), screen)
    return exits.REACHED


def _agent(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    agent = client.get_agent()
    if screen.as_json:
        screen.document(agent)
    else:
        show_agent(agent, str(client.address), screen)
    return exits.REACHED


def _desired(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    desired = client.get_desired_state()
    if screen.as_json:
        screen.document(desired)
    else:
        show_desired(desired, screen)
    return exits.REACHED


def _reset_engine(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    engine = client.reset_engine()
    if screen.as_json:
        screen.document(engine)
    else:
        screen.line(engine_text(engine))
    return exits.REACHED

"""The rtcctl command: every method of the API for people and shell scripts."""

from rtcagent_client.rtcctl.app import main

__all__ = ["main"]

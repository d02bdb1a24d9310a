"""rtcagentd: the daemon that puts a machine's camera, microphone and screen into RTC rooms, under remote control."""

import importlib.metadata

__version__ = importlib.metadata.version("rtcagent")

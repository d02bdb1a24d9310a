"""What the set-up tells: steps, the progress of long commands, and failures in one sentence with what to do."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_LOG_LINES_SHOWN = 15
_LINE_EVERY_S = 15.0  # where nothing can be written over, as in a CI log


class SetupError(Exception):
    """The set-up cannot go on; the text says why and what to do."""


def say(text: str) -> None:
    """One line for whoever waits."""
    print(text, flush=True)


def run_long(
    title: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    advice: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command that may take minutes, with its progress in one line and its output in `log`.

    SetupError with the end of the output and `advice` when it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    newest = [""]
    finished = threading.Event()
    with open(log, "w") as file:
        file.write(f"$ {' '.join(map(str, command))}\n")
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=None if environment is None else dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise SetupError(f"cannot start {command[0]}: {error.strerror}; {advice}") from error
        assert process.stdout is not None
        ticker = threading.Thread(target=_tick, args=(title, started, newest, finished), daemon=True)
        ticker.start()
        try:
            for line in process.stdout:
                file.write(line)
                if line.strip():
                    newest[0] = line.strip()
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            finished.set()
            ticker.join()
    seconds = time.monotonic() - started
    if status != 0:
        for line in log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]:
            say(f"    {line}")
        raise SetupError(f"{title} failed (exit status {status}, all output in {log}); {advice}")
    say(f"  {title}: done in {seconds:.0f} s")


def _tick(title: str, started: float, newest: list[str], finished: threading.Event) -> None:
    """On its own thread, until `finished`: shows that a command still runs, and the newest line of its output."""
    terminal = sys.stdout.isatty()
    if not terminal:
        say(f"  {title} ...")
    while not finished.wait(1.0 if terminal else _LINE_EVERY_S):
        text = f"  {title} ... {time.monotonic() - started:.0f} s  {newest[0]}"
        if terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stdout.write(f"\r{text[:width]:<{width}}")
            sys.stdout.flush()
        else:
            say(text[:160])
    if terminal:
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write(f"\r{'':<{width}}\r")
        sys.stdout.flush()


def output_of(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> str | None:
    """What a short command prints; None when it is not there or fails."""
    try:
        result = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except OSError:
        return None
    return result.stdout if result.returncode == 0 else None

"""Becomes another program that the kernel kills when the daemon dies, however the daemon dies. Run as a script:

    python -I -S die_with_parent.py PARENT_PID PROGRAM [ARGUMENT...]

A script between them, and no preexec_fn: code between fork and exec of a process with gRPC's threads may dead-lock.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, make sure that it was not too late for it, and become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit("the parent died before its child could start")
    os.execv(program, sys.argv[2:])


if __name__ == "__main__":
    main()

"""The exit codes of rtcctl, as --help tells them."""

from rtcagent.v1.types_pb2 import OrderResult, Outcome

REACHED = 0
ERROR = 1
USAGE = 2
WAITING = 3
REFUSED = 4
UNREACHABLE = 5
GAP = 6
DIFFERENT = 7
INTERRUPTED = 130

HELP = """\
exit codes:
  0    done; an order: all of it is REACHED
  1    the agent answered with an error
  2    wrong usage
  3    the order is stored and WAITING; why: something is broken, and worked on
  4    the order is stored and REFUSED, or SUPERSEDED by a later one; why: something is broken until it is changed
  5    the agent cannot be reached, or does not answer in time
  6    watch: events were lost
  7    diff: the file would change something
  130  interrupted
"""


def of_result(result: OrderResult) -> int:
    """The exit code of an order: that of its gravest outcome."""
    kinds = {outcome.kind for outcome in result.outcomes}
    if kinds & {Outcome.KIND_REFUSED, Outcome.KIND_SUPERSEDED}:
        return REFUSED
    return WAITING if kinds - {Outcome.KIND_REACHED} else REACHED

"""Which refusals of a room are tried again by themselves, and how slowly; all others wait for a change.

A token that the agent signs or fetches itself may be taken later without anybody's order: the server's key, the
machine's clock or the endpoint's mind is put right. A token that a controller gave stays what it is. Nobody is joined
against who was kicked out, or against the other participant of the same user_id: the two would throw each other out
for ever.
"""

from dataclasses import dataclass

from rtcagent.v1 import types_pb2 as ty


@dataclass(frozen=True)
class RefusalPolicy:
    """Times in seconds."""

    first_retry_s: float = 60.0
    max_retry_s: float = 600.0

    def again_in_s(self, reason: ty.Reason.ValueType, refusals: int, *, own_token: bool) -> float | None:
        """When to try a room again that was refused for the `refusals`-th time in a row; None: not by itself."""
        passing = own_token and reason in (ty.REASON_TOKEN_REJECTED, ty.REASON_TOKEN_ENDPOINT_REFUSED)
        if not passing:
            return None
        return min(self.max_retry_s, self.first_retry_s * 2.0 ** min(refusals - 1, 20))

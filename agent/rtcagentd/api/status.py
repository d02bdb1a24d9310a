"""Translates errors of orders into gRPC statuses with details. The one place where they meet."""

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from rtcagentd.control.errors import Code, OrderError, OrderProblems

DOMAIN = "rtcagent"


def to_status(error: OrderError) -> grpc.Status:
    """google.rpc.Status with ErrorInfo, and with BadRequest where a field is to blame."""
    details = [_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata))]
    fields: list[tuple[str, str]] = []
    if isinstance(error, OrderProblems):
        fields = error.fields
    elif error.code is Code.INVALID_ARGUMENT and error.field:
        fields = [(error.field, error.message)]
    if fields:
        violation = error_details_pb2.BadRequest.FieldViolation
        violations = [violation(field=field, description=text) for field, text in fields]
        details.append(_packed(error_details_pb2.BadRequest(field_violations=violations)))
    code = code_pb2.Code.Value(error.code.value)
    status: grpc.Status = rpc_status.to_status(status_pb2.Status(code=code, message=error.message, details=details))
    return status


def _packed(detail: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed

"""Our copy of the FFI's frame messages says what the installed SDK says."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from livekit.rtc._proto import audio_frame_pb2, ffi_pb2, handle_pb2, video_frame_pb2

OURS = Path(__file__).parents[2] / "bindings" / "livekit" / "ffi_frames.proto"
PACKAGE = ".rtcagent.livekit_ffi."


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> descriptor_pb2.FileDescriptorProto:
    target = tmp_path_factory.mktemp("proto") / "ours.bin"
    # In a process of its own: its C++ protobuf and the one of the native module do not go together in one.
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{OURS.parent}",
        f"--descriptor_set_out={target}",
        str(OURS),
    ]
    subprocess.run(command, check=True, timeout=30)
    files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    return files.file[0]


def theirs(name: str) -> Descriptor | EnumDescriptor:
    for module in (ffi_pb2, audio_frame_pb2, video_frame_pb2, handle_pb2):
        file = module.DESCRIPTOR
        found = file.message_types_by_name.get(name) or file.enum_types_by_name.get(name)
        if isinstance(found, Descriptor | EnumDescriptor):
            return found
    raise AssertionError(f"the SDK knows no {name}")


def as_proto(descriptor: Descriptor) -> descriptor_pb2.DescriptorProto:
    proto = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(proto)
    return proto


def check_message(mine: descriptor_pb2.DescriptorProto, sdk: descriptor_pb2.DescriptorProto) -> None:
    fields = {field.number: field for field in sdk.field}
    for field in mine.field:
        other = fields[field.number]
        assert (field.name, field.type, field.label) == (other.name, other.type, other.label), mine.name
        # Other packages, the same name: ".rtcagent.livekit_ffi.VideoBufferInfo" and ".livekit.proto.VideoBufferInfo".
        assert field.type_name.removeprefix(PACKAGE) == other.type_name.removeprefix(".livekit.proto."), field.name
        assert field.HasField("oneof_index") == other.HasField("oneof_index"), field.name
    required = {field.number for field in sdk.field if field.label == field.LABEL_REQUIRED}
    assert required <= {field.number for field in mine.field}, f"{mine.name}: a field that the SDK requires is missing"
    nested = {each.name: each for each in sdk.nested_type}
    for each in mine.nested_type:
        check_message(each, nested[each.name])


def test_every_field_is_the_sdks(ours: descriptor_pb2.FileDescriptorProto) -> None:
    assert len(ours.message_type) == 20
    for message in ours.message_type:
        sdk = theirs(message.name)
        assert isinstance(sdk, Descriptor)
        check_message(message, as_proto(sdk))


def test_every_enum_value_is_the_sdks(ours: descriptor_pb2.FileDescriptorProto) -> None:
    for enum in ours.enum_type:
        sdk = theirs(enum.name)
        assert isinstance(sdk, EnumDescriptor)
        assert {value.name: value.number for value in enum.value} == {each.name: each.number for each in sdk.values}


def test_an_event_is_one_field_so_that_its_first_byte_tells_its_kind() -> None:
    event = as_proto(ffi_pb2.FfiEvent.DESCRIPTOR)
    assert all(field.HasField("oneof_index") for field in event.field)
    assert len(event.oneof_decl) == 1
    numbers = {field.name: field.number for field in event.field}
    assert (numbers["video_stream_event"], numbers["capture_audio_frame"]) == (3, 13)

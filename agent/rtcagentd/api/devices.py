"""rtcagent.v1.Devices: the machine's devices, and slots for them."""

from typing import Any

from rtcagent.v1 import devices_pb2, devices_pb2_grpc
from rtcagent.v1 import state_pb2 as st
from rtcagent.v1 import types_pb2 as ty

from rtcagentd.api.ordering import Later, OrderDesk
from rtcagentd.api.sound import SoundCalls
from rtcagentd.control.audio_readings import AudioReadings
from rtcagentd.control.device_orders import DeviceOrders
from rtcagentd.control.microphone_test import MicrophoneTest
from rtcagentd.control.orders import Orders
from rtcagentd.control.reconciler import Reconciler
from rtcagentd.control.state import State
from rtcagentd.control.wanted import slot_devices


class DevicesService(SoundCalls, devices_pb2_grpc.DevicesServicer):
    """See proto/rtcagent/v1/devices.proto."""

    def __init__(
        self, state: State, orders: Orders, desk: OrderDesk, reconciler: Reconciler, readings: AudioReadings
    ) -> None:
        self._state = state
        self._orders = orders
        self._desk = desk
        self._device_orders = DeviceOrders(state)
        self._reconciler = reconciler
        self._readings = readings
        self._microphone_test = MicrophoneTest(state, reconciler)

    async def ListDevices(
        self, request: devices_pb2.ListDevicesRequest, context: Any
    ) -> devices_pb2.ListDevicesResponse:
        return devices_pb2.ListDevicesResponse(devices=self._state.reported.devices, sound=self._state.reported.sound)

    async def SetSlot(self, request: devices_pb2.SetSlotRequest, context: Any) -> devices_pb2.SetSlotResponse:
        edits = self._orders.set_slot(request)
        result = await self._desk.take(request, request.order, edits, context, default_keep=ty.Keep.KIND_FOREVER)
        return devices_pb2.SetSlotResponse(result=result)

    async def SetCaptureDevice(
        self, request: devices_pb2.SetCaptureDeviceRequest, context: Any
    ) -> devices_pb2.SetCaptureDeviceResponse:
        is_up = self._reconciler.session is not None
        edits = Later(lambda: self._device_orders.set_capture_device(request, devices_known=is_up))
        result = await self._desk.take(request, request.order, edits, context)
        return devices_pb2.SetCaptureDeviceResponse(result=result)

    async def TestMicrophone(
        self, request: devices_pb2.TestMicrophoneRequest, context: Any
    ) -> devices_pb2.TestMicrophoneResponse:
        return await self._microphone_test.listen(request)

    async def ListSlots(self, request: devices_pb2.ListSlotsRequest, context: Any) -> devices_pb2.ListSlotsResponse:
        response = devices_pb2.ListSlotsResponse()
        for desired in sorted(self._state.all(st.DesiredSlot), key=lambda slot: slot.slot.name):
            found = [device.device_id for device in slot_devices(self._state, desired.slot)]
            response.slots.add(slot=desired, device_id=found[0] if found else "", device_ids=found)
        return response

"""devices, slots, slot set, slot remove, capture-device."""

import argparse

from rtcagent.v1.devices_pb2 import ListSlotsResponse
from rtcagent.v1.types_pb2 import Slot

from rtcagent_client.blocking import Client
from rtcagent_client.requests.devices import device_match, list_devices_and_sound
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, UsageError, add_order_options, command, order_arguments
from rtcagent_client.rtcctl.commands.orders import show_result
from rtcagent_client.rtcctl.render.devices import show_devices, show_slots
from rtcagent_client.rtcctl.screen import Screen

_PROPERTIES = {
    "--device": "device_id",
    "--serial": "serial",
    "--usb-port": "usb_port",
    "--name": "name",
    "--alsa-card": "alsa_card",
}


class _Property(argparse.Action):
    """Collects the properties in their order, because each --or begins the next match."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option_string: str | None = None
    ) -> None:
        assert option_string is not None
        given = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*given, (option_string, values)])


def add(subparsers: Subparsers) -> None:
    devices = command(
        subparsers,
        "devices",
        _devices,
        "list cameras, microphones and speakers that are plugged in, and those seen earlier",
    )
    devices.add_argument("--formats", action="store_true", help="with every format of each")
    command(subparsers, "slots", _slots, "list the slots and the device that each stands for now")
    slot = subparsers.add_parser("slot", help="name a device, or remove the name", allow_abbrev=False)
    actions = slot.add_subparsers(metavar="set|remove", required=True)
    setting = command(
        actions,
        "set",
        _set,
        "name a device by properties that must all be equal; what follows an --or is used when those before are absent",
        usage="rtcctl slot set SLOT --serial S [--usb-port P ...] [--or --device ID ...]",
    )
    setting.add_argument("slot", metavar="SLOT", help="1-64 characters of A-Z a-z 0-9 _ . -")
    for flag, metavar in (
        ("--device", "ID"),
        ("--serial", "S"),
        ("--usb-port", "PORT"),
        ("--name", "NAME"),
        ("--alsa-card", "ID"),
    ):
        setting.add_argument(flag, metavar=metavar, action=_Property, dest="properties")
    setting.add_argument("--or", action=_Property, dest="properties", nargs=0, help="what follows is another device")
    add_order_options(setting)
    switch = command(subparsers, "capture-device", _switch, "take a source from another camera or microphone")
    switch.add_argument("source", metavar="SOURCE", help="as in camera")
    which = switch.add_argument_group("device (default: the slot named like the source, else the first one)")
    one = which.add_mutually_exclusive_group()
    one.add_argument("--device", metavar="ID", default="", help="of `rtcctl devices`")
    one.add_argument("--slot", metavar="NAME", default="", help="of `rtcctl slots`")
    add_order_options(switch, default_keep="as it was")
    remove = command(actions, "remove", _remove, "remove a slot that no capture uses")
    remove.add_argument("slot", metavar="SLOT")
    add_order_options(remove, keep=False)


def matches_of(properties: list[tuple[str, str]] | None) -> list[Slot.Match]:
    """The matches that the options name, split at each --or. UsageError: one without a property, or with one twice."""
    matches: list[dict[str, str]] = [{}]
    for flag, value in properties or ():
        if flag == "--or":
            matches.append({})
        elif _PROPERTIES[flag] in matches[-1]:
            raise UsageError(f"{flag} is given twice for one device: put --or between two devices")
        else:
            matches[-1][_PROPERTIES[flag]] = value
    if not all(matches):
        raise UsageError("name at least one of --device, --serial, --usb-port, --name, --alsa-card for each device")
    return [device_match(**match) for match in matches]


def _devices(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    found = client.call(list_devices_and_sound())
    if screen.as_json:
        screen.document(found)
    else:
        show_devices(found.devices, found.sound, screen, with_formats=args.formats)
    return exits.REACHED


def _slots(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    slots = client.list_slots()
    if screen.as_json:
        screen.document(ListSlotsResponse(slots=slots))
    else:
        show_slots(slots, screen)
    return exits.REACHED


def _set(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_slot(args.slot, matches_of(args.properties), check=False, **order_arguments(args))
    return show_result(result, screen)


def _remove(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_slot(args.slot, (), wait_ms=args.wait, request_id=args.request_id, check=False)
    return show_result(result, screen)


def _switch(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    result = client.set_capture_device(args.source, args.device, slot=args.slot, check=False, **order_arguments(args))
    return show_result(result, screen)

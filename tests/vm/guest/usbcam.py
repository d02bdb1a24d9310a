#!/usr/bin/python3
"""usbcam.py SERIAL: an emulated USB camera, plugged into this machine for as long as the process lives.

It speaks USB/IP to the kernel's vhci-hcd over a socket pair, so that the stock uvcvideo driver binds to it: udev
events, /dev/v4l/by-id names, a metadata node and true disconnects. MJPEG 640x480 and 320x240, YUYV 320x240, 15 frames
per second of a moving ball. Needs root. Prints "plugged" once the device is attached.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

pack = struct.pack

FPS = 15
FRAME_INTERVAL = 10_000_000 // FPS  # in the 100 ns of UVC
PAYLOAD_BYTES = 16384
VIDEO_ENDPOINT = 1
MJPEG, YUYV = 1, 2  # format numbers of the descriptors
SIZES = {MJPEG: [(640, 480), (320, 240)], YUYV: [(320, 240)]}
MODES = [(format_, number) for format_, sizes in SIZES.items() for number in range(1, len(sizes) + 1)]

HIGH_SPEED = 3
PORT_FREE = 4  # in vhci's status file
EPIPE, ECONNRESET = -32, -104
CLASS, IN = 0x24, 0x80  # class-specific descriptor; direction bit

Transfer = tuple[int, int]  # its number, its size


def make_pictures(format_: int, width: int, height: int) -> list[bytes]:
    """One second of the moving picture."""
    encode = "format=I420 ! jpegenc" if format_ == MJPEG else "format=YUY2"
    folder = Path(f"/run/usbcam/{format_}-{width}x{height}")
    if not (folder / f"{FPS - 1:02d}").exists():
        folder.mkdir(parents=True, exist_ok=True)
        pipeline = (
            f"videotestsrc num-buffers={FPS} pattern=ball ! video/x-raw,width={width},height={height},"
            f"framerate={FPS}/1,{encode} ! multifilesink location={folder}/%02d"
        )
        subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], check=True)
    return [(folder / f"{n:02d}").read_bytes() for n in range(FPS)]


def configuration() -> bytes:
    """The configuration descriptor: a UVC 1.0 camera with one bulk video stream."""
    terminals = (
        pack("<BBBBHBBHHHBBH", 18, CLASS, 2, 1, 0x0201, 0, 0, 0, 0, 0, 3, 0, 0)  # 1: the camera
        + pack("<BBBBHBBB", 9, CLASS, 3, 3, 0x0101, 0, 1, 0)  # 3: to the host, from 1
    )
    control = (
        pack("<9B", 9, 4, 0, 0, 0, 0x0E, 1, 0, 2)
        + pack("<BBBHHIBB", 13, CLASS, 1, 0x0100, 13 + len(terminals), 6_000_000, 1, 1)
        + terminals
    )
    formats = b""
    for format_, sizes in SIZES.items():
        if format_ == MJPEG:
            formats += pack("<11B", 11, CLASS, 6, format_, len(sizes), 1, 1, 0, 0, 0, 0)
        else:
            guid = b"YUY2\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
            formats += pack("<5B", 27, CLASS, 4, format_, len(sizes)) + guid + pack("<6B", 16, 1, 0, 0, 0, 0)
        kind = 7 if format_ == MJPEG else 5
        for number, (width, height) in enumerate(sizes, 1):
            area = width * height
            rates = (area, area * 16 * FPS, area * 2, FRAME_INTERVAL, 1, FRAME_INTERVAL)
            formats += pack("<5BHHIIIIBI", 30, CLASS, kind, number, 0, width, height, *rates)
        formats += pack("<6B", 6, CLASS, 13, 1, 1, 4)
    stream = (
        pack("<9B", 9, 4, 1, 0, 1, 0x0E, 2, 0, 0)
        + pack("<BBBBH9B", 15, CLASS, 1, 2, 15 + len(formats), IN | VIDEO_ENDPOINT, 0, 3, 0, 0, 0, 1, 0, 0)
        + formats
        + pack("<BBBBHB", 7, 5, IN | VIDEO_ENDPOINT, 2, 512, 0)
    )
    body = pack("<8B", 8, 11, 0, 2, 0x0E, 3, 0, 2) + control + stream
    return pack("<BBHBBBBB", 9, 2, 9 + len(body), 2, 1, 0, IN, 50) + body


class UsbCamera:
    """The device's end of the USB/IP connection: `serve` answers the host, a thread fills the video transfers."""

    def __init__(self, serial: str) -> None:
        texts = ["Acme", "Acme USB Camera", serial]
        self.strings = [b"\x09\x04", *(text.encode("utf-16le") for text in texts)]
        self.configuration = configuration()
        self.pictures = {(f, n): make_pictures(f, *SIZES[f][n - 1]) for f, n in MODES}
        self.mode = MODES[0]
        self.commits = 0
        self.waiting: deque[Transfer] = deque()  # video transfers that the host has asked for; guarded by `changed`
        self.changed = threading.Condition()
        self.connection, self.host_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def plug(self) -> None:
        hub = Path("/sys/devices/platform/vhci_hcd.0")
        for line in (hub / "status").read_text().splitlines()[1:]:
            kind, port, state = line.split()[:3]
            if kind == "hs" and int(state) == PORT_FREE:
                device = 0x10002 + int(port)
                (hub / "attach").write_text(f"{int(port)} {self.host_end.fileno()} {device} {HIGH_SPEED}")
                self.host_end.close()
                return
        sys.exit("usbcam: no free port")

    def serve(self) -> None:
        """Answer the host until it closes the connection."""
        while True:
            head = struct.unpack(">5IIiiii8s", self._take(48))
            command, number, _, to_host, endpoint, flags, size, _, _, _, setup = head
            if command == 2:
                self._unlink(number, flags)
                continue
            data = self._take(size) if not to_host and size else b""
            with self.changed:
                if endpoint:
                    self.waiting.append((number, size))
                    self.changed.notify()
                else:
                    self._control(number, bool(to_host), setup, data)

    def stream(self) -> None:
        """Send pictures at their pace whenever the host asks for video."""
        count, due = 0, time.monotonic()
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting)
                commits = self.commits
                data = self.pictures[self.mode][count % FPS]
                while data:
                    self.changed.wait_for(lambda: self.waiting)
                    if commits != self.commits:
                        break  # a new stream has begun: it must not get the rest of an old picture
                    number, size = self.waiting.popleft()
                    room = min(size, PAYLOAD_BYTES) - 2
                    part, data = data[:room], data[room:]
                    self._reply(number, 0, bytes([2, 0x80 | count & 1 | (0 if data else 2)]) + part)
            count, due = count + 1, max(due + 1 / FPS, time.monotonic() - 0.1)
            time.sleep(max(0.0, due - time.monotonic()))

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.connection.recv(size - len(data))
            if not part:
                sys.exit(0)
            data += part
        return data

    def _reply(self, number: int, status: int = 0, data: bytes = b"", taken: int | None = None) -> None:
        size = len(data) if taken is None else taken
        self.connection.sendall(pack(">5I5i8x", 3, number, 0, 0, 0, status, size, 0, 0, 0) + data)

    def _unlink(self, number: int, unlinked: int) -> None:
        with self.changed:
            mine = [transfer for transfer in self.waiting if transfer[0] == unlinked]
            for transfer in mine:
                self.waiting.remove(transfer)
            self.connection.sendall(pack(">5Ii24x", 4, number, 0, 0, 0, ECONNRESET if mine else 0))

    def _control(self, number: int, to_host: bool, setup: bytes, data: bytes) -> None:
        kind, request, value, index, length = struct.unpack("<BBHHH", setup)
        if kind & 0x60 == 0:
            answer = self._standard(request, value)
        else:
            answer = self._video_class(kind, request, value, index, data)
        if answer is None:
            self._reply(number, EPIPE)
        elif to_host:
            self._reply(number, 0, answer[:length])
        else:
            self._reply(number, 0, taken=len(data))

    def _standard(self, request: int, value: int) -> bytes | None:
        if request == 6:  # GET_DESCRIPTOR
            kind, number = value >> 8, value & 255
            if kind == 1:
                ids = (0xF055, 0x0102, 0x0100)
                return pack("<BBHBBBBHHHBBBB", 18, 1, 0x0200, 0xEF, 2, 1, 64, *ids, 1, 2, 3, 1)
            if kind == 2:
                return self.configuration
            if kind == 3 and number < len(self.strings):
                return pack("BB", len(self.strings[number]) + 2, 3) + self.strings[number]
            return None
        # GET_STATUS, GET_CONFIGURATION, GET_INTERFACE; then what only wants to be acknowledged.
        return {0: b"\0\0", 8: b"\1", 10: b"\0", 9: b"", 11: b"", 1: b"", 3: b""}.get(request)

    def _video_class(self, kind: int, request: int, value: int, index: int, data: bytes) -> bytes | None:
        if index & 255 != 1 or value >> 8 not in (1, 2):  # nothing but video probe and commit
            return None
        if kind == 0x21:
            asked = (data[2], data[3])
            self.mode = asked if asked in self.pictures else MODES[0]
            self.commits += 1
            return b""
        width, height = SIZES[self.mode[0]][self.mode[1] - 1]
        limits = (0, 0, 0, 0, 0, width * height * 2, PAYLOAD_BYTES)
        probe = pack("<HBBI5HII", 1, *self.mode, FRAME_INTERVAL, *limits)
        return {0x85: pack("<H", 26), 0x86: b"\x03"}.get(request, probe)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    camera = UsbCamera(sys.argv[1])
    camera.plug()
    threading.Thread(target=camera.stream, daemon=True).start()
    print("plugged", flush=True)
    camera.serve()


if __name__ == "__main__":
    main()

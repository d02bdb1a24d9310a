"""What is received of one subscribed video: nothing while nobody looks at it, else the layer that fits who looks."""

from collections.abc import Iterable

from livekit import rtc

from rtcagentd.engine import _native
from rtcagentd.engine.livekit import ffi
from rtcagentd.engine.viewing import View


class Reception:
    """For as long as the stream is subscribed. Every received frame is decoded, so that it costs even if unread."""

    def __init__(self, received: ffi.ReceivedStream, publication: rtc.RemoteTrackPublication) -> None:
        self.is_on = True  # as the server has it after subscribing
        self._is_told = True
        self._received = received
        self._publication = publication
        self._taps: list[_native.VideoTap | _native.VideoRecordTap] = []
        self._size = (0, 0)

    def forget(self) -> None:
        """The server may not have heard what it was told last: tell it again."""
        self._is_told = False
        self._size = (0, 0)

    def apply(self, views: Iterable[View], *, anyway: bool, has_quality: bool) -> None:
        """Receive for those who look, or `anyway`: then as large as there is. With a quality that was ordered, that is
        what comes.
        """
        views = list(views)
        taps = [view.tap for view in views if isinstance(view.tap, _native.VideoTap | _native.VideoRecordTap)]
        for tap in [tap for tap in self._taps if tap not in taps]:
            self._received.detach(tap)
        for tap in [tap for tap in taps if tap not in self._taps]:
            self._received.attach(tap)
        self._taps = taps
        is_on = anyway or bool(views)
        handle = self._publication._ffi_handle.handle
        if not self._is_told and is_on == self.is_on:
            ffi.set_receiving(handle, not is_on)  # the SDK sends no more than changes
        if is_on != self.is_on or not self._is_told:
            ffi.set_receiving(handle, is_on)
            self.is_on, self._is_told = is_on, True
        if has_quality:
            self._size = (0, 0)  # to be set again when that order has ended
        if not is_on or has_quality:
            return
        whole = (self._publication.width, self._publication.height)
        sizes = [(view.width, view.height) if view.width else whole for view in views]
        sizes += [whole] if anyway else []
        size = (max(width for width, _ in sizes), max(height for _, height in sizes))
        if size != self._size and size != (0, 0):
            ffi.set_size(handle, *size)
            self._size = size


class Listening:
    """The recordings of one subscribed stream of sound, for as long as it is subscribed."""

    def __init__(self, received: ffi.ReceivedSound) -> None:
        self._received = received
        self._taps: list[_native.AudioRecordTap] = []

    def apply(self, views: Iterable[View]) -> None:
        """Give the sound to those who record it, and to no others any more."""
        taps = [view.tap for view in views if isinstance(view.tap, _native.AudioRecordTap)]
        for tap in [tap for tap in self._taps if tap not in taps]:
            self._received.detach(tap)
        for tap in [tap for tap in taps if tap not in self._taps]:
            self._received.attach(tap)
        self._taps = taps

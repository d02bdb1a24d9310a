"""Windows of known colours on an X server, and a pointer that is easy to see."""

import contextlib
from typing import Self

from Xlib import X, display, error  # type: ignore[import-untyped]
from Xlib.ext import xtest  # type: ignore[import-untyped]

_COLOURS = {
    "black": 0x000000,
    "red": 0xFF0000,
    "green": 0x00FF00,
    "blue": 0x0000FF,
    "yellow": 0xFFFF00,
    "white": 0xFFFFFF,
}
POINTER = 64  # pixels, the width and height of show_pointer's


class Window:
    """One window of one colour, which the server paints by itself."""

    def __init__(self, x: display.Display, title: str, colour: str, place: tuple[int, int, int, int]) -> None:
        self._x = x
        screen = x.screen()
        self._window = screen.root.create_window(
            *place,
            0,
            screen.root_depth,
            background_pixel=_COLOURS[colour],
            event_mask=X.ButtonPressMask | X.KeyPressMask,
        )
        self._window.set_wm_name(title)
        self._window.set_wm_class(title, title.capitalize())
        self.show()

    @property
    def id(self) -> str:
        """As X11's own tools write it."""
        return f"0x{self._window.id:x}"

    def show(self) -> None:
        self._window.map()
        self._x.sync()

    def hide(self) -> None:
        self._window.unmap()
        self._x.sync()

    def place(self, **geometry: int) -> None:
        """x, y, width, height."""
        self._window.configure(**geometry)
        self._x.sync()

    def colour(self, name: str) -> None:
        self._window.change_attributes(background_pixel=_COLOURS[name])
        self._window.clear_area()
        self._x.sync()

    def clicks(self) -> int:
        """How often it was clicked since this was asked last."""
        self._x.sync()
        count = self._x.pending_events()
        return sum(self._is_click(self._x.next_event()) for _ in range(count))

    def _is_click(self, event: object) -> bool:
        return bool(getattr(event, "type", 0) == X.ButtonPress and getattr(event, "window", None) == self._window)

    def close(self) -> None:
        self._window.destroy()
        self._x.sync()


class XWindows:
    """A program with windows. `with XWindows(server.display) as windows:`; all are closed at the end."""

    def __init__(self, name: str) -> None:
        self._x = display.Display(name)

    def open(self, title: str, colour: str, x: int, y: int, width: int, height: int) -> Window:
        """A new window above all others."""
        return Window(self._x, title, colour, (x, y, width, height))

    def show_pointer(self, x: int, y: int) -> None:
        """Make the pointer a white square of POINTER pixels, and put its upper left corner there."""
        root = self._x.screen().root
        shape = root.create_pixmap(POINTER, POINTER, 1)
        shape.fill_rectangle(shape.create_gc(foreground=1), 0, 0, POINTER, POINTER)
        white, black = (65535, 65535, 65535), (0, 0, 0)
        root.change_attributes(cursor=shape.create_cursor(shape, white, black, 0, 0))
        root.warp_pointer(x, y)
        self._x.sync()

    def click(self, x: int, y: int) -> None:
        """Press and release the first button there, as somebody at the machine does."""
        xtest.fake_input(self._x, X.MotionNotify, x=x, y=y)
        xtest.fake_input(self._x, X.ButtonPress, 1)
        xtest.fake_input(self._x, X.ButtonRelease, 1)
        self._x.sync()

    def close(self) -> None:
        with contextlib.suppress(error.ConnectionClosedError):  # the server may be gone
            self._x.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""What `rtcctl levels` shows: a line for each source and user, with a bar as long as it is loud."""

from rtcagent.v1.devices_pb2 import AudioProperties, WatchAudioPropertiesResponse

from rtcagent_client.rtcctl.render import phrases
from rtcagent_client.rtcctl.screen import Screen

_BAR = 30  # characters, for 60 dB


def show_reading(reading: WatchAudioPropertiesResponse, screen: Screen) -> None:
    """ "14:02:11  demo/ann   -23.1 dBFS  18  ####..  speaks" """
    time = phrases.local(reading.at).strftime("%H:%M:%S.%f")[:-5]
    for source in reading.sources:
        screen.line(_line(time, source.source_id, source.properties, ""))
    for room in reading.rooms:
        for user in room.users:
            speaks = "speaks" if user.user_id in room.speaking else ""
            spoke = "spoke last" if not speaks and user.user_id == room.active_speaker else ""
            screen.line(_line(time, f"{room.room_id}/{user.user_id}", user.properties, speaks or spoke))


def _line(time: str, name: str, level: AudioProperties, note: str) -> str:
    bar = "#" * round(max(0.0, level.dbfs + 60) / 60 * _BAR)
    return f"{time}  {name:<24} {level.dbfs:>6.1f} dBFS {level.linear:>3}  {bar:<{_BAR}}  {note}".rstrip()

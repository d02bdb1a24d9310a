"""The example configuration is complete and true; wrong configurations are refused with all that is wrong in them."""

import re
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rtcagentd.config import Config, ConfigError, EmbeddedServer, Listener, RoomServer, TokenEndpointSettings, load

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "rtcagent.toml"


def uncommented() -> dict[str, Any]:
    """The example with every setting in force."""
    return tomllib.loads(re.sub(r"(?m)^#(?=\S)", "", EXAMPLE.read_text()))


def section_model(annotation: Any) -> type[BaseModel] | None:
    """The model behind a field's type: itself, an optional or a list of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (list, types.UnionType, typing.Union):
        return next(filter(None, map(section_model, typing.get_args(annotation))), None)
    return None


def compare(model: type[BaseModel], shown: list[dict[str, Any]], place: str) -> None:
    """Each setting of the model is shown at least once, nothing else is, and what has a default shows it."""
    assert {key for each in shown for key in each} == set(model.model_fields), f"settings of {place or 'the file'}"
    for name, field in model.model_fields.items():
        values = [each[name] for each in shown if name in each]
        section = section_model(field.annotation)
        if section is not None:
            inner = [item for value in values for item in (value if isinstance(value, list) else [value])]
            compare(section, inner, f"{place}{name}.")
        elif field.default is not PydanticUndefined and field.default is not None:
            default = str(field.default) if isinstance(field.default, Path) else field.default
            assert all(value == default for value in values), f"default of {place}{name}"


def test_example_shows_every_setting_with_its_default() -> None:
    compare(Config, [uncommented()], "")


def test_example_as_it_stands_is_the_default() -> None:
    assert load(EXAMPLE) == Config()


def test_examples_of_sections_are_valid() -> None:
    settings = uncommented()
    for listener in settings["listen"]:
        Listener.model_validate(listener)
    EmbeddedServer.model_validate(settings["embedded_server"])
    TokenEndpointSettings.model_validate(settings["token_endpoint"])
    RoomServer.model_validate({**settings["room_server"], "api_key": "key"})


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "rtcagent.toml"
    path.write_text(
        """
        state_dir = "relative"
        log_level = "loud"
        colour = "red"
        [[listen]]
        address = "192.0.2.7:7440"
        insecure = true
        [[listen]]
        address = "nowhere"
        [engine]
        start_timeout_ms = 5
        hart_beat = 1
        [journal]
        max_events = "many"
        """
    )
    with pytest.raises(ConfigError) as refused:
        load(path)
    text = str(refused.value)
    for place in (
        *(
            "state_dir: ",
            "log_level: ",
            "colour: no such setting",
            "listen[0]: ",
            "listen[1]: ",
            "journal.max_events: ",
        ),
        *("engine.start_timeout_ms: ", "engine.hart_beat: no such setting"),
    ):
        assert place in text
    assert f"{path} has 8 wrong setting(s)" in text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[listen]]\naddress = "0.0.0.0:7440"', "needs tls"),
        ('[[listen]]\naddress = "127.0.0.1:7440"', "insecure = true"),
        ('[[listen]]\naddress = "0.0.0.0:7440"\ninsecure = true', "loopback addresses only"),
        ('[[listen]]\naddress = "agent.example:7440"\ninsecure = true', "loopback addresses only"),
        ('[[listen]]\naddress = "unix:/run/x.sock"\ninsecure = true', "takes neither"),
        ('[[listen]]\naddress = "127.0.0.1:99999"\ninsecure = true', "neither unix:/path nor host:port"),
        ('[[listen]]\naddress = "0.0.0.0:1"\n[listen.tls]\ncert = "/c"\nkey = "/k"', "token_file"),
        (
            '[[listen]]\naddress = "0.0.0.0:1"\ntoken_file = "/t"\n'
            '[listen.tls]\ncert = "/c"\nkey = "/k"\nclient_ca = "/a"',
            "not both",
        ),
        ('[embedded_server]\nbinary = "/s"\nexpose = "lan"', "advertise_ip"),
        ('[embedded_server]\nbinary = "/s"\n[room_server]\nurl = "ws://x"', "not both"),
        ('[room_server]\nurl = "http://x"', "room_server.url"),
        ('[room_server]\nurl = "ws://x"\napi_key = "k"', "go together"),
        ('[token_endpoint]\nurl = "http://x.example/t"', "must be https://"),
        ('[token_endpoint]\nurl = "http://x.example/t"\ninsecure = true', "must be https://"),
        ('[token_endpoint]\nurl = "http://127.0.0.1/t"', "must be https://"),
        ('[token_endpoint]\nurl = "https://x.example/t"\ninsecure = true', "remove it"),
        ('[token_endpoint]\nurl = "https://ann:secret@x.example/t"', "without a user"),
        ('[token_endpoint]\nurl = "https://x.example:port/t"', "https://host/path"),
        ('[token_endpoint]\nurl = "https://x.example/t"\nclient_cert = "/c"', "go together"),
        ('[token_endpoint]\nurl = "http://[::1]/t"\ninsecure = true\nca_file = "/c"', "need an https:// url"),
        ('name = "two words"', "name: "),
        ("[engine", "is not TOML"),
    ],
)
def test_unsafe_and_contradicting_settings_are_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "rtcagent.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load(tmp_path / "none.toml")

"""No secret leaves with a bundle, and what is no secret stays readable."""

import json
import tarfile
from pathlib import Path

import pytest
from rtcagent_client.rtcctl.arguments import UsageError
from rtcagent_client.rtcctl.bundle import archive
from rtcagent_client.rtcctl.bundle.redact import REMOVED, redactor

SECRET = "Xk9vQ2mB7s"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.{SECRET}"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://admin:{SECRET}@10.0.0.2:554/stream",
        f"could not open 'rtsps://{SECRET}@cam/x': refused",
        f"GET wss://rooms.example/rtc?access_token={SECRET}&auto=1",
        f"connecting to ws://x/rtc?auto=1&token={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"authorization=Basic {SECRET}==",
        f"joined with {JWT} as a",
        f'api_secret = "{SECRET}"',
        f"api-secret={SECRET} other=1",
        f'{{"api_key": "x", "token": "{SECRET}", "n": 1}}',
        f"{{'password': '{SECRET}'}}",
        f"RTCAGENT_TOKEN={SECRET}",
        f"a=ice-pwd:{SECRET}",
        f"-----BEGIN EC PRIVATE KEY-----\nabc\n{SECRET}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\nabc\n{SECRET}\nthe log ends here",
    ],
)
def test_secrets_are_removed(text: str) -> None:
    assert SECRET not in redactor()(text)
    assert REMOVED in redactor()(text)


def test_a_known_secret_is_removed_wherever_it_stands() -> None:
    assert redactor(["", SECRET])(f"x{SECRET}y") == f"x{REMOVED}y"


@pytest.mark.parametrize(
    "text",
    [
        "14:02:11 room demo: REFUSED: TOKEN_REJECTED the token has expired: give a new one",
        "ws://127.0.0.1:7880 answers; user ann@example.org is in the room",
        "usb-1-2:1.0 at /dev/video0, 1280x720 30 fps",
        "rtsp://10.0.0.2:554/stream",
        "no token was given and the agent has no key for this server",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redactor()(text) == text


def test_json_stays_json() -> None:
    document = {"has_token": True, "can_mint_tokens": False, "token": SECRET, "reason": "REASON_TOKEN_REJECTED"}
    redacted = json.loads(redactor()(json.dumps(document, indent=2)))
    assert redacted == document | {"token": REMOVED}


@pytest.mark.parametrize("name", ["fault.tar.gz", "fault.tgz", "fault.tar.zst"])
def test_the_archive_is_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    archive.check(out)
    archive.write(out, "fault", {"a.txt": "ä\n", "b.txt": ""})
    assert out.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [name]
    if not name.endswith(".zst"):
        with tarfile.open(out) as tar:
            assert tar.getnames() == ["fault/a.txt", "fault/b.txt"]
            content = tar.extractfile("fault/a.txt")
            assert content is not None
            assert content.read() == "ä\n".encode()


def test_other_names_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fault.zip", "fault", "nowhere/fault.tar.gz"):
        with pytest.raises(UsageError):
            archive.check(tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="zstd"):
        archive.check(tmp_path / "fault.tar.zst")

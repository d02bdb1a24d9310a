"""send, messages, message."""

import argparse
import sys
import threading
from pathlib import Path

from rtcagent_client.blocking import Client
from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.arguments import Subparsers, UsageError, command, count
from rtcagent_client.rtcctl.render.messages import message_line, show_sent, size_text
from rtcagent_client.rtcctl.screen import Screen


def add(subparsers: Subparsers) -> None:
    send = command(subparsers, "send", _send, "send a message to a room that the agent is in")
    send.add_argument("room", metavar="ROOM")
    send.add_argument("text", metavar="TEXT", nargs="?", help="what to send (or --file)")
    send.add_argument("--file", metavar="FILE", help="send the bytes of a file, or - for standard input")
    send.add_argument("--to", metavar="USER", action="append", default=[], help="only to this user; may be repeated")
    send.add_argument("--topic", default="", help="lk.chat shows it in the chat of most front ends")
    send.add_argument("--lossy", action="store_true", help="may get lost and overtake others; 15,000 bytes at most")
    send.add_argument("--form", choices=["packet", "stream"], help="how it travels (default: by its size)")
    messages = command(subparsers, "messages", _messages, "follow the messages that arrive from now on")
    messages.add_argument("--room", action="append", default=[], metavar="ROOM", help="only of this room")
    messages.add_argument("--topic", action="append", default=[], help="only with this topic")
    messages.add_argument("--count", metavar="N", type=count, help="end after so many messages")
    message = command(subparsers, "message", _message, "fetch the content of a large message that has arrived")
    message.add_argument("id", metavar="ID", help="as `rtcctl messages` and `rtcctl watch` show it")
    message.add_argument("--output", metavar="FILE", default="-", help="where to write it (default: standard output)")


def _send(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    if (args.text is None) == (args.file is None):
        raise UsageError("give either TEXT or --file")
    content = args.text if args.file is None else _read(args.file)
    sent = client.send_message(args.room, content, topic=args.topic, user_ids=args.to, lossy=args.lossy, form=args.form)
    if screen.as_json:
        screen.document(sent)
    else:
        show_sent(sent, screen)
    return exits.REACHED


def _messages(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    left = args.count

    def missed(number: int) -> None:
        screen.note(f"{number} message(s) came faster than they were taken, and are lost here")

    def lost(error: Exception) -> None:
        screen.note(f"{error}; reconnecting: what comes meanwhile is not shown")

    with client.messages(args.room, args.topic, on_lost=lost, on_missed=missed) as messages:
        if args.timeout is not None:
            timer = threading.Timer(args.timeout, messages.close)
            timer.daemon = True
            timer.start()
        for message in messages:
            if screen.as_json:
                screen.document(message, one_line=True)
            else:
                screen.line(message_line(message, screen))
            if left is not None:
                left -= 1
                if left <= 0:
                    break
    return exits.REACHED


def _message(client: Client, args: argparse.Namespace, screen: Screen) -> int:
    whole = bytearray()
    while True:
        piece = client.get_message(args.id, offset=len(whole))
        whole += piece.data
        if len(whole) >= piece.size_bytes:
            break
    if screen.as_json and args.output == "-":
        content = {"text": whole.decode(errors="replace")} if piece.is_text else {"data": whole.hex()}
        screen.document({"message_id": args.id, "size_bytes": len(whole), **content})
    elif args.output == "-" and sys.stdout.isatty():
        if not piece.is_text:
            raise UsageError("the content is no text: give --output FILE")
        for line in whole.decode(errors="replace").splitlines():
            screen.line(line)  # without the control characters that others may have put into it
    elif args.output == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(whole)
        sys.stdout.buffer.flush()
    else:
        try:
            Path(args.output).write_bytes(whole)
        except OSError as error:
            raise UsageError(f"cannot write {args.output}: {error.strerror or error}") from error
        if screen.as_json:
            screen.document({"message_id": args.id, "size_bytes": len(whole), "file": args.output})
        else:
            screen.line(f"{args.output}: {size_text(len(whole))}")
    return exits.REACHED


def _read(path: str) -> bytes:
    try:
        with open(0 if path == "-" else Path(path), "rb", closefd=path != "-") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error

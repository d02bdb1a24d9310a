"""Completion of commands, options and their choices in bash and zsh, made from the parser."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rtcagent_client.rtcctl import exits
from rtcagent_client.rtcctl.screen import Screen

_FILES = {"FILE"}  # metavars of files on this machine


@dataclass
class _Command:
    path: str  # "rtcctl camera on"
    commands: list[tuple[str, str]] = field(default_factory=list)  # with what they do
    options: list[argparse.Action] = field(default_factory=list)
    positionals: list[argparse.Action] = field(default_factory=list)


def add(subparsers: Any) -> None:
    summary = "print the completion for a shell: source <(rtcctl completion bash)"
    parser = subparsers.add_parser("completion", help=summary, description=summary, allow_abbrev=False)
    parser.add_argument("shell", metavar="SHELL", choices=["bash", "zsh"], help="bash or zsh")
    parser.set_defaults(run=_completion, is_offline=True)


def _completion(args: argparse.Namespace, screen: Screen) -> int:
    from rtcagent_client.rtcctl.parser import build  # which has this command too

    commands = list(_walk(build(), "rtcctl"))
    screen.out.write(bash(commands) if args.shell == "bash" else zsh(commands))
    return exits.REACHED


def _walk(parser: argparse.ArgumentParser, path: str) -> Iterator[_Command]:
    command = _Command(path)
    children: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            command.commands = [(choice.dest, choice.help or "") for choice in action._choices_actions]
            children = list(action.choices.items())
            known = dict(command.commands)
            command.commands = [(name, known.get(name, "")) for name in action.choices]
        elif action.option_strings:
            command.options.append(action)
        else:
            command.positionals.append(action)
    yield command
    for name, child in children:
        yield from _walk(child, f"{path} {name}")


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


def _words(action: argparse.Action) -> str:
    """What bash's compgen is to offer for a value."""
    if action.choices is not None:
        return f"-W {_quoted(' '.join(map(str, action.choices)))}"
    return "-f" if action.metavar in _FILES else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def bash(commands: list[_Command]) -> str:
    """The script for bash: finds the command that was typed so far, then offers what may follow."""
    subcommands, valued, values, options, positionals = [], [], [], [], []
    for command in commands:
        names = " ".join(name for name, _ in command.commands)
        if names:
            subcommands.append(f"        {_quoted(command.path)}) echo {_quoted(names)} ;;")
        flags = [flag for action in command.options for flag in action.option_strings if flag.startswith("--")]
        options.append(f"        {_quoted(command.path)}) echo {_quoted(' '.join(flags))} ;;")
        takers = [flag for action in command.options if _takes_value(action) for flag in action.option_strings]
        valued.append(f"        {_quoted(command.path)}) echo {_quoted(' '.join(takers))} ;;")
        for action in command.options:
            if _takes_value(action) and (words := _words(action)):
                flag = "|".join(_quoted(f"{command.path} {flag}") for flag in action.option_strings)
                values.append(f'        {flag}) COMPREPLY=($(compgen {words} -- "$cur")) ;;')
        for number, action in enumerate(command.positionals):
            if words := _words(action):
                place = _quoted(f"{command.path} {number}")
                positionals.append(f'        {place}) COMPREPLY=($(compgen {words} -- "$cur")) ;;')
    newline = "\n"
    return f"""\
# bash completion of rtcctl: source <(rtcctl completion bash)
_rtcctl_commands() {{
    case "$1" in
{newline.join(subcommands)}
    esac
}}
_rtcctl_options() {{
    case "$1" in
{newline.join(options)}
    esac
}}
_rtcctl_valued() {{
    case "$1" in
{newline.join(valued)}
    esac
}}
_rtcctl() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" path="rtcctl" place=0 taker="" word i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${{COMP_WORDS[i]}}"
        # bash splits words at = and :, which stand only in values
        if [[ "$word" == [=:] || "${{COMP_WORDS[i-1]}}" == : ]]; then
            continue
        elif [[ -n "$taker" ]]; then
            taker=""
        elif [[ "$word" == -* ]]; then
            [[ " $(_rtcctl_valued "$path") " == *" $word "* ]] && taker="$word"
        elif [[ " $(_rtcctl_commands "$path") " == *" $word "* ]]; then
            path="$path $word"
        else
            place=$((place + 1))
        fi
    done
    if [[ -n "$taker" ]]; then
        [[ "$cur" == = ]] && cur=""
        case "$path $taker" in
{newline.join(values)}
        esac
        return
    fi
    if [[ "$cur" == -* ]]; then
        COMPREPLY=($(compgen -W "$(_rtcctl_options "$path")" -- "$cur"))
        return
    fi
    word="$(_rtcctl_commands "$path")"
    if [[ -n "$word" ]]; then
        COMPREPLY=($(compgen -W "$word" -- "$cur"))
        return
    fi
    case "$path $place" in
{newline.join(positionals)}
    esac
}}
complete -o filenames -F _rtcctl rtcctl
"""


def zsh(commands: list[_Command]) -> str:
    """The script for zsh: one function for each command, with what each option does."""
    functions = []
    for command in commands:
        name = "_" + command.path.replace(" ", "_").replace("-", "_")
        specs = [spec for action in command.options for spec in _zsh_option(action)]
        if command.commands:
            listed = " ".join(_quoted(f"{child}:{summary}") for child, summary in command.commands)
            cases = "\n".join(f"        {child}) {name}_{child.replace('-', '_')} ;;" for child, _ in command.commands)
            body = f"""\
    local -a commands=({listed})
    local state line
    _arguments -C{_lines(specs)} \\
        '1: :->command' '*:: :->rest'
    case $state in
    command) _describe command commands ;;
    rest) case $line[1] in
{cases}
        esac ;;
    esac"""
        else:
            for action in command.positionals:
                optional = ":" if action.nargs == "?" else ""
                specs.append(_quoted(f":{optional}{action.metavar or action.dest}:{_zsh_values(action)}"))
            body = f"    _arguments{_lines(specs)}"
        functions.append(f"{name}() {{\n{body}\n}}")
    text = "\n".join(functions)
    # `source`d it is registered; as a file _rtcctl of $fpath it is run
    return f"""\
#compdef rtcctl
# zsh completion of rtcctl: source <(rtcctl completion zsh)
{text}
# a file named _rtcctl in $fpath is run as the function; one that is sourced only registers it
if [[ "$funcstack[1]" == _rtcctl ]]; then _rtcctl "$@"; else compdef _rtcctl rtcctl; fi
"""


def _lines(specs: list[str]) -> str:
    return "".join(f" \\\n        {spec}" for spec in specs)


def _zsh_option(action: argparse.Action) -> Iterator[str]:
    summary = (action.help or "").replace("[", "(").replace("]", ")").replace(":", " ").replace("%%", "%")
    for flag in action.option_strings:
        value = ""
        if _takes_value(action):
            optional = ":" if action.nargs == "?" else ""
            value = f":{optional}{(action.metavar or action.dest)!s}:{_zsh_values(action)}".replace(
                "sha256:HEX", "sha256"
            )
        yield _quoted(f"{flag}[{summary}]{value}")


def _zsh_values(action: argparse.Action) -> str:
    if action.choices is not None:
        return f"({' '.join(map(str, action.choices))})"
    return "_files" if action.metavar in _FILES else " "

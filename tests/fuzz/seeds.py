#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets, made of tests/data and config/rules, below tests/fuzz/corpus.

Usage: tests/fuzz/seeds.py [TARGET...]   (without: all of them)
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DATA = ROOT / "tests/data"
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|\*\{(\d+):([^}]*)\}|([rnt0\\]))")
PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def octets(text):
    """What a line of a dialogue stands for; the escapes are explained in tests/data/dialogues/README.md."""
    out, at = b"", 0
    for found in ESCAPE.finditer(text):
        out += text[at : found.start()].encode()
        code, times, unit, plain = found.groups()
        if code:
            out += bytes([int(code, 16)])
        elif times:
            # The longest ones are of no use to a fuzzer.
            out += unit.encode() * min(int(times), 3000)
        else:
            out += PLAIN[plain]
        at = found.end()
    return out + text[at:].encode()


def dialogues():
    """(name, settings, everything the client says) of every dialogue."""
    for path in sorted((DATA / "dialogues").glob("*.txt")):
        settings, said = {}, b""
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("! "):
                key, _, value = line[2:].partition("=")
                settings[key.strip()] = value.strip()
            elif line.startswith(("C:", "C|")):
                said += octets(line[3:]) + (b"\r\n" if line[1] == ":" else b"")
        yield path.stem, settings, said


def messages():
    """(name, octets) of every message."""
    for path in [DATA / "sample-bounce.eml", *sorted((DATA / "reports").glob("*.eml"))]:
        yield path.stem, path.read_bytes()


def smtp_session():
    for name, settings, said in dialogues():
        ways = (settings.get("bare_newline") == "reject") | (settings.get("sink") == "try-later") << 1
        cap = min(int(settings.get("max_message_size", 0)) // 2, 255)
        limits = min(int(settings.get("max_recipients", 16)), 16) - 1
        limits |= (min(int(settings.get("max_bad_commands", 10)), 16) - 1) << 4
        ways |= (settings.get("protocol") == "lmtp") << 3
        yield name, bytes([ways, 0, cap, limits]) + said
        yield name + "-in-pieces", bytes([ways | 4, 7, cap, limits]) + said
        # To the session alone, under TLS from the first line on; and where TLS is required, with few commands allowed.
        hello = b"LHLO" if ways & 8 else b"EHLO"
        under_tls = hello + b" a\r\nSTARTTLS\r\n" + said
        yield name + "-under-tls", bytes([ways | 16, 0, cap, limits]) + under_tls
        yield name + "-tls-required", bytes([ways | 16 | 32 | 64, 20, cap, limits]) + said + under_tls


def commands():
    for name, _, said in dialogues():
        for number, line in enumerate(said.split(b"\r\n")):
            yield f"{name}-{number}", line
    for number, line in enumerate(
        [
            rb'MAIL FROM:<"john doe"@example.com> ENVID=a\b SIZE=1',
            rb"MAIL FROM:<a\@b@#16909060>",
            rb'RCPT TO:<@a.example,@b.example:"a\"b"@[192.0.2.1]>',
        ]
    ):
        yield f"quoted-{number}", line


def data_decoder():
    for name, _, said in dialogues():
        for number, data in enumerate(re.split(rb"(?i)\r\nDATA\r\n", said)[1:]):
            yield f"{name}-{number}", b"\x00\x01\x00" + data
            yield f"{name}-{number}-in-pieces", b"\x20\x40\x07" + data


def report_parser():
    yield from messages()


def field_groups():
    part = re.compile(rb"(?is)\r?\nContent-Type:\s*message/(?:global-)?delivery-status.*?\n\r?\n(.*?)(?:\n--|$)")
    for name, message in messages():
        for number, body in enumerate(part.findall(message)):
            yield f"{name}-{number}", body


def tokens():
    addresses = {"dead@example.com", '"john doe"@example.com', "user@bücher.example", "x400 thing"}
    for path in (DATA / "reports").glob("*.json"):
        report = json.loads(path.read_text(encoding="utf-8"))
        addresses |= set(re.findall(r'"([^"\\]+@[^"\\]+)"', json.dumps(report, ensure_ascii=False)))
    for number, address in enumerate(sorted(addresses)):
        made_up = "bounces+" + address.replace("@", "=")
        yield f"address-{number}", bytes([0, 0, 7, 0x2A, 0x51, number % 20, number % 128, 97]) + f"{address}\n{made_up}".encode()
    keys = "1 000102030405060708090a0b0c0d0e0f # 2026-05-01\nbatv3 text:word\n"
    yield "keys", bytes(8) + keys.encode()


def rules():
    for path in sorted((ROOT / "config/rules").glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        head, *each = re.split(r"(?m)^(?=\[\[rule\]\])", text)
        provider = head[head.index("[provider]") :] if "[provider]" in head else ""
        # One of a kind is enough: every run of this target compiles all rules.
        for number, rule in enumerate(each[::8]):
            yield f"{path.stem}-{number}", (provider + rule).encode()


def diagnostics():
    for number, line in enumerate((DATA / "diagnostics.tsv").read_text(encoding="utf-8").splitlines()):
        if line.startswith("#") or line.count("\t") < 2:
            continue
        _, status, text = line.split("\t", 2)
        code = [int(digits) for digits in re.findall(r"\d+", status)] + [0, 0, 0]
        yield f"line-{number}", bytes([code[0] % 8, code[1] % 8, code[2] % 40, 0]) + text.encode()


TARGETS = [smtp_session, commands, data_decoder, report_parser, field_groups, tokens, rules, diagnostics]


def main():
    wanted = sys.argv[1:] or [target.__name__ for target in TARGETS]
    known = {target.__name__: target for target in TARGETS}
    for name in wanted:
        if name not in known:
            sys.exit(f"seeds.py: no target {name!r}; there are {', '.join(known)}")
        folder = HERE / "corpus" / name
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        for seed, content in known[name]():
            (folder / f"seed-{seed}").write_bytes(content)
            count += 1
        print(f"{name}: {count} seeds")


if __name__ == "__main__":
    main()

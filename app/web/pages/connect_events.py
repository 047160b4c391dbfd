"""Set-up of what carries events for others: rsyslog, syslog-ng, and curl to try one."""

from app.web.pages.connect_target import NAME, Target, quoted, step
from app.web.shell import ConnectStep

_FILE = "/var/log/falco/events.json"


def curl(target: Target) -> tuple[ConnectStep, ...]:
    event = (
        '{"@timestamp":"2026-01-01T00:00:00Z","event":{"category":["process"],"type":["start"],'
        '"action":"exec"},"host":{"name":"try-me","os":{"type":"linux"}},'
        '"container":{"id":"3f9a1c2b77d0","name":"checkout"},'
        '"process":{"name":"ssh","pid":4177,"args":["ssh","-N","-R","2222:localhost:22",'
        '"ops@203.0.113.9"],"entry_leader":{"entry_meta":{"type":"container"}}}}'
    )
    return (
        step(
            "Send one event: an ssh that opens a tunnel out of a container.",
            f"curl {target.events_url} \\\n"
            f"  -H 'Authorization: Bearer {target.key}' \\\n"
            f"  -H 'Content-Type: application/json' \\\n"
            f"  -d '{event}'",
        ),
        step("The answer counts it as matched, and its alert is at the top of the list."),
        step(
            "A file with one event a line works as well, also compressed with gzip or zstd:",
            f"curl {target.events_url} \\\n"
            f"  -H 'Authorization: Bearer {target.key}' \\\n"
            "  -H 'Content-Encoding: gzip' \\\n"
            "  --data-binary @events.ndjson.gz",
        ),
    )


def rsyslog(target: Target) -> tuple[ConnectStep, ...]:
    return (
        step(
            "For events that another agent writes to a file, one a line. In "
            "/etc/rsyslog.d/deckwatch.conf, with the path of that file; the first line belongs "
            "at the top of rsyslog.conf, where there is not one like it already:",
            'global(maxMessageSize="1m")\n'
            'module(load="imfile")\n'
            'module(load="omelasticsearch")\n'
            f'template(name="{NAME}" type="string" string="%msg%")\n'
            f'input(type="imfile" file="{_FILE}" tag="{NAME}" ruleset="{NAME}")\n'
            f'ruleset(name="{NAME}" queue.type="linkedList" queue.size="10000") {{\n'
            "  action(\n"
            '    type="omelasticsearch"\n'
            f"    server={quoted(target.elastic_url)}\n"
            f'    uid="{NAME}"\n'
            f"    pwd={quoted(target.key)}\n"
            f'    template="{NAME}"\n'
            f'    searchIndex="{NAME}"\n'
            '    bulkmode="on"\n'
            '    action.resumeRetryCount="-1"\n'
            "  )\n"
            "}",
        ),
        step("Check it with rsyslogd -N1, then restart rsyslog."),
    )


def syslog_ng(target: Target) -> tuple[ConnectStep, ...]:
    return (
        step(
            "For events that another agent writes to a file, one a line. In "
            "/etc/syslog-ng/conf.d/deckwatch.conf, with the path of that file:",
            f'source s_{NAME} {{\n  file("{_FILE}" flags(no-parse) follow-freq(1));\n}};\n'
            f"destination d_{NAME} {{\n"
            "  http(\n"
            f"    url({quoted(target.events_url)})\n"
            '    method("POST")\n'
            f"    user({quoted(NAME)})\n"
            f"    password({quoted(target.key)})\n"
            '    headers("Content-Type: application/x-ndjson")\n'
            '    body("${MESSAGE}")\n'
            '    delimiter("\\n")\n'
            "    batch-lines(1000)\n"
            "    batch-timeout(1000)\n"
            "  );\n"
            "};\n"
            f"log {{\n  source(s_{NAME});\n  destination(d_{NAME});\n  flags(flow-control);\n}};",
        ),
        step(
            "A line longer than 64 KiB is cut unless log-msg-size() in options says more. Check the "
            "file with syslog-ng --syntax-only, then reload syslog-ng."
        ),
    )

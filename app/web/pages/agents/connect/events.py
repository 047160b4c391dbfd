"""Instructions for curl, rsyslog and syslog-ng.

rsyslog and syslog-ng ship events that an agent, such as Falco, writes to a file.
"""

from app.web.components import ConnectStep
from app.web.pages.agents.connect.target import KEY_NAME, ConnectTarget, connect_step, quote_string

_EVENTS_FILE = "/var/log/falco/events.json"


def curl(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    event = (
        '{"@timestamp":"2026-01-01T00:00:00Z","event":{"category":["process"],"type":["start"],'
        '"action":"exec"},"host":{"name":"try-me","os":{"type":"linux"}},'
        '"container":{"id":"3f9a1c2b77d0","name":"checkout"},'
        '"process":{"name":"ssh","pid":4177,"args":["ssh","-N","-R","2222:localhost:22",'
        '"ops@203.0.113.9"],"entry_leader":{"entry_meta":{"type":"container"}}}}'
    )
    return (
        connect_step(
            "Send a test event, which reports that ssh opened a reverse tunnel out of a container:",
            f"curl {target.events_url} \\\n"
            f"  -H 'Authorization: Bearer {target.key}' \\\n"
            f"  -H 'Content-Type: application/json' \\\n"
            f"  -d '{event}'",
        ),
        connect_step(
            "The response counts the event as matched. The list of open alerts then shows an "
            "alert for this event."
        ),
        connect_step(
            "You can also send a file with one event per line, optionally compressed with gzip or zstd:",
            f"curl {target.events_url} \\\n"
            f"  -H 'Authorization: Bearer {target.key}' \\\n"
            "  -H 'Content-Encoding: gzip' \\\n"
            "  --data-binary @events.ndjson.gz",
        ),
    )


def rsyslog(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "rsyslog can ship events that another agent writes to a file, one per line. Add this to "
            "/etc/rsyslog.d/deckwatch.conf and replace the path. Move the first line to the top of "
            "rsyslog.conf, unless that file already sets maxMessageSize:",
            'global(maxMessageSize="1m")\n'
            'module(load="imfile")\n'
            'module(load="omelasticsearch")\n'
            f'template(name="{KEY_NAME}" type="string" string="%msg%")\n'
            f'input(type="imfile" file="{_EVENTS_FILE}" tag="{KEY_NAME}" ruleset="{KEY_NAME}")\n'
            f'ruleset(name="{KEY_NAME}" queue.type="linkedList" queue.size="10000") {{\n'
            "  action(\n"
            '    type="omelasticsearch"\n'
            f"    server={quote_string(target.elastic_url)}\n"
            f'    uid="{KEY_NAME}"\n'
            f"    pwd={quote_string(target.key)}\n"
            f'    template="{KEY_NAME}"\n'
            f'    searchIndex="{KEY_NAME}"\n'
            '    bulkmode="on"\n'
            '    action.resumeRetryCount="-1"\n'
            "  )\n"
            "}",
        ),
        connect_step("Check the configuration with rsyslogd -N1, then restart rsyslog."),
    )


def syslog_ng(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "syslog-ng can ship events that another agent writes to a file, one per line. Add this to "
            "/etc/syslog-ng/conf.d/deckwatch.conf and replace the path:",
            f'source s_{KEY_NAME} {{\n  file("{_EVENTS_FILE}" flags(no-parse) follow-freq(1));\n}};\n'
            f"destination d_{KEY_NAME} {{\n"
            "  http(\n"
            f"    url({quote_string(target.events_url)})\n"
            '    method("POST")\n'
            f"    user({quote_string(KEY_NAME)})\n"
            f"    password({quote_string(target.key)})\n"
            '    headers("Content-Type: application/x-ndjson")\n'
            '    body("${MESSAGE}")\n'
            '    delimiter("\\n")\n'
            "    batch-lines(1000)\n"
            "    batch-timeout(1000)\n"
            "  );\n"
            "};\n"
            f"log {{\n  source(s_{KEY_NAME});\n  destination(d_{KEY_NAME});\n  flags(flow-control);\n}};",
        ),
        connect_step(
            "syslog-ng truncates lines longer than 64 KiB. To accept longer lines, increase "
            "log-msg-size() in the options block. Check the file with syslog-ng --syntax-only, then "
            "reload syslog-ng."
        ),
    )

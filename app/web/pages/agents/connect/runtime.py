"""Instructions for agents that monitor containers with eBPF: Falco, Tetragon, Tracee."""

from app.web.components import ConnectStep
from app.web.pages.agents.connect.target import KEY_NAME, ConnectTarget, connect_step, quote_string

# Falco sends one request per alert, so this Falco rule lists only the programs that Deckwatch's rules match.
_FALCO_RULE = """\
- rule: SSH program started in a container
  desc: Every start of an SSH program inside a container, for Deckwatch to evaluate.
  condition: >
    spawned_process and container
    and proc.name in (ssh, sshd, sshd-session, autossh, sshpass, scp, sftp, ssh-keygen,
                      ssh-keyscan, dropbear, dbclient)
  output: >
    SSH program started in a container
    (evt_type=%evt.type command=%proc.cmdline name=%proc.name args=%proc.args exe=%proc.exepath
    pid=%proc.pid ppid=%proc.ppid parent=%proc.pname user=%user.name uid=%user.uid
    loginuid=%user.loginuid container=%container.id container_name=%container.name
    image=%container.image.repository tag=%container.image.tag namespace=%k8s.ns.name
    pod=%k8s.pod.name)
  priority: NOTICE
  tags: [container, process, deckwatch]"""


def falco(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "Add a Falco rule that outputs all fields Deckwatch reads, in "
            "/etc/falco/rules.d/deckwatch.yaml:",
            _FALCO_RULE,
        ),
        connect_step(
            "Enable the HTTP output in falco.yaml. Falco cannot set a header, so the key is in the "
            "URL:",
            "json_output: true\n"
            "json_include_output_property: true\n"
            "http_output:\n"
            "  enabled: true\n"
            f"  url: {quote_string(target.events_url_with_key)}",
        ),
        connect_step(
            "Falco does not send an alert again. An alert that it sends while Deckwatch is unavailable is "
            "lost. To lose no alert, write the alerts to a file instead, and ship this file with Filebeat, "
            "Fluent Bit, Vector or rsyslog, which try again until Deckwatch has stored them:",
            "json_output: true\n"
            "file_output:\n"
            "  enabled: true\n"
            "  keep_alive: false\n"
            "  filename: /var/log/falco/events.json",
        ),
    )


def falcosidekick(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step("Add the Falco rule from the Falco tab, and connect Falco to Falcosidekick."),
        connect_step(
            "Add the Elasticsearch output to Falcosidekick's config.yaml. With batching, it sends many "
            "alerts per request, which a high event rate needs; without, it sends one alert per request:",
            "elasticsearch:\n"
            f"  hostport: {quote_string(target.elastic_url)}\n"
            f"  index: {quote_string(KEY_NAME)}\n"
            '  suffix: "none"\n'
            f"  username: {quote_string(KEY_NAME)}\n"
            f"  password: {quote_string(target.key)}\n"
            "  enablecompression: true\n"
            "  batching:\n"
            "    enabled: true\n"
            "    flushinterval: 1s",
        ),
        connect_step(
            "You can use a webhook instead, which sends one alert per request:",
            "webhook:\n"
            f"  address: {quote_string(target.events_url)}\n"
            "  customheaders:\n"
            f"    Authorization: {quote_string(f'Bearer {target.key}')}",
        ),
        connect_step(
            "Falcosidekick does not send an alert again. Alerts that it sends while Deckwatch is unavailable "
            "are lost. To lose no alert, ship Falco's file output as the Falco tab describes."
        ),
    )


def tetragon(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "Tetragon writes its events to a file: /var/run/cilium/tetragon/tetragon.log in "
            "Kubernetes, /var/log/tetragon/tetragon.log on a host. Ship this file with Fluent Bit or "
            "Vector. On a host, replace the path in the configuration."
        ),
        connect_step(
            "For Fluent Bit, add this to fluent-bit.yaml:",
            "parsers:\n"
            "  - name: tetragon\n"
            "    format: json\n"
            "pipeline:\n"
            "  inputs:\n"
            "    - name: tail\n"
            "      path: /var/run/cilium/tetragon/tetragon.log\n"
            "      parser: tetragon\n"
            "      db: /var/lib/fluent-bit/tetragon.db\n"
            "      buffer_max_size: 4M\n"
            "  outputs:\n"
            "    - name: http\n"
            '      match: "*"\n'
            f"      host: {quote_string(target.host)}\n"
            f"      port: {target.port}\n"
            "      uri: /api/v1/events\n"
            f"      tls: {'on' if target.https else 'off'}\n"
            f"      header: {quote_string(f'Authorization Bearer {target.key}')}\n"
            "      format: json_lines\n"
            "      json_date_key: false\n"
            "      compress: gzip\n"
            "      retry_limit: no_limits",
        ),
        connect_step(
            "For Vector, which forwards the lines unchanged, add this to vector.yaml:",
            "sources:\n"
            "  tetragon:\n"
            "    type: file\n"
            "    include: [/var/run/cilium/tetragon/tetragon.log]\n"
            "    max_line_bytes: 4194304\n"
            "sinks:\n"
            f"  {KEY_NAME}:\n"
            "    type: http\n"
            "    inputs: [tetragon]\n"
            f"    uri: {quote_string(target.events_url)}\n"
            "    method: post\n"
            "    auth:\n"
            "      strategy: bearer\n"
            f"      token: {quote_string(target.key)}\n"
            "    encoding:\n"
            "      codec: text\n"
            "    framing:\n"
            "      method: newline_delimited\n"
            "    compression: gzip\n"
            "    acknowledgements:\n"
            "      enabled: true",
        ),
    )


def tracee(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "Start Tracee with a webhook output. Tracee cannot set a header, so the key is in the "
            "URL:",
            "tracee \\\n"
            "  --scope container \\\n"
            "  --events sched_process_exec \\\n"
            f"  --output 'webhook:{target.events_url_with_key}?timeout=5s'",
        ),
        connect_step(
            "In Kubernetes, use the same arguments for the container of Tracee's DaemonSet:",
            "args:\n"
            "  - --scope\n"
            "  - container\n"
            "  - --events\n"
            "  - sched_process_exec\n"
            "  - --output\n"
            f"  - {quote_string(f'webhook:{target.events_url_with_key}?timeout=5s')}",
        ),
        connect_step(
            "Use sched_process_exec, not execve: execve fires before the process belongs to the "
            "container. Tracee does not send an event again: events are lost while Deckwatch is "
            "unavailable. To lose none, write them to a file with --output json:/var/log/tracee/events.json, "
            "and ship this file with Filebeat, Fluent Bit, Vector or rsyslog."
        ),
    )

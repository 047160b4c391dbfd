"""Set-up of Elastic's own programs, which take `/elastic` for an Elasticsearch."""

from app.web.components import ConnectStep
from app.web.pages.agents.connect.target import KEY_NAME, ConnectTarget, connect_step, quote_string


def elastic_agent(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "In Kibana, open Integrations, Elastic Defend. Choose Cloud Workloads (or Traditional "
            "Endpoints) and a preset that reports all events, such as Complete EDR. A Fleet Server "
            "must be running."
        ),
        connect_step("Attach it to an agent policy and enrol the Elastic Agent on the hosts."),
        connect_step(
            "Through Logstash: in Fleet, Settings, add an output of type Logstash and choose it in "
            "the agent policy. Logstash keeps sending to Elasticsearch as before, and with this "
            "second output in its pipeline to Deckwatch too:",
            logstash_output(target),
        ),
        connect_step(
            "Straight, without Logstash, for an agent that is configured by a file "
            "(elastic-agent.yml). An agent that Fleet manages cannot do this: Fleet gives it a key "
            "of its own for every Elasticsearch output. Elastic Defend is always managed by Fleet.",
            "outputs:\n"
            "  default:\n"
            "    type: elasticsearch\n"
            f"    hosts: [{quote_string(target.elastic_url)}]\n"
            f"    api_key: {quote_string(target.api_key)}\n"
            "    bulk_max_size: 1000\n"
            "    compression_level: 1",
        ),
    )


def logstash_output(target: ConnectTarget) -> str:
    # Basic and not api_key, which Logstash refuses without HTTPS.
    return (
        "output {\n"
        "  elasticsearch {\n"
        f"    hosts => [{quote_string(target.elastic_url)}]\n"
        f"    user => {quote_string(KEY_NAME)}\n"
        f"    password => {quote_string(target.key)}\n"
        f"    index => {quote_string(KEY_NAME)}\n"
        '    data_stream => "false"\n'
        "    ilm_enabled => false\n"
        "    manage_template => false\n"
        "  }\n"
        "}"
    )


def filebeat(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "Filebeat can carry the events that another agent writes to a file, one a line. In "
            "filebeat.yml, with the path of that file:",
            "filebeat.inputs:\n"
            "  - type: filestream\n"
            f"    id: {KEY_NAME}\n"
            "    paths:\n"
            "      - /var/log/falco/events.json\n"
            "    parsers:\n"
            "      - ndjson:\n"
            '          target: ""\n'
            "          overwrite_keys: true\n" + _beat_output(target),
        ),
        connect_step(
            "Auditbeat, and any Beat whose events are ECS process events, needs only the output:",
            _beat_output(target).rstrip(),
        ),
        connect_step(
            "Restart the Beat. Its first events show up in the list above within a minute."
        ),
    )


def _beat_output(target: ConnectTarget) -> str:
    return (
        "output.elasticsearch:\n"
        f"  hosts: [{quote_string(target.elastic_url)}]\n"
        f"  api_key: {quote_string(target.api_key)}\n"
        "  bulk_max_size: 1000\n"
        "  compression_level: 1\n"
        "setup.template.enabled: false\n"
        "setup.ilm.enabled: false\n"
    )

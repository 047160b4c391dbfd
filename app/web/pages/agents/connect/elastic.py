"""Instructions for Elastic Agent, Logstash and Beats, with `/elastic` as their Elasticsearch server."""

from app.web.components import ConnectStep
from app.web.pages.agents.connect.target import KEY_NAME, ConnectTarget, connect_step, quote_string


def elastic_agent(target: ConnectTarget) -> tuple[ConnectStep, ...]:
    return (
        connect_step(
            "In Kibana, open Integrations and choose Elastic Defend. Select Cloud Workloads or "
            "Traditional Endpoints, and a preset that reports all events, such as Complete EDR. Elastic "
            "Defend requires a running Fleet Server."
        ),
        connect_step(
            "Add the integration to an agent policy and enrol the Elastic Agent on the hosts."
        ),
        connect_step(
            "Choose how the agent sends to Deckwatch: through Logstash (this step) or directly (the next "
            "step). Through Logstash: in Fleet, open Settings, add an output of type Logstash and select "
            "it in the agent policy. Keep the Elasticsearch output of the Logstash pipeline and add this "
            "output for Deckwatch:",
            logstash_output(target),
        ),
        connect_step(
            "Directly, instead of the previous step: only a standalone Elastic Agent can send events to "
            "Deckwatch. An agent that Fleet manages cannot use this output, because Fleet creates its own "
            "key for each Elasticsearch output. Elastic Defend always requires Fleet. For a standalone "
            "agent, add this to elastic-agent.yml:",
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
    # The output uses HTTP Basic instead of `api_key`, because Logstash refuses `api_key` without HTTPS.
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
            "Filebeat can ship events that another agent writes to a file, one per line. Add this to "
            "filebeat.yml and replace the path:",
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
            "Auditbeat, and any other Beat that sends ECS process events, needs only the output:",
            _beat_output(target).rstrip(),
        ),
        connect_step("Restart the Beat. Its events appear in the list above within a minute."),
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

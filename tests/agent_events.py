"""Made-up events of Falco, Tetragon and Tracee. Each reports an `ssh` that starts in a container."""

from typing import Any

CONTAINER_ID = "3f9a1c2b77d0b6f2f1f6a0c4e5d8a7b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5"
NODE = "node-11"


def falco(*, without: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return an alert of a Falco rule for new processes.

    `fields` adds or replaces output fields; `__` in a name stands for a dot. `without` removes output fields.
    """
    given = {
        "evt.time": 1795521598123456789,
        "evt.type": "execve",
        "container.id": CONTAINER_ID[:12],
        "container.name": "web-5c6b",
        "container.image.repository": "registry.example:5000/shop/web",
        "container.image.tag": "9.1",
        "k8s.ns.name": "prod",
        "k8s.pod.name": "web-5c6b-x7k2p",
        "proc.name": "ssh",
        "proc.exepath": "/usr/bin/ssh",
        "proc.args": "-p 2222 deploy@10.42.3.17 uptime",
        "proc.cmdline": "ssh -p 2222 deploy@10.42.3.17 uptime",
        "proc.pid": 4177,
        "proc.ppid": 41,
        "proc.pname": "bash",
        "proc.pcmdline": "bash -i",
        "proc.tty": 34816,
        "user.name": "nginx",
        "user.uid": 101,
        "user.loginuid": -1,
    } | {name.replace("__", "."): value for name, value in fields.items()}
    for name in without:
        given.pop(name.replace("__", "."))
    return {
        "hostname": NODE,
        "output": "11:59:58.123456789: Notice SSH in a container (command=ssh -p 2222 …)",
        "output_fields": given,
        "priority": "Notice",
        "rule": "SSH in a container",
        "source": "syscall",
        "tags": ["container", "ssh"],
        "time": "2026-11-24T11:59:58.123456789Z",
    }


def tetragon(*, without: tuple[str, ...] = (), **process: Any) -> dict[str, Any]:
    """Return a `process_exec` event of Tetragon.

    `process` adds or replaces keys of its process; `without` removes keys of its process.
    """
    pod = {
        "namespace": "prod",
        "name": "web-5c6b-x7k2p",
        "container": {
            "id": f"containerd://{CONTAINER_ID}",
            "name": "web",
            "image": {
                "id": f"registry.example:5000/shop/web@sha256:{'ab' * 32}",
                "name": "registry.example:5000/shop/web:9.1",
            },
            "pid": 49,
        },
        "pod_labels": {"app.kubernetes.io/name": "web"},
        "workload": "web",
    }
    given = {
        "exec_id": "bm9kZS0xMToxMzU0ODY3NDMyMTM3Mzo0MTc3",
        "pid": 4177,
        "uid": 101,
        "cwd": "/srv",
        "binary": "/usr/bin/ssh",
        "arguments": '-p 2222 deploy@10.42.3.17 "uptime -p"',
        "flags": "execve clone",
        "start_time": "2026-11-24T11:59:58.123456000Z",
        "auid": 4294967295,
        "pod": pod,
        "docker": CONTAINER_ID[:31],
        "parent_exec_id": "bm9kZS0xMToxMzU0ODY3MDg4MzI5OTo0MQ==",
    } | process
    for name in without:
        del given[name]
    return {
        "process_exec": {
            "process": given,
            "parent": {
                "exec_id": "bm9kZS0xMToxMzU0ODY3MDg4MzI5OTo0MQ==",
                "pid": 41,
                "uid": 101,
                "binary": "/bin/bash",
                "arguments": '-c "ssh -p 2222 deploy@10.42.3.17"',
                "flags": "execve clone",
            },
        },
        "node_name": NODE,
        "time": "2026-11-24T11:59:58.123456789Z",
    }


def tracee(*, without: tuple[str, ...] = (), **event: Any) -> dict[str, Any]:
    """Return a `sched_process_exec` event in the format that Tracee used before `v1beta1.Event`."""
    given = {
        "timestamp": 1795521598123456789,
        "threadStartTime": 1795521598120000000,
        "processId": 17,
        "parentProcessId": 9,
        "hostProcessId": 4177,
        "hostParentProcessId": 41,
        "userId": 101,
        "processName": "ssh",
        "executable": {"path": ""},
        "hostName": NODE,
        "containerId": CONTAINER_ID,
        "container": {
            "id": CONTAINER_ID,
            "name": "web",
            "image": "registry.example:5000/shop/web:9.1",
        },
        "kubernetes": {"podName": "web-5c6b-x7k2p", "podNamespace": "prod"},
        "eventId": "715",
        "eventName": "sched_process_exec",
        "returnValue": 0,
        "processEntityId": 2971844315,
        "parentEntityId": 1046207513,
        "contextFlags": {"containerStarted": True, "isCompat": False},
        "args": [
            {"name": "cmdpath", "type": "const char*", "value": "/usr/bin/ssh"},
            {"name": "pathname", "type": "const char*", "value": "/usr/bin/ssh"},
            {
                "name": "argv",
                "type": "const char**",
                "value": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"],
            },
        ],
    } | event
    for name in without:
        del given[name]
    return given


def tracee_v1beta1() -> dict[str, Any]:
    """Return the `sched_process_exec` event in Tracee's newest format, `v1beta1.Event`."""
    return {
        "timestamp": {"seconds": "1795521598", "nanos": 123456789},
        "id": "sched_process_exec",
        "name": "sched_process_exec",
        "workload": {
            "process": {
                "thread": {"name": "ssh", "host_tid": 4177},
                "pid": {"value": 17},
                "host_pid": {"value": 4177},
                "unique_id": {"value": 2971844315},
                "real_user": {"id": {"value": 101}},
                "executable": {"path": "/usr/bin/ssh"},
                "ancestors": [{"unique_id": 1046207513, "host_pid": 41, "pid": 9}],
            },
            "container": {
                "id": CONTAINER_ID,
                "name": "web",
                "image": {"name": "registry.example:5000/shop/web:9.1"},
            },
            "pod": {"name": "web-5c6b-x7k2p", "namespace": "prod"},
        },
        "data": [
            {"name": "pathname", "str": "/usr/bin/ssh"},
            {
                "name": "argv",
                "str_array": {"value": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"]},
            },
        ],
    }


def velociraptor_tracee_row() -> dict[str, Any]:
    """Return a row of Velociraptor's artifact `Linux.Events.EBPF`, which contains a Tracee event."""
    return {
        "Timestamp": "2026-11-24T12:00:01+00:00",
        "EventType": "sched_process_exec",
        "System": {
            "Timestamp": "2026-11-24T13:59:58.123456789+02:00",
            "EventID": 715,
            "EventName": "sched_process_exec",
            "ProcessID": 17,
            "ParentProcessID": 9,
            "HostProcessID": 4177,
            "HostParentProcessID": 41,
            "UserID": 101,
            "ProcessName": "ssh",
            "HostName": "web-5c6b-x7k2p",
            "MainHostname": NODE,
        },
        "EventData": {
            "cmdpath": "/usr/bin/ssh",
            "pathname": "/usr/bin/ssh",
            "argv": ["ssh", "-p", "2222", "deploy@10.42.3.17", "uptime -p"],
        },
        "Artifact": "Linux.Events.EBPF",
        "ClientId": "C.7f3a1b2c4d5e6f70",
        "Hostname": "client-name",
    }

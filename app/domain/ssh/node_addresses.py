"""Addresses that lead from a container to its host or to the metadata service of the cloud."""

import ipaddress
from collections.abc import Iterable

# Names that Docker, Podman and minikube resolve to the host of the container.
_HOST_NAMES = frozenset(
    {
        "host.docker.internal",
        "gateway.docker.internal",
        "host.containers.internal",
        "host.minikube.internal",
        "host.lima.internal",
        "host.rancher-desktop.internal",
    }
)
# Gateways of Docker's and Podman's bridges, and the host addresses of rootless and desktop installations.
_GATEWAYS = frozenset(
    {f"172.{second}.0.1" for second in range(17, 32)}
    | {"10.88.0.1", "10.0.2.2", "192.168.49.1", "192.168.65.1", "192.168.65.2", "192.168.65.254"}
    | {"192.168.127.1", "192.168.127.254", "169.254.1.2"}
)
# Metadata services: AWS, Azure, Google Cloud, Oracle and others; AWS over IPv6; Alibaba Cloud.
_METADATA = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200"})
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata"})


def describe_node_address(host: str, host_addresses: Iterable[str]) -> str | None:
    """Return why `host` leads to the container's host or to a metadata service, or None if it does not.

    `host` is a normalised destination. `host_addresses` are the addresses that the agent reports for the host
    (ECS `host.ip`).
    """
    name = host.rstrip(".")
    if name in _HOST_NAMES:
        return f"{host} is a name of the container's host"
    text = host.removeprefix("::ffff:").partition("%")[0]
    if name in _METADATA_NAMES or text in _METADATA:
        return f"{host} is the metadata service of the cloud"
    if text in host_addresses and text not in ("127.0.0.1", "::1"):
        return f"{host} is an address of the container's host"
    if text in _GATEWAYS:
        return f"{host} is usually the address of the container's host, the gateway of its network"
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.is_link_local:
        return f"{host} is a link-local address, which reaches only the host and its neighbours"
    return None

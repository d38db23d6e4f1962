"""The way into a Ray cluster, its nodes, and whether they have what is asked for."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import ray
import ray.util.client

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Node",
    "asked_text",
    "capacity",
    "checked_options",
    "cluster_text",
    "connect",
    "fitting_nodes",
    "nodes",
    "store_bytes",
]

_CONNECT_S = 5.0  # to reach the port of an address
_OURS = ("max_concurrency", "max_restarts", "max_task_retries", "lifetime", "name", "get_if_exists")
_SHOWN = ("CPU", "GPU", "memory")  # of a node's resources, in messages; and those that were asked for


class Node(NamedTuple):
    """A node of the cluster that is alive.

    Parameters
    ----------
    id : str
        Ray's id.
    address : str
        Its address.
    resources : dict of str to float
        All that it has, whoever uses it.
    """

    id: str
    address: str
    resources: dict[str, float]


def connect(address: str | None = None) -> None:
    """Connect this process to a cluster, unless it is connected.

    Parameters
    ----------
    address : str, optional
        As for `ray.init`, by default that of ``RAY_ADDRESS``, or of a cluster on this machine.

    Raises
    ------
    OptionError
        The address is one of Ray's client, or this process is one.
    EngineError
        There is no cluster.
    """
    if (address or "").startswith("ray://") or ray.util.client.ray.is_connected():
        raise OptionError(
            f"address={address!r}: Ray's client, ray://, runs outside of the cluster and has no object "
            "store; run the program on a node of the cluster, with address='auto'"
        )
    if ray.is_initialized():
        return
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    remedy = (
        "start one by `ray start --head` and join it by `ray start --address=HOST:6379`, give address=, or "
        "call ray.init() before"
    )
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:  # Ray itself would try for a minute
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
        except OSError as error:
            raise EngineError(
                f"no Ray cluster can be reached at {address!r}: {error.strerror or error}; {remedy}"
            ) from error
    try:
        ray.init(address=address, log_to_driver=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster can be reached at {address!r}: {error}; {remedy}. If the cluster has tokens, "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN if this machine has no file of the token"
        ) from error


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    return [
        Node(node["NodeID"], node["NodeManagerAddress"], node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def store_bytes() -> int:
    """Return the size of the object store of this process's node."""
    here = ray.get_runtime_context().get_node_id()
    return int(sum(node.resources.get("object_store_memory", 0.0) for node in nodes() if node.id == here))


def checked_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a user's options for actors.

    Raises
    ------
    OptionError
        If they are no mapping, or name an option that is not the user's to choose.
    """
    if options is not None and (not hasattr(options, "keys") or not all(isinstance(k, str) for k in options)):
        raise OptionError(f"ray_actor_options={options!r}: must be a dict such as {{'num_cpus': 8}}")
    given = dict(options or {})
    taken = [name for name in _OURS if name in given]
    if taken:
        raise OptionError(
            f"ray_actor_options={{{taken[0]!r}: {given[taken[0]]!r}}}: is set by fastclips; leave it out"
        )
    return given


def fitting_nodes(options: Mapping[str, Any]) -> list[Node]:
    """Return the nodes that have, used or not, the resources that an actor asks for.

    Raises
    ------
    OptionError
        No node has.
    """
    alive = nodes()
    fitting = [node for node in alive if capacity(node, options)]
    if not fitting:
        raise OptionError(
            f"ray_actor_options={dict(options)!r}: no node of the cluster has {asked_text(options)}. It has "
            f"{cluster_text(alive, options)}; ask for less, or add a node"
        )
    return fitting


def capacity(node: Node, options: Mapping[str, Any]) -> int:
    """Return how many actors with some options a node could have, if nothing else used it."""
    asked = _asked(options)
    each = [int(node.resources.get(name, 0.0) / amount) for name, amount in asked.items()]
    return min(each, default=1)


def asked_text(options: Mapping[str, Any]) -> str:
    """Return what options ask for, for messages."""
    return _text(_asked(options)) or "nothing"


def cluster_text(alive: Sequence[Node], options: Mapping[str, Any]) -> str:
    """Return what nodes have, for messages."""
    if not alive:
        return "no node that is alive"
    shown = dict.fromkeys((*_SHOWN, *_asked(options)))
    texts = [
        f"{node.address} ({_text({name: node.resources[name] for name in shown if name in node.resources})})"
        for node in alive[:8]
    ]
    more = f" and {len(alive) - 8} more" if len(alive) > 8 else ""  # noqa: PLR2004 - those shown
    return ", ".join(texts) + more


def _asked(options: Mapping[str, Any]) -> dict[str, float]:
    asked = {"CPU": options.get("num_cpus"), "GPU": options.get("num_gpus"), "memory": options.get("memory")}
    asked |= options.get("resources") or {}
    return {name: float(amount) for name, amount in asked.items() if amount}


def _text(resources: Mapping[str, float]) -> str:
    return ", ".join(
        f"{amount / 2**30:.1f} GiB of memory" if name == "memory" else f"{name} {amount:g}"
        for name, amount in resources.items()
    )

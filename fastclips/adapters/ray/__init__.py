"""Ray: batches that other hosts of a cluster decode, and packing over a cluster.

::

    RemoteClipLoader (loader.py)    a ClipLoader's plan, labels and state, with another engine
      RayEngine (engine.py)         tickets go out to hosts, and batches come back
        Requests (requests.py)      what is lost or late is asked again; the first answer counts
        Hosts (hosts.py)            actors are started, watched and replaced
        DecodingHost (decoding.py)  an actor: it renders tickets, with an engine of its own
    RayWorkers (packing.py)         packing, by the same requests, of other actors
    cluster.py                      nodes, resources, and the way into a cluster

Plan, state, labels and damage stay in the trainer. A ticket says all about a clip, so any host renders it to
the same bits, and a host that was lost loses nothing but time.
"""

from __future__ import annotations

try:
    import ray  # noqa: F401 - whether it is there
except ImportError as error:
    raise ImportError(f"this needs Ray: pip install 'fastclips[ray]' ({error})") from error

from fastclips.adapters.ray.loader import RemoteClipLoader
from fastclips.adapters.ray.packing import RayWorkers

__all__ = ["RayWorkers", "RemoteClipLoader"]

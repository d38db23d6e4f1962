"""A loader's batches as arrays of JAX."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastclips as fc

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.slow


def make_loader(frames, **options):
    given = {"batch_size": 4, "workers": 1, "shuffle": True, "seed": 3, **options}
    return fc.ClipLoader(fc.open(frames), fc.Windows(4), [fc.RandomCrop(32)], **given)


def same(found, wanted):
    pairs = list(zip(found, wanted, strict=True))
    return all(
        np.array_equal(part, of) for batch, other in pairs for part, of in zip(batch, other, strict=True)
    )


def test_every_batch_of_each_epoch_and_kept_ones_stay(frames):
    with make_loader(frames) as loader:
        wanted = [list(loader.epoch(epoch)) for epoch in range(2)]
        loader.epoch(0)
        batches = loader.to_jax()
        assert len(batches) == len(wanted[0])
        kept = list(batches)
        assert all(isinstance(part, jax.Array) for batch in kept for part in batch)
        assert same(batches, wanted[1])
        assert same(kept, wanted[0])


def test_states_count_what_was_handed_out(frames):
    with make_loader(frames) as loader, make_loader(frames) as other:
        wanted = list(loader.epoch(0))
        loader.epoch(0)
        batches, again = loader.to_jax(), other.to_jax()
        iterator = iter(batches)
        next(iterator)
        again.load_state_dict(batches.state_dict())
        assert again.state_dict()["batch"] == 1
        again.set_epoch(0)
        assert same(again, wanted[1:])


def test_bad_options(frames):
    loader = make_loader(frames, workers=0)
    with pytest.raises(fc.OptionError, match=r"sharding=.data.: must be a jax\.sharding\.Sharding"):
        loader.to_jax(sharding="data")


MESH = """
import sys
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import fastclips as fc

if __name__ == "__main__":
    assert len(jax.devices()) == 2
    sharding = NamedSharding(Mesh(jax.devices(), "data"), PartitionSpec("data"))
    loader = fc.ClipLoader(fc.open(sys.argv[1]), fc.Windows(4), batch_size=6, workers=1)
    wanted = list(loader.epoch(0))
    loader.epoch(0)
    for (x, y), (a, b) in zip(loader.to_jax(sharding), wanted, strict=True):
        assert len(x.addressable_shards) == 2 and x.addressable_shards[0].data.shape[0] == 3
        assert np.array_equal(x, a) and np.array_equal(y, b)
"""


def test_batches_lie_on_a_mesh(frames, tmp_path):
    script = tmp_path / "mesh.py"
    script.write_text(MESH)
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, str(script), str(frames)], env=env, check=True, timeout=120)

"""A loader's batches as tensors of torch."""

import gc
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest

import fastclips as fc

torch = pytest.importorskip("torch")
from torch.utils.data import DataLoader  # noqa: E402 - torch may be absent

pytestmark = pytest.mark.slow


def make_loader(frames, **options):
    given = {"batch_size": 4, "workers": 1, "shuffle": True, "seed": 3, **options}
    return fc.ClipLoader(fc.open(frames), fc.Windows(4), [fc.RandomCrop(32)], **given)


def same(found, wanted):
    return all(
        torch.equal(x, torch.from_numpy(a)) and torch.equal(y, torch.from_numpy(b))
        for (x, y), (a, b) in zip(found, wanted, strict=True)
    )


@pytest.mark.parametrize("layout", ["BTHWC", "BTCHW", "BCTHW"])
@pytest.mark.parametrize("channels_first", [False, True])
def test_a_layout_is_a_view_of_the_same_memory(frames, layout, channels_first):
    with make_loader(frames, channels_first=channels_first) as loader:
        wanted = list(loader.epoch(0))
        loader.epoch(0)
        for (x, _), (a, _) in zip(loader.to_torch(layout=layout), wanted, strict=True):
            given = "BTCHW" if channels_first else "BTHWC"
            assert np.array_equal(x, np.moveaxis(a, [given.index(axis) for axis in layout], range(5)))
            assert x.data_ptr() % 64 == 0
            assert not x.is_pinned()
            if (layout, channels_first) == ("BCTHW", False):
                assert x.is_contiguous(memory_format=torch.channels_last_3d)
            if layout == given:
                assert x.is_contiguous()


def test_tensors_share_memory_and_keep_it(frames):
    with make_loader(frames) as loader:
        first = next(iter(loader))[0]
        loader.epoch(0)
        kept = [x for x, _ in loader.to_torch()]
        assert torch.equal(kept[0], torch.from_numpy(first))
        before = [x.clone() for x in kept]
        for _ in range(2):
            list(loader)
        assert all(map(torch.equal, kept, before))
        x, _ = next(iter(loader.to_torch()))
        array, before = x.numpy(), x.clone()
        del x
        gc.collect()
        list(loader)
        assert np.array_equal(array, before)


def test_every_batch_of_each_epoch_in_a_loop_and_in_a_data_loader(frames):
    with make_loader(frames) as loader:
        wanted = [list(loader.epoch(epoch)) for epoch in range(3)]
        loader.epoch(0)
        batches = loader.to_torch()
        assert len(batches) == len(wanted[0])
        assert same(batches, wanted[0])
        assert same(DataLoader(batches, batch_size=None), wanted[1])
        assert same(batches, wanted[2])


def test_worker_processes_of_torch_are_refused(frames):
    with make_loader(frames) as loader:
        with pytest.raises(fc.OptionError, match=r"num_workers=: must be 0.*ClipLoader\(workers=\)"):
            next(iter(DataLoader(loader.to_torch(), batch_size=None, num_workers=1)))
        spawned = DataLoader(
            loader.to_torch(), batch_size=None, num_workers=1, multiprocessing_context="spawn"
        )
        with pytest.raises(fc.OptionError, match="num_workers=: must be 0"):
            next(iter(spawned))


def test_states_count_what_was_handed_out(frames):
    with make_loader(frames) as loader, make_loader(frames) as other:
        wanted = [*loader.epoch(1)]
        batches, again = loader.to_torch(), other.to_torch()
        batches.set_epoch(1)
        iterator = iter(batches)
        for _ in range(2):
            next(iterator)
        again.load_state_dict(json.loads(json.dumps(batches.state_dict())))
        again.set_epoch(1)  # as a framework does before each epoch
        assert again.state_dict() == batches.state_dict()
        assert same(again, wanted[2:])
        assert (again.state_dict()["epoch"], again.state_dict()["batch"]) == (2, 0)
        again.set_epoch(7)
        assert again.state_dict()["epoch"] == 7
        assert same(again, list(loader.epoch(7)))
        loader.epoch(2, start=1)  # moved by the user, without the tensors
        assert (batches.state_dict()["epoch"], batches.state_dict()["batch"]) == (2, 1)
        batches.set_epoch(3)
        assert (len(batches), batches.state_dict()["batch"]) == (len(wanted), 0)


def test_structures_and_maps(frames, masks):
    data = fc.open({"image": frames, "mask": masks})
    options = {"inputs": ["image"], "targets": ["mask", "label"], "batch_size": 3, "workers": 0}
    loader = fc.ClipLoader(data, fc.Windows(4), [fc.RandomCrop(32)], **options)
    x, y = next(iter(loader.to_torch(layout="BCTHW")))
    assert (x["image"].shape, y["mask"].shape, y["label"].shape) == ((3, 3, 4, 32, 32), (3, 4, 32, 32), (3,))
    x = next(iter(loader.to_torch(map=lambda x, y: x["image"][:, ::2])))  # noqa: ARG005 - as the batches are
    assert x.shape == (3, 2, 32, 32, 3)


def test_bad_options(frames, monkeypatch):
    loader = make_loader(frames, workers=0)
    for options, message in (
        ({"layout": "NCHW"}, "layout='NCHW'"),
        ({"device": "gpu"}, "device='gpu': must be a device of torch"),
        ({"map": 3}, "map=3"),
    ):
        with pytest.raises(fc.OptionError, match=message):
            loader.to_torch(**options)
    if not torch.cuda.is_available():
        with pytest.raises(fc.OptionError, match="device='cuda': torch finds no GPU here"):
            loader.to_torch(device="cuda")
    assert next(iter(loader.to_torch(device="cpu")))[0].device.type == "cpu"
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(fc.OptionError, match=r'rank 1 of 2 by RANK.*rank="env"'):
        loader.to_torch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_loader(frames, workers=0, rank="env").to_torch()


RANK = """
import sys
import torch.distributed as dist
import fastclips as fc

if __name__ == "__main__":
    dist.init_process_group("gloo", init_method=sys.argv[2], rank=int(sys.argv[3]), world_size=2)
    loader = fc.ClipLoader(
        fc.open(sys.argv[1]), fc.Windows(4), [fc.CenterCrop(8)], batch_size=2, workers=1, rank="env",
        targets=["video_index", "frame_index"],
    )
    batches = loader.to_torch()
    mine = [
        (int(video), int(frames[0]))
        for _, y, weight in batches
        for video, frames, counts in zip(y["video_index"], y["frame_index"], weight["video_index"])
        if counts
    ]
    all_of = [None, None]
    dist.all_gather_object(all_of, mine)
    assert len(mine) == 9, mine
    assert len({*all_of[0], *all_of[1]}) == 18, all_of
    dist.destroy_process_group()
"""


def test_every_clip_comes_once_in_two_processes(frames, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    meeting = f"file://{tmp_path}/meeting"
    ranks = [
        subprocess.Popen([sys.executable, str(script), str(frames), meeting, str(rank)]) for rank in (0, 1)
    ]
    assert [rank.wait(120) for rank in ranks] == [0, 0]

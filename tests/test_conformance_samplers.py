"""All samplers keep the contract of `ClipSampler`, and `check_sampler` finds each way to break it."""

from dataclasses import dataclass, field

import numpy as np
import pytest

import fastclips as fc
from fastclips.planning.clips import Videos
from fastclips.testing import check_sampler

SHORT = ("drop", "pad", "loop", "error")
SAMPLERS = [
    *(fc.Windows(4, step=3, dilation=2, short=short) for short in SHORT),
    *(fc.Windows(5, tail="pad", short=short) for short in SHORT),
    *(fc.Windows(4, fps=10, tail="pad", short=short) for short in SHORT),
    fc.Windows(1),
    *(fc.RandomWindow(4, dilation=3, short=short) for short in SHORT),
    *(fc.RandomWindow(4, fps=31, short=short) for short in SHORT),
    *(fc.Views(4, temporal=3, short=short) for short in SHORT),
    *(fc.Views(4, temporal=1, fps=7, short=short) for short in SHORT),
    *(fc.Segments(6, jitter=jitter, short=short) for short in SHORT for jitter in (False, True)),
    *(fc.Segments(3, jitter=jitter, views=4) for jitter in (False, True)),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_samplers_keep_the_contract(sampler):
    check_sampler(sampler)


def test_every_sampler_of_the_library_has_a_row():
    public = {getattr(fc, name) for name in fc.__all__}
    samplers = {kind for kind in public if isinstance(kind, type) and issubclass(kind, fc.ClipSampler)}
    assert {type(sampler) for sampler in SAMPLERS} == samplers - {fc.ClipSampler}


@dataclass(frozen=True)
class Good(fc.ClipSampler):
    """The first frames of each video that is long enough: the sampler that the next ones break."""

    time_steps: int = 3

    def clips(self, videos, draws):  # noqa: ARG002 - draws nothing
        video = np.flatnonzero(videos.frame_counts >= self.time_steps)
        return fc.Clips(video, np.zeros_like(video), np.zeros_like(video))

    def frames(self, clips, videos):  # noqa: ARG002 - all start at 0
        return (clips.start[:, None] + np.arange(self.time_steps)).astype(np.int32)


def test_the_good_sampler_is_good():
    check_sampler(Good())
    check_sampler(Good(), Videos(np.array([3, 9])))


class OddVaries(Good):
    varies = 1


class ListsClips(Good):
    def clips(self, videos, draws):
        return list(super().clips(videos, draws).video)


class NarrowColumns(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return fc.Clips(clips.video.astype(np.int32), clips.start, clips.view)


class UnknownVideo(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return fc.Clips(clips.video + len(videos), clips.start, clips.view)


class NegativeView(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return fc.Clips(clips.video, clips.start, clips.view - 1)


class OtherVideos(Good):
    varies = True

    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return clips if draws.epoch else clips.rows(np.arange(len(clips))[::-1])


class HiddenDraws(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return fc.Clips(clips.video, clips.start, clips.view + draws.epoch)


class HiddenFrames(Good):
    """Differs in frames alone, which only a column of its own tells."""

    def clips(self, videos, draws):
        clips = Shifted(*(getattr(super(HiddenFrames, self).clips(videos, draws), n) for n in COLUMNS))
        object.__setattr__(clips, "shift", draws.epoch % 2)
        return clips

    def frames(self, clips, videos):
        return super().frames(clips, videos) * 0 + np.int32(clips.shift)


COLUMNS = ("video", "start", "view")


class Shifted(fc.Clips):
    shift = 0

    def rows(self, which):
        rows = Shifted(self.video[which], self.start[which], self.view[which])
        object.__setattr__(rows, "shift", self.shift)
        return rows


class Impure(Good):
    varies = True

    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return fc.Clips(clips.video, np.random.default_rng().integers(0, 2**40, len(clips)), clips.view)

    def frames(self, clips, videos):
        return super().frames(clips, videos) * 0


class WideFrames(Good):
    def frames(self, clips, videos):
        return super().frames(clips, videos).astype(np.int64)


class OneFrameMore(Good):
    def frames(self, clips, videos):
        return np.pad(super().frames(clips, videos), ((0, 0), (0, 1)))


class BeyondTheVideo(Good):
    def frames(self, clips, videos):
        return super().frames(clips, videos) + np.int32(1)


class PadsInSecret(Good):
    def frames(self, clips, videos):
        return ~super().frames(clips, videos)


class LooksAround(Good):
    def frames(self, clips, videos):
        frames = super().frames(clips, videos)
        frames[:1] = 0
        return frames


class BackwardRows(fc.Clips):
    def rows(self, which):
        return super().rows(which[::-1])


class TurnedRows(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        return BackwardRows(clips.video, clips.start, clips.view)


class WritesToVideos(Good):
    def clips(self, videos, draws):
        clips = super().clips(videos, draws)
        videos.frame_counts[0] += 1
        return clips


class NoShortage(Good):
    def shortage(self, videos):
        del videos


class Forgetful(Good):
    def __reduce__(self):
        return Forgetful, (7,)


@dataclass(frozen=True)
class SecretOption(Good):
    shift: int = field(default=0, repr=False)


class NoRepr(fc.ClipSampler):
    time_steps = 1
    clips, frames = Good.clips, Good.frames


class HalfRepr(fc.ClipSampler):
    clips, frames = Good.clips, Good.frames

    def __init__(self, steps, shift):
        self.time_steps = steps + 0 * shift

    def __repr__(self):
        return f"HalfRepr(steps={self.time_steps})"


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Good(0), "time_steps=0: must be an int of at least 1"),
        (Good(np.int64(3)), r"time_steps=.*3.*: must be an int"),
        (OddVaries(), "varies=1: must be a bool"),
        (ListsClips(), r"clips\(\) returned list: must be fastclips.Clips"),
        (
            NarrowColumns(),
            r"Clips.video must be an int64 array of shape \(6,\), but is int32 of shape \(6,\)",
        ),
        (UnknownVideo(), "Clips.video must be rows of the 9 videos"),
        (NegativeView(), "Clips.view must be at least 0"),
        (OtherVideos(), "Clips.video differs between epochs"),
        (HiddenDraws(), "varies is False, but two epochs must give the same clips, but Clips.view differs"),
        (HiddenFrames(), "varies is False, but two epochs must give the same clips, but their frames differ"),
        (Impure(), r"clips\(\) called twice must give the same clips, but Clips.start differs"),
        (WideFrames(), r"frames\(\) must return an int32 array of shape \(6, 3\), but returned int64"),
        (OneFrameMore(), r"frames\(\) must return .* returned int32 of shape \(6, 4\)"),
        (BeyondTheVideo(), r"a video of 3 frames gave \[1, 2, 3\]"),
        (PadsInSecret(), "pads is False, but"),
        (LooksAround(), "must not depend on the clips beside it"),
        (TurnedRows(), r"Clips.rows\(\) returned other values of video"),
        (WritesToVideos(), "changed videos.frame_counts"),
        (NoShortage(), r"shortage\(\) must return a str"),
        (Forgetful(), r"a pickle restores Forgetful\(time_steps=7\)"),
        (SecretOption(), "must name all options, but lacks shift"),
        (NoRepr(), "NoRepr has no __repr__"),
        (HalfRepr(3, 1), "must name all options, but lacks shift"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, fc.ClipSampler) else "",
)
def test_broken_samplers_are_found(sampler, message):
    with pytest.raises(AssertionError, match=message):
        check_sampler(sampler)


def test_videos_without_a_clip_check_nothing():
    with pytest.raises(AssertionError, match="no video gives a clip"):
        check_sampler(Good(), Videos(np.array([1, 2])))


def test_what_only_looks_like_a_sampler_is_refused(frames):
    duck = type("Duck", (), dict(vars(Good)))()
    for check in (check_sampler, lambda clips: fc.ClipLoader(fc.open(frames), clips, batch_size=1)):
        with pytest.raises(fc.OptionError, match=r"inherits fastclips\.ClipSampler"):
            check(duck)


def test_a_sampler_without_time_steps_is_refused(frames):
    class Headless(fc.ClipSampler):
        clips, frames = Good.clips, Good.frames

    with pytest.raises(fc.OptionError, match="must have time_steps"):
        fc.ClipLoader(fc.open(frames), Headless(), batch_size=1)


def test_a_sampler_lacking_a_method_cannot_be_made():
    class Frameless(fc.ClipSampler):
        time_steps, clips = 3, Good.clips

    with pytest.raises(TypeError, match="frames"):
        Frameless()


class ListedClips(Good):
    def clips(self, videos, draws):
        return [super().clips(videos, draws)]


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (ListedClips(), r"ListedClips\.clips\(\) returned list: must return fastclips\.Clips"),
        (WideFrames(), r"WideFrames\.frames\(\) returned int64 \(6, 3\): must return int32 \(6, 3\)"),
        (OneFrameMore(), r"OneFrameMore\.frames\(\) returned int32 \(6, 4\): must return int32 \(6, 3\)"),
    ],
)
def test_loaders_refuse_results_of_another_kind(frames, sampler, message):
    with (
        pytest.raises(fc.OptionError, match=message),
        fc.ClipLoader(fc.open(frames), sampler, batch_size=2, workers=0) as loader,
    ):
        next(iter(loader))

"""The Python in README.md and docs/ is run: each page from top to bottom, in one namespace.

A block that cannot be run has a comment in the line before it, ``<!-- not run: the reason -->``.
"""

import inspect
import os
import re
import shlex
import shutil
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers import make_manual_data

import fastclips as fc

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEED_KERAS = re.compile(r"import keras|adapters\.keras|fastclips\.compat|to_tf_dataset")
BLOCK = re.compile(
    r"^(?P<mark><!-- not run: (?P<reason>[^\n]*) -->\n)?```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FENCE = re.compile(r"^.*(?:`{3,}|~{3,}|:{3,}) *(?:\{[\w-]+\} *)?(?:python|pycon|py|ipython)\b", re.MULTILINE)
ids = [str(page.relative_to(ROOT)) for page in PAGES]
with_code = [(page, name) for page, name in zip(PAGES, ids, strict=True) if FENCE.search(page.read_text())]


def blocks_to_run(page):
    """Pairs of a line number and the code that begins there."""
    text = page.read_text()
    return [
        (text.count("\n", 0, found.start("code")), found["code"])
        for found in BLOCK.finditer(text)
        if not found["mark"]
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_manual_data(tmp_path_factory.mktemp("manual"))


def check_readme(names, printed):
    assert "frames/s" in printed
    assert len(names["train"]) == 8


def check_data(names, _):
    assert (names["x"].shape, names["y"].shape) == ((4, 16, 224, 224, 3), (4,))
    assert [len(names[name]) for name in ("listed", "parts", "chosen", "arrays")] == [10, 1, 3, 6]
    assert names["inputs"]["valid"].shape == (4, 16)
    assert set(names["weight"].tolist()) <= {1.0, 5.0}


def check_streams(names, _):
    assert {name: array.shape for name, array in names["x"].items()} == dict.fromkeys(
        ("image", "right"), (2, 8, 224, 224, 3)
    )
    inputs = names["inputs"]
    assert inputs["depth"].shape == (2, 8, 224, 224, 1)
    assert inputs["flow"].shape == (2, 8, 224, 224, 2)
    assert 0.1 < inputs["depth"].max() < 30  # metres
    assert [stream.ignore for stream in names["data"].streams] == [255, 255, 0]


def check_transforms(names, _):
    x, y = next(iter(names["turned"]))
    assert (x.shape, y.shape) == ((4, 8, 224, 224, 3), (4, 8, 224, 224))
    x, _ = next(iter(names["own"]))
    assert (x.shape, x.dtype) == ((4, 8, 112, 112, 3), np.float64)
    x, _ = next(iter(names["standardised"]))
    assert abs(float(x.mean())) < 1


def check_packs(names, _):
    folders = fc.open({"image": "frames/", "mask": "masks/"})
    assert (len(names["packed"]), names["packed"].classes) == (len(folders), folders.classes)


def check_formats(names, _):
    video = sorted(Path("frames").glob("*/*"))[names["v"]]
    frame = sorted(video.iterdir())[names["f"]]
    with fc.ClipLoader(fc.open("packed/"), fc.Windows(24), batch_size=10, workers=0) as loader:
        packed = next(iter(loader))[0][names["v"], names["f"]]
    with fc.ClipLoader(fc.open("frames/"), fc.Windows(24), batch_size=10, workers=0) as loader:
        np.testing.assert_array_equal(packed, next(iter(loader))[0][names["v"], names["f"]])
    assert abs(len(names["jpeg"]) / frame.stat().st_size - 1) < 0.2


def check_keras(names, _):
    assert names["videos"].shape == (len(names["val"]), 2)


def check_videos(names, _):
    assert (names["x"].shape, names["y"].shape) == ((4, 16, 224, 224, 3), (4,))
    assert names["episodes"].index.starts.tolist() == [0, 10]
    assert names["kinetics"].index.frame_counts.tolist() == [13, 18]


CHECKS = {
    "docs/videos.md": check_videos,
    "README.md": check_readme,
    "docs/data.md": check_data,
    "docs/streams.md": check_streams,
    "docs/transforms.md": check_transforms,
    "docs/packs.md": check_packs,
    "docs/formats.md": check_formats,
    "docs/keras.md": check_keras,
}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "name"), with_code, ids=[name for _, name in with_code])
def test_python_blocks_run(page, name, data, tmp_path, monkeypatch, capsys):
    blocks = blocks_to_run(page)
    if any(NEED_KERAS.search(code) for _, code in blocks):
        keras = pytest.importorskip("keras")
        keras.utils.set_random_seed(0)
    for framework in ("torch", "jax"):
        if any(f"import {framework}\n" in code for _, code in blocks):
            pytest.importorskip(framework)
    if "videos/" in "".join(code for _, code in blocks):
        pytest.importorskip("av")
        pytest.importorskip("pandas")
    shutil.copytree(data, tmp_path, copy_function=os.link, dirs_exist_ok=True)
    if any("fc.pack(" in code for _, code in blocks):
        shutil.rmtree(tmp_path / "packed")  # the page makes its own
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": f"page_{page.stem}"}
    try:
        for line, code in blocks:
            exec(compile("\n" * line + code, name, "exec"), namespace)  # noqa: S102 - our own text
        if name in CHECKS:
            CHECKS[name](namespace, capsys.readouterr().out)
    finally:
        for value in namespace.values():
            if isinstance(value, fc.ClipLoader):
                value.close()


@pytest.mark.parametrize(("page", "name"), with_code, ids=[name for _, name in with_code])
def test_no_block_is_missed(page, name):
    """A block that is indented or fenced in another way would never be run."""
    text = page.read_text()
    assert len(FENCE.findall(text)) == len(BLOCK.findall(text)) > 0, name


def test_blocks_that_are_not_run_have_a_reason():
    for page in PAGES:
        text = page.read_text()
        marked = [found for found in BLOCK.finditer(text) if found["mark"]]
        assert text.count("<!-- not run") == len(marked), page
        assert all(len(found["reason"]) > 20 for found in marked), page


def test_pages_with_checks_are_there():
    assert set(CHECKS) <= {name for _, name in with_code}


def test_shell_blocks_name_what_exists(capsys):
    """Every command of ours, with options that its help has."""
    (script,) = entry_points(group="console_scripts", name="fastclips")
    main = script.load()
    used = {}
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in re.findall(r"(?:^|/|&& )fastclips (.*)", block, re.MULTILINE):
                command, *rest = shlex.split(line, comments=True)
                used.setdefault(command, set()).update(word for word in rest if word.startswith("-"))
    assert set(used) == {"bench", "check", "demo", "pack", "preview"}
    for command, options in used.items():
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert options <= set(re.findall(r"-{1,2}[a-z][a-z-]*", capsys.readouterr().out)), command


def test_the_two_commands_are_marked():
    readme = (ROOT / "README.md").read_text()
    for mark in ("install", "test"):
        assert len(re.findall(rf"^<!-- {mark} -->\n```sh\n.+\n```$", readme, re.MULTILINE)) == 1
    assert len(readme.splitlines()) <= 150


def test_links_lead_somewhere():
    """Links to files of the repository; Sphinx looks after those to headings."""
    for page in [*PAGES, ROOT / ".github/CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert re.match(r"https?://", target) or (page.parent / target).exists(), (page.name, target)


def test_every_benchmark_has_a_line():
    """In the table of benchmarks/README.md; and what docs/performance.md calls is there."""
    files = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    table = (ROOT / "benchmarks/README.md").read_text()
    assert all(
        f"`{name}`" in table
        for name in files - {"box_turns.py", "frames.py", "loader_turns.py", "scale_plot.py"}
    )
    called = re.findall(r"benchmarks/(\w+\.py)", (ROOT / "docs/performance.md").read_text())
    assert set(called) <= files


def test_every_public_name_is_in_the_reference():
    listed = set()
    for page in (ROOT / "docs/api").glob("*.md"):
        home = ""
        for line in page.read_text().splitlines():
            if found := re.match(r"\.\. currentmodule:: (\S+)", line):
                home = found[1]
            elif found := re.match(r"   (\w+)$", line):
                listed.add(f"{home}.{found[1]}")
    homes = ["fastclips", "fastclips.compat"]
    homes += [name for name in ("fastclips.testing",) if find_spec(name)]
    adapters = {f"fastclips.adapters.{framework}" for framework in ("keras", "torch", "jax", "ray")}
    homes += [home for home in adapters if find_spec(home.rpartition(".")[2])]
    public = {
        f"{home}.{name}"
        for home in homes
        for name in import_module(home).__all__
        if not inspect.ismodule(getattr(import_module(home), name))
    }
    assert public <= listed
    for name in listed - public:
        home, _, last = name.rpartition(".")
        assert home in adapters or hasattr(import_module(home), last), name


def test_every_room_is_in_the_architecture():
    rows = re.findall(r"^\| (`.+?`) \|", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    here = {path.stem for path in (ROOT / "fastclips").glob("[a-z]*") if path.suffix in ("", ".py")}
    assert here <= {name.split("/")[0] for name in named}
    for name in named - {"native"}:
        place = ROOT / "fastclips" / name
        assert place.is_dir() or place.with_suffix(".py").exists(), name

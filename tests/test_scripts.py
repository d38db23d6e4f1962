"""fastclips in the places where people run Python: scripts without a main guard, a REPL, a notebook."""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow

BODY = """
import fastclips as fc
loader = fc.ClipLoader(fc.open({root!r}), fc.Windows(4), [fc.RandomCrop(32)], batch_size=4, workers=2)
print("top level", flush=True)
print("served", sum(len(x) for x, y in loader))
"""


def run(arguments, *, cwd, stdin=None):
    done = subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_a_script_without_a_main_guard(frames, tmp_path):
    """It runs once: no worker imports it again. The loader is not even closed."""
    script = tmp_path / "train.py"
    script.write_text(BODY.format(root=str(frames)))
    assert run([script.name], cwd=tmp_path) == "top level\nserved 18\n"


def test_a_script_on_standard_input(frames, tmp_path):
    assert run(["-"], cwd=tmp_path, stdin=BODY.format(root=str(frames))) == "top level\nserved 18\n"


def test_a_prompt(frames, tmp_path):
    """An interactive interpreter echoes values and keeps its last one."""
    out = run(
        ["-i", "-q", "-W", "error"],
        cwd=tmp_path,
        stdin=BODY.format(root=str(frames)) + "next(iter(loader))[1].tolist()\n",
    )
    assert "served 18" in out
    assert "[0, 0, 0, 0]" in out


def test_beside_modules_with_the_names_of_ours(frames, tmp_path):
    """The user's folder holds a kernels.py, a spec.py and a storage.py; they are none of our business."""
    for name in ("kernels", "spec", "storage", "worker", "index"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported the wrong one')")
    (tmp_path / "train.py").write_text(BODY.format(root=str(frames)))
    assert run(["train.py"], cwd=tmp_path).endswith("served 18\n")


def test_a_storage_from_beside_the_script(frames, tmp_path):
    """What the trainer can import, the workers can."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
        import fastclips as fc
        class Mine(fc.Storage):
            def __init__(self, inner): self.inner = inner
            def read(self, *key): return self.inner.read(*key)
            def where(self, *key): return self.inner.where(*key)
        """)
    )
    (tmp_path / "train.py").write_text(
        textwrap.dedent(f"""
        import dataclasses, mine, fastclips as fc
        dataset = fc.open({str(frames)!r})
        dataset = dataclasses.replace(dataset, storage=mine.Mine(dataset.storage))
        with fc.ClipLoader(dataset, fc.Windows(4), batch_size=4, workers=2) as loader:
            print("served", len(list(loader)))
        """)
    )
    assert run(["train.py"], cwd=tmp_path) == "served 5\n"


def test_a_notebook(frames, tmp_path):
    """A kernel has no __main__ file and captures the streams."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BODY.format(root=str(frames)))])
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    text = "".join(output.get("text", "") for output in notebook.cells[0].outputs)
    assert text == "top level\nserved 18\n"


MINE = """
import functools
import fastclips as fc
import random
import numpy as np

OFFSET = np.arange(3, dtype=np.uint8)

def shift(clip, by=OFFSET):
    return clip + by

class Halve:
    def __call__(self, frame):
        return frame[::2, ::2] // 2

class Invert(fc.PixelStep):
    kind = "table"
    def values(self, values, draws):
        return 255 - values

class Corner:
    fixes_size, draws = True, 1
    def compose(self, geometry, draws):
        return type(geometry)(geometry.y.crop(int(draws[0] * 9), 20), geometry.x.crop(0, 20))

def noisy(clip):
    return clip + np.random.random(clip.shape) + random.random()
"""
SERVE = """
import hashlib
import fastclips as fc
{imports}
def closure(array):
    return lambda clip: clip + array
steps = [
    {of}Corner(),
    {of}Invert(),
    fc.Apply({of}shift),
    fc.Apply(lambda frame: frame[:, ::-1], per="frame", p=0.5),
    fc.Apply(functools.partial({of}shift, by=np.uint8(7))),
    fc.Apply({of}Halve(), per="frame"),
    fc.Apply(closure(np.arange(3, dtype=np.uint8)[::-1])),
    fc.Apply({of}noisy),
]
for workers in (0, 1, 2):
    with fc.ClipLoader(fc.open({root!r}), fc.Windows(4), steps, batch_size=4, workers=workers) as loader:
        digest = hashlib.sha256(b"".join(x.tobytes() for x, _ in loader)).hexdigest()
        print(digest, loader.batch(0, 0)[0].shape, flush=True)
"""
SHAPE = "(4, 4, 10, 10, 3)"


def same(out):
    """Three lines that say the same."""
    lines = out.splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1
    assert lines[0].endswith(SHAPE)
    return lines[0]


@pytest.fixture(scope="module")
def own_code(frames, tmp_path_factory):
    """A script with functions and transforms of its own, one with those of a module, and their output."""
    folder = tmp_path_factory.mktemp("own_code")
    (folder / "mine.py").write_text(MINE)
    (folder / "whole.py").write_text(MINE + SERVE.format(root=str(frames), imports="", of=""))
    imports = "import functools, numpy as np, mine"
    (folder / "parts.py").write_text(SERVE.format(root=str(frames), imports=imports, of="mine."))
    return folder, same(run(["whole.py"], cwd=folder))


def test_what_a_script_defines_travels(own_code):
    """Functions, callable objects, closures and classes of transforms: of itself or a module beside it."""
    folder, expected = own_code
    assert same(run(["parts.py"], cwd=folder)) == expected


def test_what_a_notebook_defines_travels(own_code, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    folder, expected = own_code
    cells = [(folder / "whole.py").read_text().partition("import hashlib")[part] for part in (0, 1, 2)]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cells[0]), nbformat.v4.new_code_cell(cells[1] + cells[2])]
    )
    nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    text = "".join(output.get("text", "") for output in notebook.cells[1].outputs)
    assert same(text) == expected


def test_what_workers_cannot_import_is_named(frames, tmp_path):
    """A module that only this process can find."""
    (tmp_path / "train.py").write_text(
        textwrap.dedent(f"""
        import sys, types, fastclips as fc
        hidden = types.ModuleType("hidden")
        hidden.PixelStep = fc.PixelStep
        code = "class Invert(PixelStep):\\n kind, values = 'table', lambda self, values, draws: 255 - values"
        exec(code, vars(hidden))
        sys.modules["hidden"] = hidden
        dataset, options = fc.open({str(frames)!r}), {{"batch_size": 4, "workers": 1}}
        try:
            with fc.ClipLoader(dataset, fc.Windows(4), [hidden.Invert()], **options) as loader:
                list(loader)
        except fc.EngineError as error:
            print(error)
        """)
    )
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (
        "a worker raised EngineError: transforms cannot be unpickled in a worker: ModuleNotFoundError"
        in done.stdout
    )
    assert "No module named 'hidden'" in done.stdout

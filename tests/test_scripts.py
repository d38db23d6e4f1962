"""fastclips in the places where people run Python: scripts without a main guard, a REPL, a notebook."""

import subprocess
import sys
import textwrap

import pytest

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
        class Storage:
            def __init__(self, inner): self.inner = inner
            def read(self, *key): return self.inner.read(*key)
            def where(self, *key): return self.inner.where(*key)
        """)
    )
    (tmp_path / "train.py").write_text(
        textwrap.dedent(f"""
        import dataclasses, mine, fastclips as fc
        dataset = fc.open({str(frames)!r})
        dataset = dataclasses.replace(dataset, storage=mine.Storage(dataset.storage))
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

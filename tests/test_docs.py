"""README.md and docs/: the front page is short, every page is reachable, and what they name exists."""

import importlib
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import compare
import scratch
import torch_ref
from compare.cases import TOPICS, all_components
from compare.cli import cli
from compare.experiments.registry import NAMES
from compare.report.conventions import CONVENTIONS
from compare.training.lockstep import RUNS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def links(page: Path) -> list[Path]:
    """The files in the repository that a page links to, its pictures among them."""
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))
    return [(page.parent / t.partition("#")[0]).resolve() for t in targets if not t.startswith(("http", "#"))]


def commands(page: Path) -> list[list[str]]:
    """The words of each `python -m compare …` on a page, without its comment."""
    found = re.findall(r"python -m compare\b([^`\n]*)", page.read_text("utf-8"))
    return [line.partition("#")[0].split() for line in found]


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 7000


@each_page
def test_every_link_leads_somewhere(page: Path):
    assert [str(target) for target in links(page) if not target.exists()] == []


def test_every_page_and_picture_is_linked():
    linked = {target for page in PAGES for target in links(page)}
    assert set(PAGES[1:]) <= set(links(PAGES[0]))
    assert set((ROOT / "docs").glob("*.png")) <= linked


@each_page
def test_every_command_exists(page: Path):
    known = {*all_components(), *TOPICS, *NAMES, *RUNS, "all"}
    for words in commands(page):
        words = [word.strip("…[].,:") for word in words]
        name = words.pop(0) if words and words[0] in cli.commands else "run"
        options = {
            flag for option in cli.commands[name].params for flag in (*option.opts, *option.secondary_opts)
        }
        assert {word for word in words if word.startswith("-")} <= {*options, "--help"}, (name, words)
        if name in ("show", "exercise", "edges", "experiments") and words and words[0][0].islower():
            assert words[0] in known, (name, words)


@each_page
def test_every_test_make_target_and_module_exists(page: Path):
    text = page.read_text("utf-8")
    for path in re.findall(r"\b(?:tests|scratch|torch_ref|compare)/\w+(?:/\w+)*\.\w+", text):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^ {4}|`)make ([\w-]+)", text, re.MULTILINE)) <= targets
    if page.name == "components.md":
        rooms = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        for name in re.findall(r"`([\w]+)/?`", " ".join(rooms)):
            assert (ROOT / "compare" / name).is_dir() or (ROOT / "compare" / f"{name}.py").exists(), name


def test_what_is_counted_is_what_there_is():
    """Roughly, so that a new component changes no page."""
    mistakes = sum(len(component.mistakes) for component in all_components().values())
    for name in ("README.md", "docs/trust.md"):
        (told,) = re.findall(r"more than (\d+)\s+wrong versions", (ROOT / name).read_text("utf-8"))
        assert 0.8 * mistakes < int(told) < mistakes, name
    assert f"There are {len(CONVENTIONS)} of them." in (ROOT / "docs/conventions.md").read_text("utf-8")


LINES = "import|from|x =|targets|generator|network|optimizer|history"
ON_PYTORCH = {
    "from scratch import Adam, Network, TorchGenerator": "from torch_ref import Adam, Network",
    "generator = TorchGenerator(0)": "torch.manual_seed(0)",
    "(2, 16, 1), generator": "(2, 16, 1)",
    "np.float64": "torch.float64",
    "x, targets,": "torch.from_numpy(x), torch.from_numpy(targets),",
    ", generator=generator": "",
}


def test_the_program_of_the_front_page_trains_the_same_network_on_both_sides():
    text = (ROOT / "README.md").read_text("utf-8")
    (program,) = re.findall(rf"(?:^ {{4}}(?:{LINES}).*\n)+", text, re.MULTILINE)
    program = theirs = textwrap.dedent(program)
    for here, there in ON_PYTORCH.items():
        assert here in theirs
        theirs = theirs.replace(here, there)
    ours_ran, theirs_ran = {}, {"torch": torch}
    exec(program, ours_ran)
    exec(theirs, theirs_ran)
    histories = ours_ran["history"], theirs_ran["history"]
    np.testing.assert_allclose(histories[0].cost, histories[1].cost, rtol=1e-9)
    (told,) = re.findall(r"`history\.accuracy\[-1\]` is ([\d.]+)…", text)
    for history in histories:
        assert str(history.accuracy[-1]).startswith(told)


def test_the_two_runs_of_the_page_part_as_it_says(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "trace.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    for program in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(program, {})
    _, told = text.split("    $ python -m compare trace mine theirs\n    …\n")
    told = textwrap.dedent(told.partition("\nExit status")[0]).strip()
    traced = str(compare.trace("mine", "theirs"))
    rounding = r"to 0\.\d+ units"  # is another one on another processor
    assert re.sub(rounding, "", traced).endswith(re.sub(rounding, "", told))


@pytest.mark.parametrize("side", [scratch, torch_ref], ids=["scratch", "torch"])
def test_a_side_offers_what_a_training_takes(side):
    for name, file in side.FILES.items():
        assert getattr(side, name) is getattr(importlib.import_module(f"{side.__name__}.{file}"), name)
    with pytest.raises(AttributeError, match=f"module '{side.__name__}' has no attribute 'Netwrok'"):
        _ = side.Netwrok

"""What the mutation run leans on: the list of mutants that nothing can tell from the original."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
with open(ROOT / "tests" / "equivalent_mutants.toml", "rb") as file:
    LISTED = [(module, entry) for module, group in tomllib.load(file).items() for entry in group]


def test_every_listed_mutant_changes_a_line_that_is_there():
    for module, entry in LISTED:
        source = (ROOT / "scratch" / f"{module}.py").read_text(encoding="utf-8")
        assert entry["before"] in [line.strip() for line in source.splitlines()]
        assert entry["after"]
        assert entry["before"] not in entry["after"]


def test_every_listed_mutant_has_a_proof_of_one_line():
    for _, entry in LISTED:
        assert entry["why"].endswith(".")
        assert "\n" not in entry["why"]

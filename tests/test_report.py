"""The report: strict JSON that lacks nothing, a page that says first what differs, and never half a file."""

import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from compare.cases.activations import COMPONENTS
from compare.measure import Difference, units_text, value_text
from compare.report import site
from compare.report.report import Report, Summary, as_json, share, worst_of_cases
from compare.report.site import Site, pages, write
from compare.run import CaseResult, run_component
from compare.training.lockstep import Breach, TrainingResult

VOID = {"wbr", "meta", "br", "link", "img", "hr", "input", "path", "use", "rect"}


def training(dtype: str = "float64", **changes) -> TrainingResult:
    steps = 6
    return TrainingResult(
        **{
            "name": "digits",
            "description": "64-10",
            "dtype": dtype,
            "device": "cpu",
            "seed": 0,
            "budget": 64,
            "steps_per_epoch": 3,
            "one_step": [0.0, 1.5, math.inf, 2.0, 3.0, 4.0],
            "drift": [0.0] * 2 + [1e-16, 1e-15, 2e-15, 3e-15],
            "loss_scratch": [2.0, 1.5, 1.2, 1.0, 0.9, 0.8],
            "loss_torch": [2.0, 1.5, 1.2, 1.0, 0.9, 0.8],
            "learning_rate": [0.1, 0.05],
            "train_accuracy_scratch": [0.5, 0.75],
            "train_accuracy_torch": [0.5, 0.75],
            "test_accuracy_scratch": [0.4, 0.625],
            "test_accuracy_torch": [0.4, 0.625],
            "test_samples": steps,
        }
        | changes
    )


def make(results: list[CaseResult] | None = None, runs: list[TrainingResult] | None = None) -> Report:
    components = [c for c in COMPONENTS if c.name in ("relu", "sigmoid")]
    if results is None:
        results = [r for c in components for r in run_component(c, "cpu", ["float32", "float64"], [0, 1])]
    options = {"device": "cpu", "dtypes": ["float32", "float64"], "seeds": [0, 1], "only": None}
    runs = [training("float32"), training()] if runs is None else runs
    return Report({"PyTorch": "2", "processor": "<fast>"}, options, components, results, runs)


BREACH = Breach(1, 4, "linear2.weight", 80.5, 64, (1, 2), 0.1, np.float64(0.3))
DIFFERENT = [
    CaseResult("relu", "kink", "float32", 3, 0, [Difference("grad.x", math.inf, 1, (2, 0), 1.0, math.nan)]),
    CaseResult("relu", "odd", "float64", 0, 4, [Difference("output", 9.0, 1, (0,), 0.1, 0.2)]),
    CaseResult("sigmoid", "odd", "float64", 0, 4, error="ValueError: <x> & y"),
]


def strict(text: str):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json_is_strict_and_lacks_nothing():
    report = make()
    document = strict(as_json(report))
    assert document["verdict"]["equal"] is True
    assert document["verdict"]["text"] == report.verdict
    assert [c["name"] for c in document["components"]] == ["relu", "sigmoid"]
    cases = [case for component in document["components"] for case in component["cases"]]
    assert len(cases) == len(report.results) == document["verdict"]["cases"]
    for case, result in zip(cases, report.results, strict=True):
        assert [d["array"] for d in case["differences"]] == [d.array for d in result.differences]
    run = document["training"][0]
    assert set(TrainingResult.__dataclass_fields__) < set(run)
    assert run["one_step"] == [0.0, 1.5, "Infinity", 2.0, 3.0, 4.0]


def test_json_spells_out_what_json_can_not_say():
    document = strict(as_json(make(DIFFERENT, [training(breach=BREACH)])))
    difference = document["components"][0]["cases"][0]["differences"][0]
    assert (difference["units"], difference["scratch"], difference["torch"]) == ("Infinity", 1.0, "NaN")
    assert document["training"][0]["breach"]["torch"] == 0.3
    assert document["verdict"]["different"] == ["relu", "sigmoid", "digits"]


EQUAL = CaseResult("sigmoid", "typical", "float64", 0, 4, [Difference("output", 3.0)])


@pytest.mark.parametrize(
    ("results", "runs", "different"),
    [
        ([EQUAL], [training()], []),
        ([*DIFFERENT[:1], EQUAL], [training()], ["relu"]),
        ([EQUAL, DIFFERENT[2]], [training()], ["sigmoid"]),
        ([EQUAL], [training("float32"), training(breach=BREACH)], ["digits"]),
        ([EQUAL], [training("float32", error="ValueError: E"), training()], ["digits"]),
        ([EQUAL], [training(different_predictions=1)], ["digits"]),
        ([*DIFFERENT, EQUAL], [training(breach=BREACH)], ["relu", "sigmoid", "digits"]),
    ],
)
def test_one_difference_anywhere_is_the_verdict_everywhere(results, runs, different):
    report = make(results, runs)
    document = strict(as_json(report))
    assert report.different == document["verdict"]["different"] == different
    assert report.equal is document["verdict"]["equal"] is (different == [])
    assert document["verdict"]["text"] == report.verdict
    assert report.verdict.startswith("equal: " if not different else f"NOT equal: {', '.join(different)}")
    assert bool(report.findings()) is bool(different)
    assert [c["equal"] for c in document["components"]] == [
        name not in different for name in ("relu", "sigmoid")
    ]
    cases = [case["equal"] for component in document["components"] for case in component["cases"]]
    assert cases == [result not in DIFFERENT for result in results]
    assert [run["equal"] for run in document["training"]] == [
        run.breach is None and not run.error and not run.different_predictions for run in runs
    ]


def test_a_summary_is_as_good_as_its_worst_case():
    good, bad = EQUAL, DIFFERENT[1]
    for results in ([good, bad], [bad, good]):
        assert not Summary("float64", results).equal
        assert Summary("float64", results).worst is bad
    assert Summary("float64", [good, good]).equal
    truths = [replace(good, scratch_to_truth=s, torch_to_truth=t) for s, t in ((0.5, 3.0), (2.0, 1.0))]
    assert Summary("float64", truths).to_truth == (2.0, 3.0)


def test_json_has_one_order():
    assert as_json(make()) == as_json(make())


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def agreement(report: Report) -> str:
    return pages(Site(report))["agreement.html"]


BROKEN = training("float32", error="ValueError: E", one_step=[], drift=[])


@pytest.mark.parametrize("arguments", [(), (DIFFERENT, [training(breach=BREACH), BROKEN])])
def test_page_is_whole_and_loads_nothing(arguments):
    report = make(*arguments)
    texts = pages(Site(report))
    assert list(texts) == [
        "index.html",
        "print.html",
        "components/relu.html",
        "components/sigmoid.html",
        "conventions.html",
        "playground.html",
        "agreement.html",
    ]
    for address, text in texts.items():
        page = Page(text)
        assert page.open == [], address
        assert len(page.ids) == len(set(page.ids)), address
        assert not [a for a in page.attributes if a[0] in ("link", "img", "iframe", "object", "image")]
        loads = [v for _, name, v in page.attributes if name in ("src", "srcset", "data", "xlink:href")]
        assert all(value.startswith("#") for value in loads)
        assert "@import" not in text
        assert re.findall(r"url\((?!#)", text) == []
    for component in report.components:
        text = texts[f"components/{component.name}.html"]
        assert component.source in text
        for mistake in component.mistakes:
            assert str(escape(mistake.explanation)) in text


def test_page_says_first_what_differs():
    text = agreement(make(DIFFERENT, [training(breach=BREACH, different_predictions=2)]))
    assert text.index("NOT equal: relu, sigmoid, digits") < text.index("Machine and versions")
    assert "grad.x[2, 0]: scratch 1, torch nan: ∞ units, budget 0" in text
    assert "output[0]: scratch 0.10000000000000001, torch 0.20000000000000001: 9 units, budget 4" in text
    assert "ValueError: &lt;x&gt; &amp; y" in text
    assert "epoch 1, step 4 (from 0): linear2.weight[1, 2]: scratch" in text
    assert "2 of 6 test samples get another class" in text


def test_figures_say_in_words_what_they_show():
    text = agreement(make())
    assert text.count('<svg role="img" aria-label="') == text.count("<figcaption>") == 4
    assert "One-step error in rounding units. float32: at most ∞ of 64" in text
    assert "float64: 3.0e-15 after the last step" in text


def test_equal_to_the_bit_is_said_where_a_logarithm_has_no_place_for_it():
    assert agreement(make(runs=[training(drift=[0.0] * 6)])).count("equal to the bit at every step") == 1


def test_page_is_the_same_bytes_for_the_same_results():
    assert pages(Site(make())) == pages(Site(make()))


def test_of_several_seeds_the_worst_is_shown():
    report = make()
    for component in report.components:
        for case, row in worst_of_cases(report.summaries(component)).items():
            for dtype, shown in row.items():
                same = [
                    r
                    for r in report.results
                    if (r.component, r.case, r.dtype) == (component.name, case, dtype)
                ]
                assert shown.seed in (0, 1)
                assert share(shown) == max(map(share, same))


def test_only_the_first_differences_of_a_component_are_written_out():
    many = [CaseResult("relu", f"case {i}", "float64", 0, 0, error="E") for i in range(8)]
    found = make(many, []).findings()
    assert [finding.where for finding in found][-2:] == [
        "relu, case “case 4”, float64, seed 0",
        "relu: 3 more cases",
    ]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.parametrize("step", ["as_json", "pages", "replace"])
def test_a_failure_leaves_the_old_report_whole(step: str, tmp_path, monkeypatch):
    write(Site(make(runs=[])), tmp_path, with_json=True)
    before = files(tmp_path)
    assert set(before) == {"report.json", *pages(Site(make(runs=[])))}

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(os if step == "replace" else site, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write(Site(make(DIFFERENT)), tmp_path, with_json=True)
    assert files(tmp_path) == before


def test_numbers_are_short_and_values_whole():
    assert [units_text(u) for u in (0, 0.01, 2.06, 32.0, 12345.0, math.inf)] == [
        "0", "<0.1", "2.1", "32", "1e+04", "∞",
    ]  # fmt: skip
    assert np.float32(value_text(np.float32(0.1).item(), "float32")) == np.float32(0.1)
    assert float(value_text(0.1, "float64")) == 0.1

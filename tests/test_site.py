"""The site: whole, one navigation and one search, every link leads somewhere; nothing is loaded."""

import html
import json
import posixpath
import re
from dataclasses import replace
from pathlib import Path

import pytest
from site_pages import ALL, Page, anchors, made, pages_of
from test_report import training

from compare import cli
from compare.edges.table import examine, grouped
from compare.experiments.page import announced, settled, with_announced
from compare.experiments.registry import NAMES
from compare.report import day
from compare.report.conventions import CONVENTIONS
from compare.report.docstrings import formula, prose
from compare.report.listings import highlighted
from compare.report.rendering import anchor
from compare.report.report import Report
from compare.report.search import SOUGHT
from compare.report.site import Site, pages

OPTIONS = {"device": "cpu", "dtypes": [], "seeds": [0], "only": None}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def texts(site) -> dict[str, str]:
    return {address: (site / address).read_text(encoding="utf-8") for address in pages_of(site)}


def test_everything_has_its_page(texts):
    others = [
        "index.html",
        "print.html",
        "experiments.html",
        "playground.html",
        "conventions.html",
        "agreement.html",
    ]
    components = [f"components/{name}.html" for name in ALL]
    assert sorted(texts) == sorted([*others, *components, *(f"experiments/{name}.html" for name in NAMES)])
    for component in ALL.values():
        text = texts[f"components/{component.name}.html"]
        assert text.count("<li><details>") == len(component.mistakes)
        for row in CONVENTIONS:
            linked = f'href="../conventions.html#{anchor(row.word)}"' in text
            assert linked == (component.name in row.components)


def test_no_page_is_large_and_none_says_what_it_should_not(texts):
    here = re.escape(str(Path(__file__).parents[1]))
    for address, text in texts.items():
        assert len(text.encode()) < (400_000 if address == "index.html" else 1_500_000), address
        assert "\N{REPLACEMENT CHARACTER}" not in text, address
        assert not re.search(r" object at 0x|Undefined", text), address
        assert not re.search(rf"(?<!\w){here}\b", text), "a path of this machine"
    index = re.search(r'id="search-index">(.*?)</script>', texts["index.html"])
    assert len(index[1].encode()) < 100_000
    assert all(index[0] in text for text in texts.values())


def test_every_link_and_anchor_leads_somewhere(texts):
    ids = {address: anchors(text) for address, text in texts.items()}
    for address, found in ids.items():
        assert len(found) == len(set(found)), address
    for address, text in texts.items():
        for link in Page(text).links:
            if link.startswith("https://"):
                continue
            target, _, place = link.partition("#")
            target = (
                posixpath.normpath(posixpath.join(posixpath.dirname(address), target)) if target else address
            )
            assert target in texts, (address, link)
            assert not place or place in ids[target], (address, link)


def test_what_the_search_finds_is_there(texts):
    found = json.loads(re.search(r'id="search-index">(.*?)</script>', texts["index.html"])[1])
    assert [name for name, _, _ in found["components"]] == [c.name for c in day.in_order(ALL.values())]
    for name, _, mistakes in found["components"]:
        text = texts[f"components/{name}.html"]
        assert mistakes == [mistake.name for mistake in ALL[name].mistakes]
        assert all(f'id="mistake-{i + 1}"' in text for i in range(len(mistakes)))
    parts = [address.partition("#") for address, _ in found["parts"] + found["widgets"]]
    assert all(not place or place in anchors(texts[page]) for page, _, place in parts)
    assert [name for name, _ in found["experiments"]] == [*NAMES]
    known = anchors(texts["conventions.html"])
    assert all(place in known for _, place, _ in found["conventions"])
    called = sum(map(len, found["called"].values()))
    assert called == sum(len(words.split(", ")) * len(places) for words, places in SOUGHT.items())
    for address in found["called"]:
        page, _, place = address.partition("#")
        assert not place or place in anchors(texts[page]), address


def test_every_page_leads_to_every_other(texts):
    for address, text in texts.items():
        page = Page(text)
        root = "../" * address.count("/")
        assert {root + other for other in texts} - {f"{root}conventions.html", f"{root}agreement.html"} <= {
            *page.links
        }, address
        assert page.current, address


def test_the_random_streams_come_last(texts):
    streams = [name for name, component in ALL.items() if component.topic == "random"]
    for address in ("index.html", "agreement.html"):
        main = texts[address].partition("<main")[2].partition('<nav class="contents"')[0]
        listed = list(dict.fromkeys(re.findall(r'href="components/(\w+)\.html"', main)))
        assert listed == [name for name in listed if name not in streams] + [
            name for name in streams if name in listed
        ]
        assert address != "index.html" or {*listed} == {*ALL}
    topics = re.findall(r'<span class="topic">(.*?)</span>', texts["index.html"])
    assert topics[-1] == "Random"


def test_the_day_has_twelve_steps_and_a_place_for_each_component(texts):
    assert len(day.STEPS) == 12
    topics = {component.topic for component in ALL.values()}
    for step in day.STEPS:
        assert {*step.components} <= {*ALL, *topics}
        assert f'id="{step.anchor}"' in texts["index.html"]
    assert sorted(name for step in day.STEPS for name in step.experiments) == sorted(NAMES)
    without = {component.topic for component in ALL.values() if day.step_of(component) is None}
    assert without == {day.LAST}
    assert day.step_of(ALL["averaged_model"]).title == "Tuning"
    assert day.step_of(ALL["exponentially_weighted_average"]).title == "Weighted averages and optimizers"


def test_every_table_has_a_caption_and_every_figure_says_what_it_shows(texts):
    for address, text in texts.items():
        for table in re.findall(r"<table\b.*?</table>", text, re.DOTALL):
            assert 'role="presentation"' in table or "<caption>" in table, (address, table[:200])
        for figure in re.findall(r"<figure.*?</figure>", text, re.DOTALL):
            label = re.search(r'<svg role="img"[^>]* aria-label="([^"]+)"', figure)
            assert label, address
            assert len(label[1]) > 20, address
            assert "<figcaption>" in figure


def test_a_component_page_has_the_edge_values(texts):
    assert "<em>PyTorch computes x·α + (β − μ·α) with α = γ/s" in texts["components/batch_norm.html"]
    assert 'href="components/batch_norm.html#edges"' in texts["agreement.html"]
    assert "departs from PyTorch on purpose" in texts["components/softplus.html"]


def test_an_undeclared_departure_makes_the_site_unequal():
    edges = {"leaky_relu": grouped(examine(replace(ALL["leaky_relu"], departures=()), ["float32"]))}
    report = Report({}, OPTIONS, [ALL["relu"]], [], [], edges=edges)
    assert report.different == ["leaky_relu"]
    assert report.findings()[0].where == "leaky_relu, edge values: negative_slope = 1e308"
    assert "not declared" in pages(Site(report))["agreement.html"]


def test_pages_forbid_themselves_to_load_anything(texts):
    for address, text in texts.items():
        policy = html.unescape(re.search(r'Security-Policy" content="(.*?)"', text)[1])
        assert "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; " in policy, address
        assert "'unsafe-inline'; script-src 'sha256-" in policy, address
        assert not re.search(r"<(link|iframe|object|embed|video|audio|source)\b|@import", text), address
        assert not re.search(r"url\((?!#)| src=|xlink:href=\"(?!#|data:)", text), address


def test_pages_without_measurements_say_so(tmp_path, capsys):
    assert cli.main(["site", "--no-measure", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"not measured\npage: {tmp_path / 'index.html'}\n"
    texts = {address: (tmp_path / address).read_text(encoding="utf-8") for address in pages_of(tmp_path)}
    assert "0 of 0" not in texts["index.html"] + texts["agreement.html"]
    assert "Not measured for these pages" in texts["index.html"]
    assert "Not measured for this page" in texts["agreement.html"]
    for component in ALL.values():
        told = "Not measured for this page" in texts[f"components/{component.name}.html"]
        assert told == (not component.not_here)
    for name in NAMES:
        assert f"python -m compare experiments {name}" in texts[f"experiments/{name}.html"]


def test_a_training_run_alone_makes_a_site():
    options = {**OPTIONS, "dtypes": ["float64"], "only": "digits"}
    texts = pages(Site(Report({}, options, [], [], [training()])))
    assert [*texts] == ["index.html", "agreement.html"]
    assert "Training in lockstep" in texts["agreement.html"]
    assert {*Page(texts["index.html"]).links} >= {"index.html", "agreement.html"}
    assert not any("conventions" in link for link in Page(texts["index.html"]).links)


def test_of_some_components_no_page_leads_to_another(tmp_path):
    texts = pages(Site(Report({}, OPTIONS, [ALL["adam"]], [], [])))
    others = ["conventions.html", "playground.html", "agreement.html"]
    assert [*texts] == ["index.html", "print.html", "components/adam.html", *others]
    linked = {link for text in texts.values() for link in Page(text).links if "experiments" in link}
    assert linked == set()


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_that_did_not_run_is_announced(name):
    section = announced(name)
    assert not section.ran
    assert section.text
    assert section.recipe
    said = " ".join([*section.text, *section.recipe, *section.notes])
    assert not re.search(r"[{}]|… …|\$", said)


def test_results_of_experiments_outlive_a_site_without_them(site, tmp_path):
    made(tmp_path)
    assert settled(tmp_path) == {"optimizers": True}
    page = tmp_path / "experiments" / "optimizers.html"
    before = page.read_bytes()
    assert cli.main(["site", "--no-measure", "--out", str(tmp_path)]) == 0
    assert page.read_bytes() == before
    overview = (tmp_path / "experiments.html").read_text(encoding="utf-8")
    assert overview.count('aria-label="equal"') == 1
    assert len(with_announced()) == len(NAMES)


def test_highlighting_keeps_the_text_and_escapes_it():
    code = 'def f(x):\n    """<b> & http://a/b"""\n    return x < 1  # é'
    lines = highlighted(code)
    assert html.unescape(re.sub("<.*?>", "", "\n".join(lines))) == code
    assert "<b>" not in "".join(lines)


def test_docstrings_become_prose_and_derivations():
    text = prose("First `x`.\n\n    a  = b      remark\n       = c\n\nLast.\n\nArgs:\n    x: none")
    assert text.count("<p>") == 2
    assert text.count("<tr>") == 2
    assert "Args" not in text
    assert formula("a = b,  c = d\n\nmore").count('<p class="formula">') == 2

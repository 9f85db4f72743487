"""The page in a browser: whole, readable in light and dark, on a phone and by keyboard; nothing is loaded."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Browser, why_none
from test_report import training

from compare import cli
from compare.cases import all_components
from compare.cases.activations import COMPONENTS
from compare.edges.table import examine, grouped
from compare.report.conventions import CONVENTIONS
from compare.report.pages import anchor, as_html, formula, highlighted, prose, write_site
from compare.report.report import Report
from compare.run import run_component

ROOT = Path(__file__).parent.parent
ALL = all_components()
needs_browser = pytest.mark.skipif(bool(why_none()), reason=why_none() or "there is one")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """Of every component; the activations measured, and one training run."""
    results = [r for c in COMPONENTS for r in run_component(c, "cpu", ["float32", "float64"], [0])]
    options = {"device": "cpu", "dtypes": ["float32", "float64"], "seeds": [0], "only": None}
    edges = {name: grouped(examine(ALL[name], ["float32"])) for name in ("relu", "batch_norm", "adam")}
    runs = [training("float32"), training()]
    report = Report({"PyTorch": "2"}, options, list(ALL.values()), results, runs, edges=edges)
    return write_site(report, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def opened(browser, page) -> Browser:
    """The page in a desktop window, light, without what was logged before."""
    browser.resize(1440, 900)
    browser.colours("light")
    browser.log("browser")
    browser.log("performance")
    browser.open(page)
    return browser


# Without a browser


def test_page_has_everything_of_every_component(page):
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 3_000_000
    for component in ALL.values():
        assert f'<article class="component" id="{component.name}"' in text
    assert sum(len(component.mistakes) for component in ALL.values()) == text.count("<li><details>")
    for convention in CONVENTIONS:
        assert f'<article class="convention" id="{anchor(convention.word)}"' in text
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert not re.search(r" object at 0x|Undefined", text)
    assert str(Path(__file__).parents[1]) not in text, "a path of this machine"


def test_page_has_the_edge_values(page):
    text = page.read_text(encoding="utf-8")
    assert '<details class="more" id="edges-batch_norm">' in text
    assert "<em>PyTorch computes x·α + (β − μ·α) with α = γ/s" in text
    assert '<a class="topic" href="#edges">' in text


def test_an_undeclared_departure_makes_the_page_unequal():
    edges = {"leaky_relu": grouped(examine(replace(ALL["leaky_relu"], departures=()), ["float32"]))}
    options = {"device": "cpu", "dtypes": [], "seeds": [0], "only": None}
    report = Report({}, options, [ALL["relu"]], [], [], edges=edges)
    assert report.different == ["leaky_relu"]
    assert report.findings()[0].where == "leaky_relu, edge values: negative_slope = 1e308"
    assert "not declared" in as_html(report)


def test_page_forbids_itself_to_load_anything(page):
    text = page.read_text(encoding="utf-8")
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(
        r"<(script|link|img|iframe|object|embed|video|audio|source)\b|@import|url\((?!#)", text
    )


def test_a_page_without_measurements_says_so(tmp_path, capsys):
    assert cli.main(["site", "--no-measure", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"not measured\npage: {tmp_path / 'index.html'}\n"
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<title>scratch-vs-torch: Not measured</title>" in text
    assert text.count("Not measured for this page") == 1 + sum(not c.not_here for c in ALL.values())


def test_a_training_run_alone_makes_a_page():
    options = {"device": "cpu", "dtypes": ["float64"], "seeds": [0], "only": "digits"}
    text = as_html(Report({}, options, [], [], [training()]))
    assert "Training in lockstep" in text
    assert 'id="conventions"' not in text


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


# In a browser


@needs_browser
def test_nothing_is_logged_and_nothing_but_the_page_is_asked_for(opened, page):
    opened.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.log("browser") == []
    messages = "".join(entry["message"] for entry in opened.log("performance"))
    asked = set(re.findall(r'"Network\.requestWillBeSent".*?"url":"([^"]*)"', messages))
    assert asked <= {page.resolve().as_uri()}
    assert opened.run("return performance.getEntriesByType('resource').length") == 0


@needs_browser
def test_every_link_leads_somewhere(opened):
    links = opened.run("return [...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    ids = opened.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    inside = {link for link in links if link.startswith("#")}
    assert {link[1:] for link in inside} <= set(ids)
    assert all(link.startswith("https://") for link in set(links) - inside)


@needs_browser
def test_both_sources_of_every_component_are_seen(opened):
    seen = opened.run("""
        return [...document.querySelectorAll('article.component')].map(article => [article.id,
            [...article.querySelectorAll('.side')].filter(side => side.checkVisibility()).map(side => [
                side.querySelector('h4').firstChild.textContent.trim(),
                side.innerText,
                side.getBoundingClientRect().top])])""")
    assert [name for name, _ in seen] == list(ALL)
    for (_, found), component in zip(seen, ALL.values(), strict=True):
        (left, numpy, top), (right, torch, other_top) = found
        package = (ROOT / "scratch" / component.topic).is_dir()
        ours = f"scratch/{component.topic}" + ("/__init__.py" if package else ".py")
        assert (left, right) == (ours, f"torch_ref/{component.topic}.py")
        assert top == other_top
        for function in component.functions:
            assert re.search(rf"(def|class) {function.rpartition('.')[2]}\b", numpy), function
        for function in component.reference:
            assert re.search(rf"(def|class) {function}\b|^{function} = ", torch, re.MULTILINE), function


@needs_browser
def test_a_line_can_be_linked_to(opened):
    opened.run("location.hash = '#adam-scratch-' + document.querySelector("
               "'#adam .line > a').dataset.line")  # fmt: skip
    line = opened.run("const l = document.querySelector(':target'); return [l.className, l.innerText]")
    assert line == ["line", "@expects()\n"]


@needs_browser
def test_formulas_are_set(opened):
    heights = opened.run("""
        return [...document.querySelectorAll('#adam .function mfrac')]
            .map(fraction => fraction.getBoundingClientRect().height)""")
    assert len(heights) == 3
    assert max(heights) > 50  # a fraction of fractions, not a row of signs


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1440])
def test_nothing_is_wider_than_the_window(opened, width):
    opened.resize(width, 844)
    opened.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.run("return document.documentElement.scrollWidth") == width


CONTRASTS = """
    const shown = color => {
        const context = new OffscreenCanvas(1, 1).getContext('2d');
        context.fillStyle = color;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
    };
    const known = {};
    const rgba = color => known[color] ??= shown(color);
    const light = color => {
        const linear = c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
        const [r, g, b] = rgba(color).map(c => linear(c / 255));
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const behind = element => {
        for (; element; element = element.parentElement) {
            const color = getComputedStyle(element).backgroundColor;
            if (rgba(color)[3] === 255) return color;
        }
    };
    document.querySelectorAll('details').forEach(d => d.open = true);
    const found = {};
    for (const element of document.querySelectorAll('body *')) {
        const words = element.dataset?.line
            || [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!words || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const [text, ground] = [element.closest('svg') ? style.fill : style.color, behind(element)];
        const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
        found[`${element.tagName} ${text} on ${ground}`] = (a + .05) / (b + .05);
    }
    return found;"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(opened, scheme):
    opened.colours(scheme)
    contrasts = opened.run(CONTRASTS)
    assert len(contrasts) > 20
    assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}  # WCAG 2.2, level AA
    luminance = "return getComputedStyle(document.body).backgroundColor"
    assert (sum(map(int, re.findall(r"\d+", opened.run(luminance))[:3])) < 128 * 3) == (scheme == "dark")


@needs_browser
def test_colours_can_be_chosen(opened):
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = opened.run(ground)
    opened.run("document.getElementById('theme-auto').focus()")
    opened.press("ArrowRight")
    assert opened.run(ground) == light
    opened.press("ArrowRight")
    assert opened.run("return document.activeElement.id") == "theme-dark"
    assert opened.run(ground) != light
    opened.colours("dark")
    opened.run("document.getElementById('theme-light').click()")
    assert opened.run(ground) == light


FOCUSED = """
    const e = document.activeElement, mark = e.matches('.theme input') ? e.nextElementSibling : e;
    const box = mark.getBoundingClientRect(), style = getComputedStyle(mark);
    return [e.tagName, e.getAttribute('href'), style.outlineStyle, parseFloat(style.outlineWidth),
            box.width * box.height, box.left]"""


@needs_browser
def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(opened):
    opened.press("Tab")
    tag, target, style, width, area, left = opened.run(FOCUSED)
    assert (tag, target) == ("A", "#main")
    assert left >= 0
    for _ in range(8):
        assert (style, width > 1, area > 0) == ("solid", True, True)
        opened.press("Tab")
        *_, style, width, area, left = opened.run(FOCUSED)
    opened.run("document.querySelector('.skip').focus()")
    opened.press("Enter")
    assert opened.run("return document.activeElement.id") == "main"
    summary = "document.querySelector('#relu .mistakes summary')"
    opened.run(f"{summary}.focus()")
    for key, is_open in (("Enter", True), ("Space", False)):
        opened.press(key)
        assert opened.run(f"return {summary}.parentElement.open") == is_open
    assert opened.run(FOCUSED)[2] == "solid"
    unreached = opened.run("""
        return [...document.querySelectorAll('a, summary, input')]
            .filter(e => e.tabIndex < 0).map(e => e.parentElement.className)""")
    assert set(unreached) == {"line"}  # thousands: of these, the first of each function is linked to

"""The site in a browser: on phone, desk and paper, in light and dark, by keyboard; nothing is loaded."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, why_none
from site_pages import ALL, made, pages_of

from compare.report.rendering import STATIC

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(bool(why_none()), reason=why_none() or "there is one")
SOME = (
    "index.html",
    "components/adam.html",
    "components/batch_norm.html",
    "conventions.html",
    "agreement.html",
    "experiments.html",
    "experiments/optimizers.html",
    "experiments/bias_variance.html",
    "print.html",
)
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true);"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def browser(window) -> Browser:
    """A desktop window, light, without what was logged before."""
    window.resize(1400, 900)
    window.colours("light")
    window.log("browser")
    window.log("performance")
    return window


def test_nothing_is_logged_nothing_asked_for_and_nothing_wider_than_a_phone(browser, site):
    browser.resize(400, 844)
    for address in pages_of(site):
        browser.open(site / address)
        found = browser.run(
            OPEN_ALL
            + "return [document.documentElement.scrollWidth, performance.getEntriesByType('resource').length]"
        )
        assert found == [400, 0], address
        assert browser.log("browser") == [], address
        messages = "".join(entry["message"] for entry in browser.log("performance"))
        asked = set(re.findall(r'"Network\.requestWillBeSent".*?"url":"([^"]*)"', messages))
        assert {url for url in asked if not url.startswith("data:")} <= {(site / address).resolve().as_uri()}


@pytest.mark.parametrize("width", [320, 700, 1024, 1400])
def test_nothing_is_wider_than_the_window(browser, site, width):
    browser.resize(width, 844)
    for address in SOME:
        browser.open(site / address)
        assert browser.run(OPEN_ALL + "return document.documentElement.scrollWidth") == width, address


CUT = """
    const cut = [], { clientWidth: width, scrollWidth } = document.documentElement;
    if (scrollWidth > width) cut.push(`${scrollWidth} pixels wide`);
    const said = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (said.nextNode()) {
        const text = said.currentNode, range = document.createRange();
        if (!text.data.trim() || !text.parentElement.checkVisibility()) continue;
        if (text.parentElement.closest('.hidden, .skip, .theme legend')) continue;
        range.selectNodeContents(text);
        const boxes = [...range.getClientRects()].filter(box => box.width);
        const ends = boxes.flatMap(box => [box.left, box.right]);
        let [left, right] = [0, width];
        for (let e = text.parentElement; e !== document.body; e = e.parentElement) {
            const { overflowX } = getComputedStyle(e), box = e.getBoundingClientRect();
            if (overflowX === 'auto') [left, right] = [-Infinity, Infinity];
            else if (overflowX !== 'visible')
                [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
        }
        if (Math.min(...ends) < left - 1 || Math.max(...ends) > right + 1) cut.push(text.data.trim());
    }
    return cut"""
COVERED = """
    const covered = [], controls = 'a[href], button, input, select, summary, [tabindex="0"]';
    for (const control of document.querySelectorAll(controls)) {
        if (control.tabIndex < 0 || control.matches('.skip') || !control.checkVisibility()) continue;
        const mark = control.matches('.theme input') ? control.nextElementSibling : control;
        mark.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' });
        const [{ left, top, width, height }] = mark.getClientRects();
        if (mark.contains(document.elementFromPoint(left + width / 2, top + height / 2))) continue;
        covered.push(control.outerHTML.slice(0, 120));
    }
    return covered"""


@pytest.mark.parametrize("width", [800, 1400])
def test_at_twice_the_size_nothing_is_cut_and_every_control_can_be_got_at(browser, site, width):
    browser.resize(width, 900, zoom=2)
    for address in (*SOME, "playground.html"):
        browser.open(site / address)
        if address == "playground.html":
            browser.run("for (const name of Play.widgets.keys()) Play.restore(`#${name}:`)")
        assert browser.run(OPEN_ALL + CUT) == [], address
        assert browser.run(OPEN_ALL + COVERED) == [], address
    assert open_search(browser, site, "index.html", "learning rate")
    assert browser.run(CUT) == []


def test_a_derivation_scrolls_on_a_phone(browser, site):
    browser.resize(400, 844)
    browser.open(site / "components/batch_norm.html")
    boxes = browser.run("""
        return [...document.querySelectorAll('.scroll:has(.derivation)')].map(box =>
            [box.getBoundingClientRect().right, box.scrollWidth - box.clientWidth,
             getComputedStyle(box).overflowX])""")
    assert max(hidden for _, hidden, _ in boxes) > 0
    assert all(right <= 400 and overflow == "auto" for right, _, overflow in boxes)


def test_figures_of_experiments_can_be_read_on_a_phone(browser, site):
    browser.resize(400, 844)
    browser.open(site / "experiments/optimizers.html")
    heights = browser.run("""
        return [...document.querySelectorAll('figure text')].map(e => e.getBoundingClientRect().height)""")
    assert min(heights) > 9


@pytest.mark.parametrize("width", [400, 1400])
def test_both_formulas_of_a_convention_are_seen_whole(browser, site, width):
    browser.resize(width, 844)
    browser.open(site / "conventions.html")
    cut = browser.run("""
        const formulas = [...document.querySelectorAll('.convention .formula')];
        return formulas.filter(e => e.scrollWidth > e.clientWidth).map(e => e.closest('.convention').id)""")
    assert cut == []


def test_both_sources_of_a_component_are_seen_side_by_side(browser, site):
    for name in ("relu", "adam", "batch_norm", "rand"):
        component = ALL[name]
        browser.open(site / f"components/{name}.html")
        (left, numpy, top), (right, torch, other_top) = browser.run("""
            const shown = [...document.querySelectorAll('.side')].filter(side => side.checkVisibility());
            return shown.map(side => [
                side.querySelector('h3').firstChild.textContent.trim(),
                side.innerText,
                side.getBoundingClientRect().top])""")
        package = (ROOT / "scratch" / component.topic).is_dir()
        ours = f"scratch/{component.topic}" + ("/__init__.py" if package else ".py")
        assert (left, right) == (ours, f"torch_ref/{component.topic}.py")
        assert top == other_top
        for function in component.functions:
            assert re.search(rf"(def|class) {function.rpartition('.')[2]}\b", numpy), function
        for function in component.reference:
            assert re.search(rf"(def|class) {function}\b|^{function} = ", torch, re.MULTILINE), function


def test_a_line_can_be_linked_to(browser, site):
    browser.open(site / "components/adam.html")
    browser.run("location.hash = '#scratch-' + document.querySelector('.line > a').dataset.line")
    line = browser.run("const l = document.querySelector(':target'); return [l.className, l.innerText]")
    assert line == ["line", "@expects()\n"]


def test_formulas_are_set_and_adam_in_one_storey(browser, site):
    browser.open(site / "components/adam.html")
    fractions = browser.run("""
        return [...document.querySelectorAll('.function mfrac')]
            .map(e => [e.getBoundingClientRect().height, e.querySelectorAll('mfrac').length])""")
    assert len(fractions) == 3
    assert max(inner for _, inner in fractions) == 0
    assert min(height for height, _ in fractions) > 25  # fractions, not rows of signs


# Search


def open_search(browser: Browser, site: Path, address: str, words: str) -> list[str]:
    """The labels of what was found; the box has the focus."""
    browser.open(site / address)
    browser.type("/")
    assert browser.run("return document.activeElement.id") == "search-box"
    browser.type(words)
    return browser.run(
        "return [...document.querySelectorAll('#search-list:not([hidden]) li')].map(e => e.innerText)"
    )


@pytest.mark.parametrize("address", ["index.html", "components/relu.html", "experiments/optimizers.html"])
def test_a_mistake_is_found_and_opened_by_keyboard(browser, site, address):
    first, *_ = open_search(browser, site, address, "momentum reversed")
    assert first == "weights swapped mistake, momentum"
    browser.press("Enter")
    browser.wait_for("components/momentum.html#mistake-")
    name = browser.run("return document.querySelector(':target').closest('details').innerText")
    assert name.startswith("weights swapped")
    assert browser.run("return document.querySelector(':target').closest('details').open")


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("adam", "adam component"),
        ("batch norm", "batch_norm component"),
        ("softmax regression", "Softmax regression experiment"),
        ("xavier fan_in only", "fan_in only mistake, xavier_normal"),
        ("conventions", "Conventions part"),
        ("BatchNorm1d", "batch_norm component"),
        ("default init", "default initialisation convention"),
        ("he initialization", "kaiming_normal component"),
        ("Xavier initialisation", "xavier_normal component"),
        ("cross-entropy", "cross_entropy component"),
        ("moving average", "exponentially_weighted_average component"),
        ("batch normalization", "Batch normalization experiment"),
        ("regularisation", "Regularization experiment"),
        ("logistic loss", "binary_cross_entropy component"),
        ("mean squared error", "mse_loss component"),
        ("cosine annealing", "cosine_with_warmup component"),
        ("torch.optim.Adam", "adam component"),
        ("torch.randn", "randn component"),
        ("dead relu", "relu component"),
        ("dying relu", "leaky_relu component"),
        ("numerical stability", "largest number not subtracted mistake, softmax"),
        ("softmax overflow", "largest logit not subtracted mistake, cross_entropy"),
        ("overflow", "Floating point playground"),
        ("broadcasting", "targets of another shape convention"),
        ("manual_seed", "One seed playground"),
        ("hyperparameter", "Random search experiment"),
        ("vanishing gradient", "How weights start playground"),
        ("exploding gradient", "clip_grad_norm component"),
        ("learning rate too high", "Optimizers on a valley playground"),
        ("too high learning rate", "Optimizers on a valley playground"),
        ("overfitting", "Against overfitting playground"),
        ("log of zero", "log 0 convention"),
        ("nan", "log 0 convention"),
        ("internal covariate shift", "batch_norm component"),
        ("weight decay vs l2", "weight decay in Adam convention"),
        ("epsilon", "ε of Adam convention"),
        ("model.eval()", "never in evaluation mode mistake, train"),
        ("zero_grad", "gradients never cleared mistake, train"),
        ("data leakage", "test set by its own statistics mistake, standardization"),
    ],
)
def test_the_search_finds(browser, site, words, label):
    assert label in open_search(browser, site, "index.html", words)[:3]


def test_the_search_tells_what_it_shows(browser, site):
    assert open_search(browser, site, "index.html", "moment")
    state = """
        const box = document.getElementById('search-box'), list = document.getElementById('search-list');
        const on = [...list.children].filter(e => e.getAttribute('aria-selected') === 'true').map(e => e.id);
        return [box.getAttribute('role'), box.getAttribute('aria-expanded'), list.hidden,
                on.length, on[0] === box.getAttribute('aria-activedescendant'), on[0]];"""
    assert browser.run(state) == ["combobox", "true", False, 1, True, "search-0"]
    browser.press("ArrowDown")
    assert browser.run(state)[-1] == "search-1"
    browser.press("ArrowUp")
    browser.press("ArrowUp")
    last = browser.run(state)[-1]
    assert last == f"search-{browser.run('return document.querySelectorAll(`#search-list li`).length') - 1}"
    assert "found" in browser.run("return document.getElementById('search-status').textContent")
    browser.press("Escape")
    assert browser.run(state)[:4] == ["combobox", "false", True, 0]
    assert browser.run("return document.activeElement.id") == "search-box"
    browser.press("Escape")
    assert browser.run("return document.activeElement.id") != "search-box"
    assert open_search(browser, site, "index.html", "qqqq") == []
    assert browser.run("return document.getElementById('search-status').textContent") == "nothing found"
    seen = "return document.getElementById('search-status').getBoundingClientRect().height > 20"
    assert browser.run(seen)
    browser.press("Escape")
    assert not browser.run(seen)


def test_the_search_is_small():
    assert len((STATIC / "search.js").read_text(encoding="utf-8").splitlines()) <= 200


def test_without_scripts_there_is_the_navigation_and_no_box(browser, site):
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(site / "components/relu.html", scripts=False)
        shown = browser.visible("#search"), browser.visible(".parts a"), browser.visible(".contents a")
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert shown == (False, True, True)


# Colours


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
GROUND = "return getComputedStyle(document.body).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(browser, site, scheme):
    browser.colours(scheme)
    for address in SOME:
        open_search(browser, site, address, "moment")
        contrasts = browser.run(CONTRASTS)
        assert len(contrasts) > 5
        assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}, (
            address
        )  # WCAG 2.2, AA
    assert (sum(map(int, re.findall(r"\d+", browser.run(GROUND))[:3])) < 128 * 3) == (scheme == "dark")


def test_figures_of_experiments_do_not_glare_in_the_dark(browser, site):
    browser.colours("dark")
    browser.open(site / "experiments/optimizers.html")
    grounds, lines = browser.run("""
        const of = (kind, e) => getComputedStyle(e)[kind];
        const paths = [...document.querySelectorAll('figure path')];
        return [paths.map(e => of('fill', e)), paths.map(e => of('stroke', e))];""")
    assert "rgb(255, 255, 255)" not in grounds
    assert "rgb(0, 0, 0)" not in lines
    assert len(set(lines)) > 6


def test_colours_are_chosen_for_every_page(browser, site):
    browser.open(site / "index.html")
    light = browser.run(GROUND)
    browser.run("document.getElementById('theme-auto').focus()")
    browser.press("ArrowRight")
    assert browser.run(GROUND) == light
    browser.press("ArrowRight")
    assert browser.run("return document.activeElement.id") == "theme-dark"
    dark = browser.run(GROUND)
    assert dark != light
    browser.open(site / "components/relu.html")
    assert browser.run(GROUND) == dark
    assert browser.run("return document.getElementById('theme-dark').checked")
    browser.colours("dark")
    browser.run("document.getElementById('theme-light').click()")
    assert browser.run(GROUND) == light
    browser.run("document.getElementById('theme-auto').click()")
    assert browser.run(GROUND) == dark


# Motion


MOVING = """
    const found = document.getAnimations().map(animation => `${animation.playState} animation`);
    for (const element of document.querySelectorAll('*')) for (const part of [null, '::before', '::after']) {
        const style = getComputedStyle(element, part);
        const times = `${style.transitionDuration}, ${style.animationDuration}, ${style.scrollBehavior}`;
        if (!/^(0s|, |auto)+$/.test(times)) found.push(`${element.tagName}${part ?? ''}: ${times}`);
    }
    return found"""


@pytest.mark.parametrize("value", ["reduce", "no-preference"])
def test_nothing_moves_for_those_who_want_less_motion(browser, site, value):
    features = [{"name": "prefers-reduced-motion", "value": value}]
    browser.devtools("Emulation.setEmulatedMedia", features=features)
    for address in SOME:
        browser.open(site / address)
        moving = [] if value == "reduce" else ["HTML: 0s, 0s, smooth"]
        assert browser.run(OPEN_ALL + MOVING)[:1] == moving, address


# Keyboard


FOCUSED = """
    const e = document.activeElement, mark = e.matches('.theme input') ? e.nextElementSibling : e;
    const box = mark.getBoundingClientRect(), style = getComputedStyle(mark);
    return [e.tagName, e.getAttribute('href'), style.outlineStyle, parseFloat(style.outlineWidth),
            box.width * box.height, box.left]"""


def test_the_keyboard_reaches_everything_and_one_sees_where_it_is(browser, site):
    browser.open(site / "components/relu.html")
    browser.press("Tab")
    tag, target, style, width, area, left = browser.run(FOCUSED)
    assert (tag, target) == ("A", "#main")
    assert left >= 0
    for _ in range(8):
        assert (style, width > 1, area > 0) == ("solid", True, True)
        browser.press("Tab")
        *_, style, width, area, left = browser.run(FOCUSED)
    browser.run("document.querySelector('.skip').focus()")
    browser.press("Enter")
    assert browser.run("return document.activeElement.id") == "main"
    summary = "document.querySelector('.mistakes summary')"
    browser.run(f"{summary}.focus()")
    for key, is_open in (("Enter", True), ("Space", False)):
        browser.press(key)
        assert browser.run(f"return {summary}.parentElement.open") == is_open
    assert browser.run(FOCUSED)[2] == "solid"
    unreached = browser.run("""
        return [...document.querySelectorAll('a, summary, input')]
            .filter(e => e.tabIndex < 0).map(e => e.parentElement.className)""")
    assert set(unreached) == {"line"}  # dozens: of these, the first of each function is linked to


# Paper


def test_the_whole_day_is_printed_on_forty_sheets(browser, site):
    browser.open(site / "print.html")
    sheet = {"paperWidth": 8.27, "paperHeight": 11.69}
    printed = browser.devtools("Page.printToPDF", **sheet)["data"]
    assert 10 < len(re.findall(rb"/Type /Page\b", base64.b64decode(printed))) <= 40
    assert ALL["adam"].mistakes[0].explanation in browser.run("return document.body.innerText")


# What axe-core (https://github.com/dequelabs/axe-core) finds


AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install --no-save axe-core")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_axe_finds_nothing(browser, site, scheme, width):
    browser.colours(scheme)
    browser.resize(width, 900)
    for address in (*SOME, "playground.html"):
        browser.open(site / address)
        browser.run(AXE.read_text(encoding="utf-8") + ";" + OPEN_ALL)
        found = browser.run_slowly("""
            axe.run({resultTypes: ['violations']}).then(
                all => done(all.violations.map(one => [one.id, one.nodes.length, one.nodes[0].html])),
                error => done(String(error)))""")
        assert found == [], address

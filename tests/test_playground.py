"""The playground: its numbers are those of `scratch/`, its state is its address, and everybody can use it."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from browser import KEYS, Browser, why_none
from test_site_browser import CONTRASTS, MOVING

from compare.cases import all_components
from compare.report import playground
from compare.report.playground import SCRIPTS, WIDGETS
from compare.report.rendering import STATIC
from compare.report.report import Report
from compare.report.site import Site, pages
from compare.report.stills import STILLS, network_on_rings, rings
from scratch import schedules
from scratch.batch_norm import BatchNorm1d
from scratch.early_stopping import EarlyStopping
from scratch.gradient_check import PASSES, gradient_check, numerical_gradient, relative_error
from scratch.optimizers import (
    SGD,
    Adam,
    adam_step,
    adamw_step,
    momentum_step,
    nesterov_step,
    rmsprop_step,
    sgd_momentum_step,
    sgd_step,
)
from scratch.random import TorchGenerator
from scratch.training import accuracy, train_step

NAMES = [widget.name for widget in WIDGETS]
PLAYED = ("optimizers", "start", "schedules", "regularization", "batch_norm", "seed", "backward")
needs_browser = pytest.mark.skipif(bool(why_none()), reason=why_none() or "there is one")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("playground") / "playground.html"
    site = Site(Report({}, {"device": "cpu", "dtypes": [], "seeds": [0], "only": None}, [], [], []))
    text = site.page(path.name, "playground.html", **playground.values())
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


RESET = """
    if (typeof Play === 'undefined') return false;
    if (document.querySelector('details[open], .play:not(.live)')) return false;
    document.activeElement.blur();
    for (const button of document.querySelectorAll('.wide button'))
        if (button.textContent === 'Stop') button.click();
    for (const widget of Play.widgets.values())
        if (widget.controls.some(control => widget.state[control.name] !== control.value))
            widget.section.querySelector('.reset').click();
    history.replaceState(null, '', location.pathname);
    scrollTo({ top: 0, behavior: 'instant' });
    return true"""


@pytest.fixture
def opened(browser, page) -> Browser:
    """The page in a desktop window, light, every widget as it starts: reset, which is quicker than loaded."""
    browser.resize(1440, 900)
    browser.colours("light")
    if not browser.run(RESET):
        browser.open(page)
    browser.log("browser")
    browser.log("performance")
    return browser


def go(browser: Browser, name: str, **state: object) -> None:
    """Follow a link to a state of a widget."""
    words = {key: str(value).lower() if value in (True, False) else value for key, value in state.items()}
    browser.run("Play.restore(arguments[0])", f"#{name}:{urlencode(words)}")


def tables(browser: Browser, name: str) -> dict[str, dict[str, list[float]]]:
    """The numbers under a widget, every digit of them: caption → row → values."""
    found = browser.run(
        """const read = cell => cell.dataset.value ?? cell.textContent;
        return [...document.querySelectorAll(`#${arguments[0]} .tables table`)].map(table =>
            [table.caption.textContent, [...table.tBodies[0].rows].map(row =>
                [row.cells[0].textContent, [...row.cells].slice(1).map(read)])])""",
        name,
    )
    return {caption: {row: [*map(_number, cells)] for row, cells in rows} for caption, rows in found}


def _number(text: str) -> float:
    return float(text.replace("Infinity", "inf")) if re.fullmatch(r"-?(\d.*|Infinity|NaN)", text) else text


def overlap(a: list[float], b: list[float]) -> float:
    """The area that two boxes share, each its left, top, right and bottom."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def set_field(browser: Browser, name: str, control: str, value: object) -> None:
    """Type a number into the field beside a slider."""
    browser.run(
        """const field = document.getElementById(arguments[0]).parentElement.querySelector('[type=number]');
        field.value = arguments[1]; field.dispatchEvent(new Event('change'))""",
        f"{name}-{control}",
        value,
    )


# Without a browser


def test_page_is_one_file_that_runs_nothing_but_its_own_scripts(page):
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 1_500_000
    assert text.count("<script>") == len(SCRIPTS) + 2
    assert text.count("&#39;sha256-") + text.count("'sha256-") == len(SCRIPTS) + 2
    assert not re.search(r"<(link|img|iframe|object|embed|video|audio|source)\b|@import|url\((?!#)", text)
    assert not re.search(r"<script [^>]*src|\bimport\(|fetch\(|XMLHttpRequest", text)
    assert str(Path(__file__).parents[1]) not in text, "a path of this machine"


def test_every_widget_has_its_parts(page):
    text = page.read_text(encoding="utf-8")
    for widget in WIDGETS:
        section = text[text.index(f'<section class="play" id="{widget.name}"') :].partition("</section>")[0]
        assert '<figure class="still"><svg' in section
        assert section.count('<pre class="listing">') == len([*widget.definitions])
        assert any(definition.path.startswith("scratch/") for definition in widget.definitions)


def test_what_somebody_breaks_takes_no_page_down(monkeypatch):
    """A function that raises is said to, in the place of its figure; a line that has changed is left out"""

    def broken():
        raise TypeError("1 < 2")

    lost = ("linear", "scratch.linear: linear_forward", "what is not there")
    widget = replace(WIDGETS[0], steps=(lost,))
    monkeypatch.setitem(STILLS, widget.name, broken)
    monkeypatch.setattr(playground, "WIDGETS", (widget,))
    playground.values.cache_clear()
    try:
        site = Site(Report({}, {"device": "cpu", "dtypes": [], "seeds": [0], "only": None}, [], [], []))
        text = site.page("playground.html", "playground.html", **playground.values())
    finally:
        playground.values.cache_clear()
    assert "<code>scratch/</code> raises TypeError: 1 &lt; 2</p>" in text
    assert 'class="source-line"' not in text


def test_every_line_that_a_widget_points_at_is_there():
    for widget in WIDGETS:
        assert [line[0] for line in widget.lines] == [step[0] for step in widget.steps]


def test_components_and_widgets_lead_to_each_other():
    options = {"device": "cpu", "dtypes": [], "seeds": [0], "only": None}
    components = [c for c in all_components().values() if c.name in ("adam", "early_stopping", "dropout")]
    texts = pages(Site(Report({}, options, components, [], [])))
    for name, widget in {
        "adam": "optimizers",
        "early_stopping": "regularization",
        "dropout": "regularization",
    }.items():
        assert f'href="../playground.html#{widget}"' in texts[f"components/{name}.html"]
        section = texts["playground.html"].partition(f'<section class="play" id="{widget}"')[2]
        assert f'href="components/{name}.html"' in section.partition("</section>")[0]
    part = pages(Site(Report({}, {**options, "only": "adam"}, components, [], [])))
    assert "playground.html" not in part
    assert "playground.html" not in part["components/adam.html"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_short(name):
    text = (STATIC / name).read_text(encoding="utf-8")
    assert text.startswith('"use strict";\n//')
    assert len(text.splitlines()) <= 200
    assert "</script" not in text


# In a browser


@needs_browser
def test_nothing_is_logged_and_nothing_but_the_page_is_asked_for(opened, page):
    for name in NAMES:
        go(opened, name)
    assert opened.log("browser") == []
    messages = "".join(entry["message"] for entry in opened.log("performance"))
    asked = set(re.findall(r'"Network\.requestWillBeSent".*?"url":"([^"]*)"', messages))
    assert {url.partition("#")[0] for url in asked} <= {page.resolve().as_uri()}


@needs_browser
@pytest.mark.parametrize("width", [320, 400, 768, 1400])
def test_nothing_is_wider_than_the_window(opened, width):
    opened.resize(width, 844)
    for name in NAMES:
        go(opened, name)
    opened.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert opened.run("return document.documentElement.scrollWidth") == width


@needs_browser
def test_on_a_phone_a_slider_is_long_enough_for_a_finger(opened):
    opened.resize(400, 844)
    widths = opened.run("""return [...document.querySelectorAll('.play [type=range]')]
        .filter(slider => slider.checkVisibility()).map(slider => slider.getBoundingClientRect().width)""")
    assert min(widths) > 200


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(opened, scheme):
    opened.colours(scheme)
    for name in NAMES:
        go(opened, name)
    contrasts = opened.run(CONTRASTS)
    assert len(contrasts) > 20
    assert {pair: ratio for pair, ratio in contrasts.items() if ratio < 4.5} == {}


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_every_control_has_a_label_and_every_figure_says_what_is_seen(opened, name):
    go(opened, name)
    unnamed = opened.run(
        """const controls = 'input, select, button, summary';
        return [...document.getElementById(arguments[0]).querySelectorAll(controls)].filter(
            e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).map(e => e.outerHTML)""",
        name,
    )
    assert unnamed == []
    figures = opened.run(
        """return [...document.querySelectorAll(`#${arguments[0]} .plot > svg, #${arguments[0]} .plot[role]`)]
                .map(e => e.ariaLabel)""",
        name,
    )
    assert figures
    assert all(len(words) > 20 and "undefined" not in words and "NaN" not in words for words in figures)
    assert opened.run(
        "return document.querySelector(`#${arguments[0]} .still`).checkVisibility()", name
    ) is False  # fmt: skip


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_worth_a_look_is_another_state_that_the_address_keeps(opened, name):
    go(opened, name)
    addresses = []
    buttons = f"document.querySelectorAll('#{name} .presets button')"
    for i in range(opened.run(f"return {buttons}.length")):
        opened.run(f"{buttons}[{i}].click()")
        addresses.append(opened.run("return location.hash"))
        there = tables(opened, name)
        opened.run(f"document.querySelector('#{name} .reset').click()")
        assert opened.run("return location.hash") == f"#{name}"
        opened.run("location.hash = arguments[0]", addresses[-1])
        opened.run("return new Promise(done => setTimeout(done, 20))")
        assert tables(opened, name) == there
        drawn = opened.run(f"return document.querySelector('#{name} .stage').outerHTML")
        assert not re.search(r"NaN|undefined|Infinity", drawn)
    assert opened.log("browser") == []
    assert len(addresses) >= 3
    assert len(set(addresses)) == len(addresses)


@needs_browser
def test_all_are_drawn_without_being_asked_for(opened):
    live = "return [...document.querySelectorAll('.play.live')].map(section => section.id)"
    for _ in range(100):
        opened.run("return new Promise(done => setTimeout(done, 100))")
        if len(opened.run(live)) == len(NAMES):
            break
    assert opened.run(live) == NAMES
    assert opened.log("browser") == []


@needs_browser
def test_a_link_to_a_widget_keeps_what_was_set(opened):
    go(opened, "optimizers", step=7)
    opened.run("location.hash = 'seed'")
    opened.run("return new Promise(done => setTimeout(done, 20))")
    opened.run("location.hash = 'optimizers'")
    opened.run("return new Promise(done => setTimeout(done, 20))")
    assert opened.run("return location.hash") == "#optimizers:step=7"


@needs_browser
def test_an_address_is_restored_when_the_page_is_opened(opened, page):
    opened.run("location.href = arguments[0]", page.resolve().as_uri() + "#seed:seed=7&n=20&index=19")
    opened.reload()
    assert "torch.randn(20), numbers 16 to 19" in tables(opened, "seed")
    assert opened.run("return document.getElementById('seed-seed').value") == "7"
    opened.run("return new Promise(done => setTimeout(done, 500))")  # what is above has been drawn by now
    assert -1 < opened.run("return document.getElementById('seed').getBoundingClientRect().top") < 100


@needs_browser
def test_the_start_can_be_dragged(opened):
    go(opened, "optimizers")
    opened.run("""document.querySelector('#optimizers .figure-map')
        .scrollIntoView({ block: 'center', behavior: 'instant' })""")
    x, y = opened.run("""const box = document.querySelector('#optimizers .handle').getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]""")
    for kind, by in (("mousePressed", 0), ("mouseMoved", 20), ("mouseMoved", 60), ("mouseReleased", 60)):
        opened.devtools(
            "Input.dispatchMouseEvent", type=kind, x=x + by, y=y + by, button="left", buttons=1, clickCount=1
        )
    start = opened.run("const { x, y } = Play.widgets.get('optimizers').state; return [x, y]")
    assert -3.4 < start[0] < -2.5
    assert 0 < start[1] < 0.9
    assert f"x={start[0]:g}&y={start[1]:g}" in opened.run("return location.hash")


@needs_browser
@pytest.mark.parametrize("width", [400, 1400])
def test_names_of_arrows_touch_no_arrowhead_and_no_other_name(opened, width):
    opened.resize(width, 844)
    found = opened.run("""const found = [];
        for (const landscape of ["bowl", "ravine", "rosenbrock&x=-1.2&lr=0.0005", "beale&x=1&lr=0.002"])
            for (const shown of ["adam", "rmsprop", "momentum", "sgd"])
                for (const step of [1, 2, 5, 40, 100, 300]) {
                    const address = `#optimizers:landscape=${landscape}&shown=${shown}&step=${step}`;
                    Play.restore(address);
                    const plot = document.querySelector('#optimizers .figure-arrows svg');
                    const names = [...plot.querySelectorAll('.big')].map(name => {
                        const { x, y, width, height } = name.getBBox();
                        return [x, y, x + width, y + height];
                    });
                    const heads = [...plot.querySelectorAll('.arrow')].map(arrow => {
                        const head = arrow.getAttribute('d').match(/[-\\d.]+/g).map(Number).slice(4);
                        const [xs, ys] = [0, 1].map(odd => head.filter((_, i) => i % 2 === odd));
                        return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
                    });
                    found.push([address, names, heads, [0, 0, plot.clientWidth, plot.clientHeight]]);
                }
        return found""")
    for where, names, heads, whole in found:
        assert 1 <= len(heads) <= len(names) <= 3, where
        for i, name in enumerate(names):
            assert max(overlap(name, other) for other in [*heads, *names[:i]]) == 0, where
            assert overlap(name, whole) == pytest.approx(overlap(name, name)), where


@needs_browser
@pytest.mark.parametrize("correction", [True, False])
def test_only_what_is_corrected_has_a_hat(opened, correction):
    go(opened, "optimizers", step=12, correction=correction)
    names = opened.run("return [...document.querySelectorAll('#optimizers .big')].map(e => e.textContent)")
    assert names == (["g", "m̂", "√v̂"] if correction else ["g", "m", "√v"])
    rows = tables(opened, "optimizers")["Step 12 of Adam"]
    assert {*rows} >= {f"{name}, as used" for name in names[1:]}


def reduced_motion(browser: Browser, wanted: bool) -> None:
    """As if the reader's system asked for less motion, or did not."""
    value = "reduce" if wanted else "no-preference"
    browser.devtools(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": value}]
    )


@needs_browser
@pytest.mark.parametrize("name", PLAYED)
def test_play_moves_by_itself_until_it_is_stopped(opened, name):
    reduced_motion(opened, False)
    found = opened.run_slowly(
        f"const widget = Play.widgets.get('{name}');"
        """
        Play.restore(`#${widget.name}:`);
        const button = widget.section.querySelector('.wide button');
        const { name, min } = widget.controls.find(control => control.play), now = () => widget.state[name];
        widget.ui.set({ [name]: min });
        button.click();
        const label = button.textContent, wait = ms => new Promise(then => setTimeout(then, ms));
        (async () => {
            while (now() < min + 3) await wait(20);
            button.click();
            const stopped = now();
            await wait(150);
            done([label, now() - stopped, button.textContent]);
        })()"""
    )
    assert found == ["Stop", 0, "Play"]


@needs_browser
def test_for_those_who_want_less_motion_nothing_moves_by_itself(opened):
    opened.run("for (const name of Play.widgets.keys()) Play.restore(`#${name}:`)")
    opened.run("Play.widgets.get('backward').ui.set({ step: 1 })")
    opened.run(
        "document.querySelector('#backward .wide button').click()"
    )  # what plays stops when they say so
    reduced_motion(opened, True)
    states = "return [...Play.widgets.values()].map(widget => JSON.stringify(widget.state))"
    opened.run("return new Promise(done => setTimeout(done, 100))")
    before = opened.run(states)
    opened.run("return new Promise(done => setTimeout(done, 300))")
    assert opened.run(states) == before
    assert opened.run(MOVING) == []
    for name in PLAYED:
        label, *values = opened.run(
            """const widget = Play.widgets.get(arguments[0]);
            const { name, min, max } = widget.controls.find(control => control.play);
            const button = widget.section.querySelector('.wide button'), found = [button.textContent];
            for (const start of [min, max]) {
                widget.ui.set({ [name]: start });
                button.click();
                found.push(widget.state[name] - min);
            }
            return found""",
            name,
        )
        assert (label, values) == ("Next", [1, 0]), name


@needs_browser
def test_play_goes_to_the_end_and_stops(opened):
    go(opened, "backward", step=8)
    found = opened.run_slowly(
        """const button = document.querySelector('#backward .control.wide button');
        button.click();
        const label = button.textContent, wait = () => new Promise(then => setTimeout(then, 20));
        (async () => {
            while (button.textContent === label) await wait();
            done([label, Play.widgets.get('backward').state.step, button.textContent]);
        })()"""
    )
    assert found == ["Stop", 11, "Play"]


@needs_browser
def test_without_scripts_and_on_paper_there_is_a_figure_of_everything(opened):
    seen = """return Object.fromEntries([...document.querySelectorAll('.play')].map(section => [section.id,
        [...section.querySelectorAll('.still, .plot, .panel')].filter(e => e.checkVisibility())
        .map(e => e.classList[0])]))"""
    opened.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened.reload(scripts=False)
        opened.devtools("Emulation.setScriptExecutionDisabled", value=False)
        assert opened.run(seen) == {name: ["still"] for name in NAMES}
        assert opened.run("return document.querySelector('noscript').textContent").strip()
    finally:
        opened.devtools("Emulation.setScriptExecutionDisabled", value=False)
    opened.reload()
    opened.run("dispatchEvent(new Event('beforeprint'))")
    opened.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        shown = opened.run(seen)
    finally:
        opened.devtools("Emulation.setEmulatedMedia", media="")
    assert all(set(kinds) == {"plot"} for kinds in shown.values())


@needs_browser
def test_an_address_with_anything_in_it_is_read_as_far_as_it_makes_sense(opened):
    opened.run(
        "Play.restore('#optimizers:lr=soon&beta1=7&step=2.6&landscape=moon&adam=perhaps&x=%&nothing=1&y=')"
    )
    state = opened.run("return Play.widgets.get('optimizers').state")
    kept = {name: state[name] for name in ("lr", "beta1", "step", "landscape", "adam", "x", "y")}
    assert kept == {
        "lr": 0.025, "beta1": 0.99, "step": 3, "landscape": "ravine", "adam": True, "x": -3.5, "y": 1,
    }  # fmt: skip
    opened.run("Play.restore('#no-such-widget:lr=1')")


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_every_slider_at_its_end_is_drawn(opened, name):
    """What diverges there is said to, and nothing is drawn where no number leads."""
    found = opened.run(
        """const widget = Play.widgets.get(arguments[0]), ends = [];
        const choices = widget.controls.filter(c => c.kind === "choice");
        const other = choices.flatMap(c => c.options.map(([option]) => ({ [c.name]: option })));
        for (const end of ["min", "max"]) for (const choice of [{}, ...other]) {
            const ranges = widget.controls.filter(c => c.kind === "range").map(c => [c.name, c[end]]);
            widget.ui.set({ ...choice, ...Object.fromEntries(ranges) });
            const drawn = [...widget.stage.querySelectorAll("svg *")].filter(part =>
                [...part.attributes].some(({ value }) => /NaN|Infinity|undefined/.test(value)));
            const said = [...widget.section.querySelectorAll(".tables .scroll")].filter(table =>
                table.innerText.includes("NaN") && !table.innerText.includes("diverged"));
            ends.push([end, choice, drawn.length, said.length]);
        }
        return ends""",
        name,
    )
    assert [each for each in found if each[2] or each[3]] == []
    assert opened.log("browser") == []


@needs_browser
@pytest.mark.parametrize("width", [1440, 1000, 400])
def test_the_matrices_stay_in_their_cards(opened, width):
    opened.resize(width, 900)
    for state in ({}, {"mistake": "mean"}, {"mistake": "slope", "activation": "sigmoid"}):
        go(opened, "backward", **state)
        wider = opened.run(
            """const right = part => part.getBoundingClientRect().right;
            return [...document.querySelectorAll('#backward .card')].filter(card =>
                [...card.children].some(part => right(part) > right(card) - 4)).length"""
        )
        assert wider == 0, state


# Networks on two rings, in `start` and `regularization`


TRAINED = """
    const [x, targets] = Network.rings(arguments[0], arguments[1], arguments[2]);
    const network = new Network(arguments[3], new TorchStream(arguments[4]), arguments[5]);
    const options = { lr: arguments[7], beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0 };
    return network.train(x, targets, arguments[8], arguments[6], options).map(
        ({ parameters, cost }) => [[...parameters], cost])"""
NETWORKS = {
    "He, relu": ({"activation": "relu", "init": "kaiming_normal"}, "sgd", 0.1),
    "He, tanh, L2": ({"activation": "tanh", "init": "kaiming_normal", "l2": 0.7}, "momentum", 0.02),
    "Xavier, sigmoid": ({"activation": "sigmoid", "init": "xavier_normal"}, "adam", 0.02),
    "large, dropout": ({"activation": "relu", "init": "large_random", "dropout": 0.4}, "adam", 0.01),
    "zeros": ({"activation": "tanh", "init": "zeros"}, "sgd", 0.1),
}
OPTIMIZERS = {
    "sgd": lambda params, lr: SGD(params, lr),
    "momentum": lambda params, lr: SGD(params, lr, momentum=0.9),
    "adam": lambda params, lr: Adam(params, lr),
}


@needs_browser
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_as_that_of_scratch(opened, name):
    """Every step from the same parameters, as in lockstep; and the way of the whole run."""
    options, rule, lr = NETWORKS[name]
    widths = (2, 7, 16, 5, 1)
    found = opened.run(TRAINED, 30, 0.2, 5, widths, 11, options, rule, lr, 12)
    network, (x, targets) = network_on_rings(widths, 11, **options), rings(30, 0.2, 5)
    optimizer = OPTIMIZERS[rule](network.parameters(), lr)
    for parameters, cost in found:
        np.testing.assert_allclose(parameters, network.flat_parameters, rtol=1e-12, atol=1e-12)
        network.flat_parameters[...] = parameters
        assert train_step(network, optimizer, x, targets) == pytest.approx(cost, rel=1e-12)


@needs_browser
def test_start_shows_the_layers_of_scratch(opened):
    go(opened, "start", init="yours", std=0.5, activation="tanh", depth=3, width=9, seed=4, step=6, lr=0.05)
    network = network_on_rings((2, 9, 9, 9, 1), 4, activation="tanh", init="large_random")
    for name, array in network.named_parameters():
        if name.endswith("weight"):
            array *= 0.05
    x, targets = rings(80, 0.08, 1)
    optimizer = SGD(network.parameters(), 0.05)
    for _ in range(7):
        before = network.flat_parameters.copy()
        cost = train_step(network, optimizer, x, targets)
    network.flat_parameters[...] = before
    logits = network.forward(x)
    network.cost(logits, targets)
    network.backward()
    found = tables(opened, "start")
    activations, values = [], x
    for name, layer in network.layers.items():
        values = layer.forward(values)
        if not name.startswith("linear") or name == "linear4":
            activations.append(values.std())
    gradients = [
        array.std()
        for name, array in network.named(network.flat_gradients).items()
        if name.endswith("weight")
    ]
    rows = [*found["Layers at step 6"].values()]
    np.testing.assert_allclose(rows, np.stack([activations, gradients], axis=1), rtol=1e-12)
    wanted = [[cost], [((logits > 0) == targets).mean()], [before[0]], [before[-1]]]
    np.testing.assert_allclose([*found["Training at step 6"].values()], wanted, rtol=1e-12)


@needs_browser
@pytest.mark.parametrize("name", ["start", "regularization"])
def test_the_two_regions_differ_in_more_than_their_colour(opened, name):
    go(opened, name, lr=0.1, seed=7, step=150)
    outside, inside = opened.run(
        """const plot = Play.widgets.get(arguments[0]).ui.boundary, found = [0, 0];
        const region = new Path2D(plot.querySelector('.region.c2').getAttribute('d'));
        const context = new OffscreenCanvas(1, 1).getContext('2d');
        for (const line of plot.querySelectorAll('.stripe:not([d=""])'))
            for (let at = 0; at <= line.getTotalLength(); at += 3) {
                const { x, y } = line.getPointAtLength(at);
                found[Number(context.isPointInPath(region, x, y))]++;
            }
        return found""",
        name,
    )
    assert inside > 100
    assert inside > 10 * outside  # a stripe may end half a cell beside its region


@needs_browser
def test_regularization_shows_the_costs_of_scratch(opened):
    go(opened, "regularization", l2=0.5, dropout=0.25, width=12, noise=0.3, lr=0.01, seed=3, step=4)
    network = network_on_rings((2, 12, 12, 1), 3, l2=0.5, dropout=0.25)
    (x, targets), (x_test, targets_test) = rings(40, 0.3, 1), rings(100, 0.3, 2)
    optimizer = Adam(network.parameters(), lr=0.01)
    for _ in range(4):
        train_step(network, optimizer, x, targets)
    network.eval().l2 = 0.0
    costs = [network.cost(network.forward(a), b) for a, b in ((x, targets), (x_test, targets_test))]
    right = accuracy(network, x_test, targets_test)
    network.train().l2 = 0.5
    cost = network.cost(network.forward(x), targets)
    squares = sum((array**2).sum() for name, array in network.named_parameters() if "weight" in name)
    found = tables(opened, "regularization")
    wanted = [[*costs, right, cost, squares]]
    np.testing.assert_allclose([np.ravel([*found["Step 4"].values()])], wanted, rtol=1e-12)
    kept = int((network.layers["dropout1"].cache > 0).sum())
    assert found["The whole run"]["kept of the mask"] == [kept]


@needs_browser
def test_early_stopping_is_that_of_scratch(opened):
    go(opened, "regularization", patience=20)
    network, (x, targets) = network_on_rings((2, 24, 24, 1), 0), rings(40, 0.25, 1)
    optimizer, stopping = Adam(network.parameters(), lr=0.02), EarlyStopping(20)
    x_test, targets_test = rings(100, 0.25, 2)
    while not stopping.step(network.cost(network.forward(x_test), targets_test), network):
        train_step(network, optimizer, x, targets)
    found = tables(opened, "regularization")["The whole run"]
    assert found["in step"] == [stopping.best_epoch]
    assert found["early stopping ends at"] == [stopping.epoch - 1]
    assert found["best validation cost"][0] == pytest.approx(stopping.best, rel=1e-9)  # a long way
    assert f"Step {stopping.best_epoch}" in tables(opened, "regularization")


# Schedules

ALL_SCHEDULES = {
    "inverse time": (schedules.inverse_time, {"decay_rate": 0.3}),
    "fixed interval": (schedules.fixed_interval, {"decay_rate": 0.3, "interval": 4}),
    "exponential": (schedules.exponential, {"gamma": 0.93}),
    "inverse square root": (schedules.inverse_sqrt, {"k": 0.7}),
    "staircase": (schedules.staircase, {"step_size": 4, "gamma": 0.6}),
    "milestones": (schedules.milestones, {"milestones": [3, 8], "gamma": 0.6}),
    "cosine with warm-up": (
        schedules.cosine_with_warmup, {"warmup_epochs": 6, "total_epochs": 24, "lr_min": 0.002},
    ),
    "cosine with restarts": (schedules.cosine_with_restarts, {"T_0": 3, "T_mult": 2, "eta_min": 0.002}),
    "one cycle": (
        schedules.one_cycle,
        {"total_steps": 24, "pct_start": 0.4, "div_factor": 7, "final_div_factor": 30},
    ),
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("per", ["epoch", "step"])
def test_schedules_are_those_of_scratch(opened, per):
    names = ("inverse_time", "fixed_interval", "exponential", "inverse_sqrt", "staircase", "milestones",
             "cosine_with_warmup", "cosine_with_restarts", "one_cycle")  # fmt: skip
    state = {"lr": 0.03, "total": 24, "steps": 3, "per": per, "decay_rate": 0.3, "interval": 4, "gamma": 0.93,
             "k": 0.7, "gamma_step": 0.6, "first": 3, "second": 8, "warmup": 6, "lr_min": 0.002, "T_0": 3,
             "T_mult": 2, "pct_start": 0.4, "div_factor": 7, "final_div_factor": 30}  # fmt: skip
    go(opened, "schedules", **state, **dict.fromkeys(names, True))
    factor = 1 if per == "epoch" else 3
    for epoch in range(24):
        set_field(opened, "schedules", "epoch", epoch)
        found = tables(opened, "schedules")[f"Rates from epoch {epoch} on"]
        assert found.keys() == ALL_SCHEDULES.keys()
        for name, (schedule, options) in ALL_SCHEDULES.items():
            totals = {key: 24 * factor for key in ("total_epochs", "total_steps") if key in options}
            epochs = (epoch * factor, min(epoch + 1, 23) * factor, 24 * factor - 1)
            wanted = [schedule(0.03, e, **options | totals) for e in epochs]
            np.testing.assert_allclose(found[name], wanted, rtol=1e-12, err_msg=f"{name} {epoch}")


@needs_browser
@pytest.mark.parametrize("per", ["epoch", "step"])
def test_one_network_costs_what_scratch_s_does_under_each_schedule(opened, per):
    go(opened, "schedules", lr=0.05, total=10, steps=3, per=per, exponential=True, milestones=True, gamma=0.9,
       gamma_step=0.5, first=4, second=7, epoch=5)  # fmt: skip
    found = tables(opened, "schedules")["Cost before epoch 5, and at the end"]
    x, targets = (array[37 * np.arange(80) % 80] for array in rings(80, 0.2, 1))
    rules = {
        "exponential": lambda t: schedules.exponential(0.05, t, gamma=0.9),
        "milestones": lambda t: schedules.milestones(0.05, t, milestones=[4, 7], gamma=0.5),
    }
    for name, rate in rules.items():
        network = network_on_rings((2, 12, 1), 0)
        optimizer, costs = SGD(network.parameters(), lr=0.05, momentum=0.9), []
        for epoch in range(10):
            costs.append(network.cost(network.forward(x), targets))
            for step, batch in enumerate((slice(0, 26), slice(26, 53), slice(53, 80))):
                optimizer.lr = rate(epoch if per == "epoch" else 3 * epoch + step)
                train_step(network, optimizer, x[batch], targets[batch])
        costs.append(network.cost(network.forward(x), targets))
        assert found[name] == pytest.approx([costs[5], costs[-1]], rel=1e-10)  # thirty steps


# One seed


@needs_browser
def test_a_hundred_seeds_give_the_bits_of_scratch(opened):
    seeds = [*range(40), *(7919**3 * k % 2**64 for k in range(40)), *(-(3**k) for k in range(20))]
    sizes = [1, 15, 16, 20, 64, 700]
    found = opened.run(
        """return arguments[0].map(seed => {
            const stream = new TorchStream(BigInt(seed));
            const [mask, wide] = [stream.dropoutMask(50, 0.3), [20, 7].map(n => [...stream.normal(n)])];
            return [...arguments[1].map(n => [...stream.randn(n)]), [...mask], ...wide];
        })""",
        [str(seed) for seed in seeds],
        sizes,
    )
    for seed, numbers in zip(seeds, found, strict=True):
        generator = TorchGenerator(seed, variant="avx")
        *floats, mask, blocks, pairs = numbers
        assert np.array_equal(mask, generator.dropout_mask(np.empty(50), 0.3))
        np.testing.assert_allclose(blocks, generator.randn(20, np.float64), rtol=1e-12)
        np.testing.assert_allclose(pairs, generator.randn(7, np.float64), rtol=1e-12)
        for n, drawn in zip(sizes, floats, strict=True):
            assert np.array_equal(np.array(drawn), generator.randn(n).astype(np.float64)), (seed, n)


@needs_browser
@pytest.mark.parametrize(("seed", "n"), [(42, 64), (-7, 20), (2**64 - 1, 37), (3, 15), (0, 1)])
def test_numbers_shown_and_their_making_are_those_of_scratch(opened, seed, n):
    wanted = TorchGenerator(seed, variant="avx").randn(n)
    words = TorchGenerator(seed, variant="avx").random(2 * n + 40)
    go(opened, "seed", seed=seed, n=n)
    for i in sorted({0, n // 2, n - 1}):
        set_field(opened, "seed", "index", i)
        ((caption, rows),) = tables(opened, "seed").items()
        first, last = map(int, re.findall(r"\d+", caption)[-2:])
        numbers = np.array([x for row in rows.values() for x in row if x != ""])
        assert np.array_equal(numbers, wanted[first : last + 1].astype(np.float64))
        made = dict(
            opened.run("""return [...document.querySelectorAll('#seed .making tr')].map(row =>
                [row.cells[0].textContent, row.cells[1].textContent.replaceAll(' ', '')])""")
        )
        assert made["z in float32"] == format(wanted[i].view(np.uint32), "032b")
        for name, bits in made.items():
            if name.startswith("word"):
                places = [int(place) for place in re.findall(r"\d+", name)]
                assert bits == "".join(format(words[place], "032b") for place in places)


@needs_browser
@pytest.mark.parametrize("width", [400, 1400])
def test_circles_are_round_and_the_numbers_fit(opened, width):
    opened.resize(width, 844)
    circles = """return [...document.querySelectorAll('#seed .contour')].map(circle => {
        const { width, height } = circle.getBoundingClientRect();
        return width / height;
    })"""
    for state in ({"seed": 42}, {"seed": -7, "n": 15, "index": 9}, {"seed": 2**64 - 1, "n": 1000}):
        go(opened, "seed", **state)
        ratios = opened.run(circles)
        assert len(ratios) == 3
        assert ratios == pytest.approx([1, 1, 1], rel=0.02)
        sideways = opened.run("""const tables = document.querySelectorAll('#seed .scroll');
            return [document.documentElement, ...tables].map(box => box.scrollWidth - box.clientWidth)""")
        assert set(sideways) == {0}, state


def test_what_the_page_says_of_short_and_uneven_draws():
    def drawn(n):
        return TorchGenerator(42, variant="avx").randn(n)

    assert not set(drawn(15).tolist()) & set(drawn(16)[:15].tolist())
    assert np.array_equal(drawn(20)[:4], drawn(32)[:4])
    assert not (drawn(20)[4:] == drawn(32)[4:20]).any()
    assert np.array_equal(drawn(64), TorchGenerator(42 + 2**32, variant="avx").randn(64))


@needs_browser
def test_a_seed_that_is_none_is_marked_and_changes_nothing(opened):
    go(opened, "seed")
    before = tables(opened, "seed")
    field = "document.getElementById('seed-seed')"
    for text in ("forty-two", str(2**64), "1.5", ""):
        opened.run(f"{field}.value = arguments[0]; {field}.dispatchEvent(new Event('input'))", text)
        assert opened.run(f"return {field}.ariaInvalid") == "true"
        assert tables(opened, "seed") == before
    opened.run(f"{field}.value = '43'; {field}.dispatchEvent(new Event('input'))")
    assert opened.run("return location.hash") == "#seed:seed=43"
    assert tables(opened, "seed") != before


# Batch normalisation


@needs_browser
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("m", [2, 8, 20])
def test_batch_norm_is_that_of_scratch(opened, mode, m):
    go(opened, "batch_norm", mode=mode, m=m, push=-1.5, stretch=0.7, gamma=1.3, beta=-0.4, momentum=0.3,
       eps=0.01, seed=5)  # fmt: skip
    layer, generator = BatchNorm1d(1, eps=0.01, momentum=0.3, dtype=np.float64), TorchGenerator(5)
    layer.parameters["weight"][:], layer.parameters["bias"][:] = 1.3, -0.4
    for step in range(1, 8):
        x = -1.5 + 0.7 * generator.normal((m, 1), dtype=np.float64)
        layer.training = True
        y = layer.forward(x)
        running = layer.buffers["running_mean"][0], layer.buffers["running_var"][0]
        if mode == "eval":
            layer.training = False
            y = layer.forward(x)
        set_field(opened, "batch_norm", "step", step)
        found = tables(opened, "batch_norm")
        statistics = found[f"Statistics in step {step}"]
        wanted = {
            "of the batch (biased)": (x.mean(), x.var()),
            "of the batch, unbiased": (x.mean(), x.var(ddof=1)),
            "running": running,
            "used here": running if mode == "eval" else (x.mean(), x.var()),
            "of y": (y.mean(), y.var()),
        }
        for name, values in wanted.items():
            np.testing.assert_allclose(statistics[name], values, rtol=1e-12, atol=1e-14, err_msg=name)
        x_hat = (y - -0.4) / 1.3
        rows = np.concatenate([x, x_hat, y], axis=1)[:8]
        np.testing.assert_allclose([*found["The first examples"].values()], rows, rtol=1e-12, atol=1e-14)


# Gradient check

FUNCTIONS = {
    "cube": (lambda x: x * x * x, lambda x: 3 * (x * x)),
    "bell": (lambda x: 1 / (1 + x * x), lambda x: -2 * x / ((1 + x * x) * (1 + x * x))),
    "root": (lambda x: np.sqrt(1 + x * x), lambda x: x / np.sqrt(1 + x * x)),
    "relu": (lambda x: np.maximum(0, x), lambda x: np.where(x > 0, 1.0, 0.0)),
}


@needs_browser
@pytest.mark.parametrize("name", FUNCTIONS)
def test_quotients_are_those_of_scratch_to_the_bit(opened, name):
    function, slope = FUNCTIONS[name]
    for x, eps, wrong in [(0.7, 1e-6, 0), (-1.23, 3e-9, 0.01), (2.9, 1e-16, 0), (0.01, 0.1, 0)]:
        go(opened, "gradient_check", of=name, x=x, eps=eps, wrong=wrong)
        found = tables(opened, "gradient_check")
        at, gradient = np.array([x]), slope(np.array([x])) * (1 + wrong)
        two = numerical_gradient(lambda x: function(x)[0], at.copy(), eps)
        one = (function(at + eps) - function(at)) / eps
        narrow, e = at.astype(np.float32), np.float32(eps)
        single = (function(narrow + e) - function(narrow - e)) / (2 * e)
        (values,) = [rows for caption, rows in found.items() if caption.startswith("At ε")]
        for row, quotient in zip(values.values(), (two, one, single), strict=True):
            quotient = quotient.astype(np.float64)
            assert row[0] == quotient[0]
            assert row[1] == pytest.approx(relative_error(gradient, quotient), rel=1e-12)
        verdict = relative_error(gradient, two)
        words = "✓ passes" if verdict < PASSES else "✗ wrong" if verdict > 1e-5 else "neither"
        assert found["What is checked"]["the check"] == [words]


# Backward

PARAMETERS = {
    "w11": 0.4, "w12": -1.1, "w21": 0.9, "w22": 0.3, "b11": 0.2, "b12": -0.3, "v1": -0.7, "v2": 1.2,
    "c": 0.15,
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_every_step_backward_is_that_of_scratch(opened, activation):
    x = {"x11": 0.5, "x12": 1.5, "x21": -0.8, "x22": 0.6}
    go(opened, "backward", activation=activation, y1=0, y2=1, **x, **PARAMETERS)
    network = network_on_rings((2, 2, 1), 0, activation=activation)
    network.flat_parameters[...] = [*PARAMETERS.values()]
    values = np.array([*x.values()]).reshape(2, 2)
    made = []
    for layer in network.layers.values():
        values = layer.forward(values)
        made.append(values)
    cost = network.cost(network.forward(np.array([*x.values()]).reshape(2, 2)), np.array([[0.0], [1.0]]))
    network.backward()
    gradients = network.named(network.flat_gradients)
    dz2 = network._loss_backward(1.0, network._loss_cache)
    da1 = network.layers["linear2"].backward(dz2)
    dz1 = network.layers[f"{activation}1"].backward(da1)
    layers = [gradients[f"linear{i}.{kind}"] for i in (2, 1) for kind in ("weight", "bias")]
    wanted = [
        *made,
        np.array([[cost]]),
        dz2,
        layers[0],
        layers[1][None],
        da1,
        dz1,
        layers[2],
        layers[3][None],
    ]
    for step, values in enumerate(wanted, start=1):
        set_field(opened, "backward", "step", step)
        (rows,) = [t for caption, t in tables(opened, "backward").items() if f"Step {step} of 11" in caption]
        np.testing.assert_allclose([*rows.values()], values, rtol=1e-12, atol=1e-15)
    checked = tables(opened, "backward")["The gradients against the difference quotient"]
    assert all(mark == "✓" for *_, mark in checked.values())
    assert len(checked) == 9


@needs_browser
@pytest.mark.parametrize(
    ("mistake", "wrong"),
    [
        ("none", set()),
        ("mean", {"dW₁", "db₁", "dW₂", "db₂"}),
        ("twice", {"dW₁", "db₁", "dW₂", "db₂"}),
        ("slope", {"dW₁", "db₁"}),
        ("bias", {"db₁", "db₂"}),
        ("transposed", {"dW₁"}),
        ("early", {"dW₁", "db₁"}),
    ],
)
def test_a_mistake_is_seen_where_it_is_and_behind_it(opened, mistake, wrong):
    go(opened, "backward", mistake=mistake)
    checked = tables(opened, "backward")["The gradients against the difference quotient"]
    found = {name.partition(",")[0] for name, (*_, mark) in checked.items() if mark == "✗ wrong"}
    assert found == wrong


@needs_browser
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_the_line_of_scratch_that_computes_a_step_is_marked(opened, activation):
    marked = []
    for step in range(1, 12):
        go(opened, "backward", activation=activation, step=step)
        lines = opened.run("""return [...document.querySelectorAll('#backward [aria-current]')]
            .map(row => [row.cells[0].innerText, row.cells[1].innerText])""")
        assert len(lines) == 1
        (place, code), = lines  # fmt: skip
        path, _, number = place.partition(":")
        source = (Path(__file__).parent.parent / path).read_text(encoding="utf-8").splitlines()
        assert source[int(number) - 1].strip().startswith(code)
        marked.append(path)
    wanted = ["linear", "activations", "linear", "losses", "losses", *["linear"] * 3, "activations"]
    assert marked == [f"scratch/{name}.py" for name in [*wanted, "linear", "linear"]]


# Floating point


def _pairwise(terms):
    if len(terms) < 2:
        return terms[0]
    middle = len(terms) // 2
    return _pairwise(terms[:middle]) + _pairwise(terms[middle:])


def _kahan(terms):
    total = lost = terms.dtype.type(0)
    for term in terms:
        y = term - lost
        following = total + y
        lost = (following - total) - y
        total = following
    return total


def _running(terms):
    total = terms.dtype.type(0)
    for term in terms:
        total = total + term
    return total


@needs_browser
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("terms", ["large", "tenths", "squares", "alternating"])
def test_sums_are_those_of_numpy_to_the_bit(opened, dtype, terms):
    n = 777
    k = np.arange(1, n + 1).astype(dtype)
    one = dtype(1)
    numbers = {
        "large": np.array([2**24] + [1] * (n - 1), dtype),
        "tenths": np.full(n, 0.1, dtype),
        "squares": one / (k * k),
        "alternating": np.where(np.arange(n) % 2, -one, one) / k,
    }[terms]
    go(opened, "floating_point", dtype=np.dtype(dtype).name, terms=terms, n=n)
    found = tables(opened, "floating_point")[f"The sum of {n} terms in {np.dtype(dtype).name}"]
    sums = [_running(numbers), _running(numbers[::-1]), _pairwise(numbers), _kahan(numbers)]
    exact = math.fsum(numbers.tolist())
    unit = abs(np.nextafter(dtype(exact), dtype(np.inf)) - dtype(exact))
    for row, total in zip(found.values(), sums, strict=True):
        assert row[0] == float(total)
        assert row[1] == pytest.approx(
            (float(total) - exact) / float(unit), abs=1.01 if dtype is np.float64 else 1e-6
        )


@needs_browser
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", ["0.1", "-3", "16777216", "1e-40", "0", "65504.5"])
def test_numbers_have_the_bits_and_neighbours_of_numpy(opened, dtype, text):
    name = np.dtype(dtype).name
    go(opened, "floating_point", dtype=name, x=text)
    found = tables(opened, "floating_point")[f"{text} in {name}"]
    x = dtype(text)
    bits = format(x.view(f"u{x.itemsize}"), f"0{8 * x.itemsize}b")
    exponent = 8 if dtype is np.float32 else 11
    following = np.nextafter(x, dtype(-np.inf if text.startswith("-") else np.inf))
    assert found["stored"] == [float(x)]
    assert found["the next number"] == [float(following)]
    assert found["rounding unit"] == [abs(float(following) - float(x))]
    shown = opened.run("""return [...document.querySelector('#floating_point .tables table').rows]
        .map(row => row.cells[1]?.textContent)""")
    assert shown[-3:] == [bits[0], bits[1 : 1 + exponent], bits[1 + exponent :]]


# Optimizers


def _beale(x, y):
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y
    slope = [
        2 * a * (y - 1) + 2 * b * (y * y - 1) + 2 * c * (y * y * y - 1),
        2 * a * x + 4 * b * x * y + 6 * c * x * y * y,
    ]
    return a * a + b * b + c * c, slope


LANDSCAPES = {
    "bowl": lambda x, y: ((x**2 + y**2) / 2, [x, y]),
    "ravine": lambda x, y: ((x**2 + 50 * y**2) / 2, [x, 50 * y]),
    "rosenbrock": lambda x, y: (
        (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)],
    ),
    "beale": _beale,
}
RACERS = {
    "sgd": "Gradient descent",
    "momentum": "Momentum",
    "nesterov": "Nesterov",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
}
SETTINGS = {
    "as it starts": {"lr": 0.02, "lr_adaptive": 0.05},
    "others": {"lr": 0.003, "lr_adaptive": 0.02, "beta1": 0.4, "beta2": 0.93, "alpha": 0.7, "eps": 0.01,
               "decay": 0.1, "x": 0.7, "y": 0.4},
    "textbook's momentum, no correction": {"lr": 0.01, "lr_adaptive": 0.03, "form": "average",
                                           "correction": False},
}  # fmt: skip


def descended(rule: str, landscape: str, steps: list[int], state: dict) -> list[dict[str, np.ndarray]]:
    """Where a rule of `scratch/` comes to after each number of steps, and its buffers."""
    given = {"lr": 0.02, "lr_adaptive": 0.1, "beta1": 0.9, "beta2": 0.999, "alpha": 0.99, "eps": 1e-8,
             "decay": 0.0, "x": -3.5, "y": 1.0, "form": "sum", "correction": True} | state  # fmt: skip
    theta, m, v = np.array([given["x"], given["y"]], float), np.zeros(2), np.zeros(2)
    lr, mu, decay = given["lr"], given["beta1"], given["decay"]
    adam = {
        "lr": given["lr_adaptive"],
        "betas": (mu, given["beta2"]),
        "eps": given["eps"],
        "weight_decay": decay,
    }
    found = []
    for t in range(1, max(steps) + 1):
        grad = np.array(LANDSCAPES[landscape](*theta)[1])
        late = t if given["correction"] else 10**9  # 1 − βᵗ is 1 there
        if rule == "sgd":
            sgd_step(theta, grad, lr=lr, weight_decay=decay)
        elif rule == "momentum" and given["form"] == "average":
            momentum_step(theta, grad + decay * theta, m, lr=lr, beta=mu)
        elif rule == "momentum":
            sgd_momentum_step(theta, grad, m, step=t, lr=lr, momentum=mu, weight_decay=decay)
        elif rule == "nesterov":
            nesterov_step(theta, grad, m, step=t, lr=lr, momentum=mu, weight_decay=decay)
        elif rule == "rmsprop":
            options = {"alpha": given["alpha"], "eps": given["eps"], "weight_decay": decay}
            rmsprop_step(theta, grad, v, lr=given["lr_adaptive"], **options)
        elif rule == "adam":
            adam_step(theta, grad, m, v, step=late, **adam)
        else:
            adamw_step(theta, grad, m, v, step=late, **adam)
        if t in steps:
            found.append({"theta": theta.copy(), "grad": grad, "m": m.copy(), "v": v.copy()})
    return found


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_slopes_are_those_of_the_landscapes(landscape):
    at = np.array([0.7, -1.3])
    function = LANDSCAPES[landscape]
    assert gradient_check(lambda x: function(*x)[0], at, np.array(function(*at)[1])) < PASSES


@needs_browser
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_optimizers_go_where_those_of_scratch_go(opened, landscape, setting):
    start = {"x": 1.0, "y": 1.5} if landscape == "beale" else {"x": -1.2, "y": 1.0}
    state = start | SETTINGS[setting]
    if landscape in ("rosenbrock", "beale"):
        state = state | {"lr": state["lr"] / 40}
    go(opened, "optimizers", landscape=landscape, adamw=True, **state)
    steps = [1, 2, 7, 60, 300]
    wanted = {rule: descended(rule, landscape, steps, state) for rule in RACERS}
    for i, step in enumerate(steps):
        set_field(opened, "optimizers", "step", step)
        found = tables(opened, "optimizers")[f"After step {step}"]
        assert [*found] == [*RACERS.values()]
        for rule, label in RACERS.items():
            theta = wanted[rule][i]["theta"]
            assert np.isfinite(theta).all()
            values = [*theta, LANDSCAPES[landscape](*theta)[0]]
            np.testing.assert_allclose(found[label], values, rtol=1e-12, atol=1e-14, err_msg=f"{rule} {step}")


@needs_browser
@pytest.mark.parametrize("rule", RACERS)
def test_numbers_of_a_step_are_those_of_scratch(opened, rule):
    go(opened, "optimizers", adamw=True, shown=rule, step=5, decay=0.1)
    found = tables(opened, "optimizers")[f"Step 5 of {RACERS[rule]}"]
    (wanted,) = descended(rule, "ravine", [5], {"decay": 0.1, "lr": 0.025})
    rows = {"gradient g": wanted["grad"], "θ after the step": wanted["theta"]}
    if rule.startswith("adam"):
        rows |= {"m": wanted["m"], "v": wanted["v"]}
        rows["m̂, as used"] = wanted["m"] / (1 - 0.9**5)
        rows["√v̂, as used"] = np.sqrt(wanted["v"] / (1 - 0.999**5))
    elif rule == "rmsprop":
        rows |= {"v": wanted["v"], "√v": np.sqrt(wanted["v"])}
    elif rule != "sgd":
        rows["buffer"] = wanted["m"]
    assert found.keys() == rows.keys()
    for name, values in rows.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)


# By keyboard


TABBED = """
    const [name] = arguments, widget = document.querySelector(`#${name} .widget`);
    const all = 'a[href], input, select, button, summary, [tabindex="0"]';
    window.controls = [...widget.querySelectorAll(all)].filter(control => control.checkVisibility());
    window.reached = [];
    addEventListener('focusin', ({ target }) => {
        if (target === widget) return;  // from where Tab sets out, perhaps told only now
        const { outlineStyle, outlineWidth } = getComputedStyle(target);
        const ring = target.matches('.handle') && getComputedStyle(target.nextSibling).strokeWidth === '5px';
        const seen = outlineStyle === 'solid' && parseFloat(outlineWidth) > 1 || ring;
        reached.push([controls.indexOf(target), seen, target.outerHTML.slice(0, 80)]);
    });
    widget.tabIndex = -1;
    widget.focus();
    return controls.length"""
CONTROLS = """
    const widget = Play.widgets.get(arguments[0]);
    return widget.controls.map(({ kind, name, min, max, value, options }) =>
        [kind, name, value, kind === 'range' ? value < max : options?.at(-1)[0] !== value])"""


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_tab_leads_through_every_control_and_on(opened, name):
    go(opened, name)
    opened.run("document.querySelectorAll('.widget details').forEach(more => { more.open = true; })")
    count = opened.run(TABBED, name)
    opened.type(KEYS["Tab"] * (count + 1))
    *reached, (outside, *_) = opened.run("return reached")
    assert [i for i, *_ in reached] == [*range(count)]
    assert outside == -1
    assert [html for _, seen, html in reached if not seen] == []


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_keys_change_every_control_and_change_it_back(opened, name):
    go(opened, name)
    opened.run("document.querySelectorAll('.widget details').forEach(more => { more.open = true; })")
    state = f"return Play.widgets.get('{name}').state"
    start, shown = opened.run(state), tables(opened, name)
    for kind, control, value, upward in opened.run(CONTROLS, name):
        field = f"document.getElementById('{name}-{control}')"
        opened.run(f"{field}.focus()")
        if kind == "range":
            opened.press("ArrowRight" if upward else "ArrowLeft")
            moved = opened.run(state)[control]
            assert moved > value if upward else moved < value, control
            change = {control: moved}
        elif kind == "check":
            opened.press("Space")
            change = {control: not value}
        elif kind == "choice":
            opened.press("ArrowDown" if upward else "ArrowUp")
            change = {control: opened.run(state)[control]}
            assert change[control] != value, control
        else:
            opened.run(f"{field}.select()")
            opened.type("7")
            change = {control: "7"}
        assert opened.run(state).items() >= change.items(), control
        if kind == "range":
            opened.run(f"const number = {field}.nextSibling; number.focus(); number.select()")
            opened.type(f"{value}")
            opened.press("Enter")
        elif kind == "check":
            opened.press("Space")
        elif kind == "choice":
            opened.press("ArrowUp" if upward else "ArrowDown")
        else:
            opened.run(f"{field}.select()")
            opened.type(value)
        assert opened.run(state) == start, control
    assert tables(opened, name) == shown


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_enter_and_space_press_every_button(opened, name):
    go(opened, name)
    buttons = f"document.querySelectorAll('#{name} .presets button')"
    addresses = []
    for i in range(opened.run(f"return {buttons}.length")):
        key = ("Enter", "Space")[i % 2]
        for button in (f"{buttons}[{i}]", f"document.querySelector('#{name} .reset')"):
            opened.run(f"history.replaceState(null, '', '#'); {button}.focus()")
            opened.press(key)
            addresses.append(opened.run("return location.hash"))
    assert {*addresses[1::2]} == {f"#{name}"}
    assert all(address.startswith(f"#{name}") for address in addresses)
    assert len({*addresses[::2]}) == len(addresses) // 2
    if name in PLAYED:
        opened.run(
            """const button = document.querySelector(arguments[0]);
            window.labels = [];
            for (const before of [true, false])
                button.addEventListener("click", () => labels.push(button.textContent), before);
            button.focus()""",
            f"#{name} .wide button",
        )
        opened.press("Enter")
        assert opened.run("return labels") == ["Play", "Stop"]
        opened.press("Space")  # it may be at its end by now
        assert opened.run("return labels")[2:] in (["Stop", "Play"], ["Play", "Stop"])


@needs_browser
def test_the_start_moves_by_arrow_keys(opened):
    go(opened, "optimizers")
    opened.run("document.querySelector('#optimizers .handle').focus()")
    for key, where in {"ArrowRight": (-3.4, 1), "ArrowDown": (-3.4, 0.9), "ArrowLeft": (-3.5, 0.9),
                       "ArrowUp": (-3.5, 1)}.items():  # fmt: skip
        opened.press(key)
        assert opened.run("const { x, y } = Play.widgets.get('optimizers').state; return [x, y]") == [*where]
        wanted = descended("sgd", "ravine", [40], {"lr": 0.025, "x": where[0], "y": where[1]})[0]["theta"]
        found = tables(opened, "optimizers")["After step 40"]["Gradient descent"]
        np.testing.assert_allclose(found[:2], wanted, rtol=1e-12, atol=1e-14)


def _one_step():
    network, (x, targets) = network_on_rings((2, 12, 12, 12, 12, 1), 0, activation="relu"), rings(80, 0.08, 1)
    train_step(network, SGD(network.parameters(), 0.1), x, targets)
    return [network.cost(network.forward(x), targets)]


def _untrained():
    x, targets = rings(40, 0.25, 1)
    network = network_on_rings((2, 24, 24, 1), 0)
    return [network.cost(network.forward(x), targets)]


def _pushed():
    layer = BatchNorm1d(1, dtype=np.float64)
    layer.forward(2.05 + 1.5 * TorchGenerator(0).normal((8, 1), dtype=np.float64))
    return [layer.buffers["running_mean"][0], layer.buffers["running_var"][0]]


def _by_sigmoid():
    network = network_on_rings((2, 2, 1), 0, activation="sigmoid")
    network.flat_parameters[...] = [0.5, -0.3, 0.8, 0.2, 0.1, -0.1, 0.7, -0.6, 0.2]
    network.cost(network.forward(np.array([[1, -0.5], [0.3, 0.8]])), np.array([[1.0], [0.0]]))
    network.backward()
    return [network.flat_gradients[0]]


def _quotient():
    function, slope = FUNCTIONS["bell"]
    at = np.array([0.71])
    two = numerical_gradient(lambda x: function(x)[0], at, 1e-6)
    return [two[0], relative_error(slope(at), two)]


SAID = {  # control and key → table, row and its first numbers
    "optimizers": ("step", "ArrowRight", "After step 41", "Gradient descent",
                   lambda: descended("sgd", "ravine", [41], {"lr": 0.025})[0]["theta"]),
    "start": ("step", "ArrowRight", "Training at step 1", "cost", _one_step),
    "schedules": ("epoch", "ArrowRight", "Rates from epoch 13 on", "exponential",
                  lambda: [schedules.exponential(0.1, epoch, gamma=0.95) for epoch in (13, 14, 59)]),
    "regularization": ("step", "Home", "Step 0", "train cost", _untrained),
    "batch_norm": ("push", "ArrowRight", "Statistics in step 1", "running", _pushed),
    "seed": ("n", "ArrowRight", "torch.randn(65), numbers 0 to 15", "0",
             lambda: TorchGenerator(42, variant="avx").randn(65)[:4]),
    "backward": ("activation", "ArrowDown", "The gradients against the difference quotient", "dW₁, 11",
                 _by_sigmoid),
    "gradient_check": ("x", "ArrowRight", "At ε = 1e−6", "two-sided, float64", _quotient),
    "floating_point": ("dtype", "ArrowDown", "0.1 in float64", "rounding unit", lambda: [np.spacing(0.1)]),
}  # fmt: skip


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_a_key_gives_the_number_of_scratch(opened, name):
    control, key, caption, row, wanted = SAID[name]
    go(opened, name)
    opened.run("document.getElementById(arguments[0]).focus()", f"{name}-{control}")
    opened.press(key)
    values = wanted()
    np.testing.assert_allclose(
        tables(opened, name)[caption][row][: len(values)], values, rtol=1e-12, atol=1e-14
    )

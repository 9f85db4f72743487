"""The site: which pages there are, what leads from one to the other, and how they are written.

Every page stands for itself: no request to any host, nothing that a file from the disk could not do.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from compare.cases import bad_input
from compare.component import Component
from compare.environment import spread
from compare.files import unfinished_name, write_whole
from compare.report import conventions, day, docstrings, listings, playground, search
from compare.report.rendering import policy, render, static, templates
from compare.report.report import Report, as_json, last_loss, worst_of_cases
from compare.training.lockstep import TrainingResult

HEAD, SCRIPTS = "page.js", ("search.js",)  # of every page: in its head, and at its end
FIRST, JSON = "index.html", "report.json"


@dataclass(frozen=True)
class Site:
    """What there is to write.

    Args:
        report: the components, and what was measured of them
        sections: of the experiments, those that ran with their results: `Section` of compare.experiments
        settled: the experiments whose pages are there from an earlier run → whether their figures agreed
        options: those of the run of the experiments
    """

    report: Report
    sections: Sequence[Any] = ()
    settled: Mapping[str, bool] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def components(self) -> list[Component]:
        """In the order of the pages."""
        return day.in_order(self.report.components)

    @cached_property
    def topics(self) -> list[tuple[str, list[Component]]]:
        """The same by their topics."""
        return [(topic, list(group)) for topic, group in groupby(self.components, key=lambda c: c.topic)]

    @cached_property
    def conventions(self) -> list[conventions.Convention]:
        """Those that matter to a component of the site."""
        topics = {component.name: component.topic for component in self.components}
        rows = [row for row in conventions.CONVENTIONS if topics.keys() & {*row.components}]
        return sorted(rows, key=lambda row: topics.get(row.components[0]) == day.LAST)

    @cached_property
    def runs(self) -> dict[tuple[str, int], list[TrainingResult]]:
        """The training runs in lockstep, by name and seed."""
        runs: dict[tuple[str, int], list[TrainingResult]] = {}
        for run in self.report.training:
            runs.setdefault((run.name, run.seed), []).append(run)
        return runs

    @property
    def has_playground(self) -> bool:
        """Whether there is one to lead to: not where somebody asked for a part of the report alone."""
        return not self.report.options.get("only")

    @cached_property
    def parts(self) -> dict[str, str]:
        """Address → title of what the head of every page leads to."""
        parts = {FIRST: "Start"}
        if self.components:
            parts[f"{FIRST}#components"] = "Components"
        if self.sections:
            parts["experiments.html"] = "Experiments"
        if self.has_playground:
            parts[playground.ADDRESS] = "Playground"
        if self.conventions:
            parts["conventions.html"] = "Conventions"
        return {**parts, "agreement.html": "Agreement"}

    @cached_property
    def _index(self) -> Markup:
        experiments = [(section.name, section.title) for section in self.sections]
        widgets = [
            (f"{playground.ADDRESS}#{widget.name}", widget.title)
            for widget in playground.WIDGETS
            if self.has_playground
        ]
        return search.index(self.components, self.conventions, experiments, [*self.parts.items()], widgets)

    @cached_property
    def _frames(self) -> dict[str, Markup]:
        macros: Any = templates().get_template("_frame.html").module
        return {root: macros.contents(self, root) for root in ("", "../")}

    def page(self, address: str, template: str, **values: Any) -> str:
        """One page; `values` are for its own part."""
        root = "../" * address.count("/")
        here = Markup(f'href="{root}{address}"')
        scripts = values.pop("scripts", ())
        return render(
            template,
            site=self,
            report=self.report,
            root=root,
            address=address,
            contents=self._frames[root].replace(here, here + Markup(' aria-current="page"')),
            index=self._index,
            style=static("style.css"),
            head=static(HEAD),
            scripts=[static(name) for name in (*SCRIPTS, *scripts)],
            policy=policy([HEAD, *SCRIPTS, *scripts]),
            **values,
        )


def pages(site: Site, *, only_experiments: bool = False, with_json: bool = False) -> dict[str, str]:
    """Address → text of every page, but those that are there from an earlier run, and of report.json."""
    parts = {} if only_experiments else {**_start(site), **_components(site), **_others(site)}
    parts |= _experiments(site)
    if with_json:
        parts[JSON] = partial(as_json, site.report)
    # What takes longest comes first: nobody should wait for it alone.
    order = sorted(parts, key=lambda address: address not in (playground.ADDRESS, "agreement.html", JSON))
    device = site.report.options.get("device", "cpu")
    texts = dict(zip(order, spread([parts[address] for address in order], device), strict=True))
    return {address: texts[address] for address in parts}


Parts = dict[str, Callable[[], str]]  # address → what makes the page


def _start(site: Site) -> Parts:
    by_step: dict[int, list[Component]] = {step.number: [] for step in day.STEPS}
    for component in site.components:
        if step := day.step_of(component):
            by_step[step.number].append(component)
    titles = {section.name: section.title for section in site.sections}
    found: Parts = {
        FIRST: partial(site.page, FIRST, "start.html", steps=day.STEPS, of_step=by_step, titles=titles)
    }
    if site.components:
        found["print.html"] = partial(
            site.page,
            "print.html",
            "print.html",
            steps=[step for step in day.STEPS if by_step[step.number]],
            of_step=by_step,
            others=[component for component in site.components if not day.step_of(component)],
            formulas=docstrings.formulas,
        )
    return found


def _components(site: Site) -> Parts:
    found: Parts = {}
    titles = {section.name: section.title for section in site.sections}
    for before, component, after in _with_neighbours(site.components):
        address = f"components/{component.name}.html"
        found[address] = partial(
            site.page,
            address,
            "component.html",
            component=component,
            before=before,
            after=after,
            step=day.step_of(component),
            titles=titles,
            summaries=site.report.summaries(component),
            edges=site.report.edges.get(component.name),
            widgets=[w for w in playground.WIDGETS if site.has_playground and w.shows(component)],
            conventions=conventions.of_component(component.name),
            sides=listings.sides(component),
            formulas=docstrings.formulas(component),
            introduction=docstrings.introduction,
            listing=listings.listing,
            as_diff=listings.as_diff,
            numbers=_number_texts,
            worst_of_cases=worst_of_cases,
            bad_input=bad_input,
        )
    return found


def _others(site: Site) -> Parts:
    found: Parts = {}
    if site.conventions:
        address = "conventions.html"
        found[address] = partial(
            site.page, address, address, numbers=_number_texts, getsource=inspect.getsource
        )
    if site.has_playground:
        found[playground.ADDRESS] = lambda: site.page(
            playground.ADDRESS, "playground.html", **playground.values()
        )
    found["agreement.html"] = partial(
        site.page,
        "agreement.html",
        "agreement.html",
        figures=_drawn,
        last_loss=last_loss,
        edge_kinds=list(dict.fromkeys(g.kind for groups in site.report.edges.values() for g in groups)),
    )
    return found


def _experiments(site: Site) -> Parts:
    if not site.sections:
        return {}
    address = "experiments.html"
    found: Parts = {address: partial(site.page, address, address, step_of=day.step_of_experiment)}
    known = {component.name: component for component in site.components}
    for before, section, after in _with_neighbours(site.sections):
        if section.name in site.settled:
            continue
        address = f"experiments/{section.name}.html"
        step = day.step_of_experiment(section.name)
        found[address] = partial(
            site.page,
            address,
            "experiment.html",
            section=section,
            before=before,
            after=after,
            step=step,
            components=[c for c in known.values() if step and day.step_of(c) == step],
            by_run=lambda rows: groupby(rows, key=lambda row: row.run),
        )
    return found


def _with_neighbours(pages: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Each between the one before it and the one after it, None at the ends."""
    return zip([None, *pages], pages, [*pages[1:], None], strict=False)


def _number_texts(convention: conventions.Convention) -> tuple[str, str]:
    return conventions.number_texts(conventions.numbers(convention))


def _drawn(runs: list[TrainingResult]) -> list[tuple[str, Markup]]:
    from compare.report.plots import figures  # with matplotlib, which takes half as long as PyTorch

    return figures(runs)


# Writing


def check_folder(folder: Path) -> None:
    """Make the folder of the report, and raise OSError unless files can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    probe = unfinished_name(folder / "probe")
    probe.touch()
    probe.unlink()


def write(site: Site, folder: Path, *, with_json: bool = False) -> Path:
    """Write the pages, and report.json where it is asked for; return the path of the first page."""
    texts = pages(site, with_json=with_json)
    write_files({name: text.encode() for name, text in texts.items()}, folder)
    return folder / FIRST


def write_files(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write files into a folder and those below it, all of them or none."""
    new = [
        place for place in dict.fromkeys((folder / name).parent for name in contents) if not place.exists()
    ]
    try:
        for place in new:
            place.mkdir(parents=True)
        write_whole(contents, folder)
    except OSError:
        for place in new:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise

"""Finds, in what somebody wrote, the functions that stand for ours."""

import ast
import contextlib
import difflib
import functools
import importlib
import inspect
import io
import itertools
import re
import signal
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.cases import all_components
from compare.cases.close_names import CLOSE, close_name
from compare.cases.names import top_level
from compare.component import Case, Component
from compare.environment import undisturbed
from compare.learner.forms import FORMS, pytorch, why_not_compared
from compare.learner.forms.form import Form, called_alike, fits, is_theirs
from compare.learner.forms.own_names import COUNT, methods, perhaps_counting, returning_history, writing_back
from compare.learner.running import Answer, returned, run, underlying
from compare.run import run_scratch, run_torch


@dataclass(frozen=True)
class Attempt:
    """Somebody's version of a component: which functions, and the library they are written in."""

    component: Component
    functions: tuple[str, ...]
    side: str  # scratch (NumPy) or torch
    run: Callable[..., Answer]  # of a case, until a time.monotonic(), with `draws`; may raise StoppedError
    missing: tuple[str, ...] = ()  # functions of the component that were not written: ours take their place
    defaults: tuple[str, ...] = ()  # where they are others than ours
    form: str = ""  # the published form in which they are written, if it is not ours
    convention: str = ""  # how to map what that form means otherwise, if it does
    names: tuple[str, ...] = ()  # those of the form, for these functions
    without: tuple[str, ...] = ()  # of `pytorch.WITHOUT`: what it decides itself

    def asked(self, case: Case) -> Case:
        """A case as it can be asked of it: with the options that it leaves no choice of."""
        options = {k: v for name in self.without for k, v in pytorch.WITHOUT[name][1](case).items()}
        return case.but(case.name, **options) if options else case


LEFT_OUT = ("dtype", "generator", COUNT)  # nobody's formula has them
PENALTY = re.compile(r"\b(lambd|lambda_|lmbda|reg|l2|l2_lambda|weight_decay)\b")  # the names of its strength
COUNTS = re.compile("num|count|track|batches|step|^[nt]$")  # in the names of arguments


def find(namespace: Mapping[str, Any]) -> list[Attempt]:
    """What a namespace (of a module, say) attempts of our components, in teaching order

    Under our names, or in a form of `forms`; whichever covers more functions of the component.
    """
    namespace = _with_methods(namespace)
    namespace = {name: f for name, f in namespace.items() if not why_not_compared(name, f)}
    written_here = {name: f for name, f in namespace.items() if callable(f) and not is_stub(f)}
    in_numpy = {name: f for name, f in written_here.items() if not pytorch.uses_torch(underlying(f))}
    attempts = []
    for component in all_components().values():
        ours = top_level(component.functions)
        numpy_names = [name for name in ours if callable(namespace.get(name))]
        in_torch = _in_torch(component, namespace)
        form, written = _in_a_form(component, in_numpy)
        if form and sum(map(is_theirs, written.values())) >= len(numpy_names):
            read = {name.lower(): f for name, f in form.written(in_numpy).items()}
            named = {name: read[name.lower()] for name, f in in_numpy.items() if f is read.get(name.lower())}
            attempts.append(_in_numpy(component, written, form, named))
        elif in_torch and (
            not numpy_names or library(in_torch, {n: namespace[n] for n in numpy_names}) == "torch"
        ):
            attempts.append(in_torch)
        elif numpy_names:
            written = {name: namespace[name] for name in numpy_names if not is_stub(namespace[name])}
            attempts.append(_in_numpy(component, written))
    return attempts


def close_names(namespace: Mapping[str, Any], attempts: Sequence[Attempt]) -> dict[str, str]:
    """Names that are almost ours, of functions that nobody has looked at: theirs → the one that is meant."""
    written = {name for attempt in attempts for name in (*attempt.functions, *attempt.names)}
    components = all_components().values()
    in_numpy = [name for c in components for name in top_level(c.functions) if c.topic != "random"]
    in_torch = [name for c in components for name in c.reference if c.topic != "random"]
    found = {}
    for name, value in namespace.items():
        if callable(value):
            speaks_torch = pytorch.uses_torch(underlying(value))
            found[name] = close_name(name, in_torch if speaks_torch else in_numpy)
            if not found[name] and not speaks_torch and _has_update(value):
                found[name] = _close_optimizer(name)
    return {name: meant for name, meant in found.items() if meant and not {name, meant} & written}


def names_in_forms(component: Component) -> set[str]:
    """What courses call the parts of a component."""
    return {name for form in FORMS if form.component == component.name for name in form.signatures}


def _optimizers() -> dict[str, str]:
    """The optimizers that are classes in a form: the name in small letters → the name."""
    signatures = [pair for form in FORMS for pair in form.signatures.items()]
    return {name.lower(): name for name, text in signatures if text.endswith(" with update")}


def _has_update(value: Any) -> bool:
    return isinstance(value, type) and callable(getattr(value, "update", None))


def _close_optimizer(name: str) -> str:
    """Which of these somebody's class probably means; "" where it is none, or differs in case alone."""
    known = {small: name for small, name in _optimizers().items() if len(small) > 3}  # to SGD all are close
    found = difflib.get_close_matches(name.lower(), known, 1, CLOSE)
    return known[found[0]] if found and found[0] != name.lower() else ""


def with_results(name: str, comma: str = "") -> str:
    """A function of ours by name, in a question, with what it returns, where that is more than one value

    In the midst of a sentence a comma follows that.
    """
    ours = _ours().get(name)
    parts = returned(ours) if isinstance(ours, types.FunctionType) else ()
    return f"{name}, which returns ({', '.join(parts)}){comma}" if parts[1:] else name


def almost_in_a_form(namespace: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names of a form that are not read in it, each with a sentence that says what is missing."""
    namespace = _with_methods(namespace)
    attempts = find(namespace)
    attempted = {attempt.component.name for attempt in attempts}
    understood = {name for attempt in attempts if attempt.side == "torch" for name in attempt.functions}
    understood |= {name for name, ours in _ours().items() if called_alike(namespace.get(name), ours)}
    notes = {name: why for name, f in namespace.items() if (why := why_not_compared(name, f))}
    for form in FORMS:
        there = {name for name in form.signatures if callable(namespace.get(name))}
        for name in there - understood:
            published, others = form.signatures[name], form.signatures.keys() - there
            if not fits(published, namespace[name]):
                got = f"got {_head(name, namespace[name])}"
                notes.setdefault(name, f"expected {published}, as in {form.words}; {got}")
            elif form.component not in attempted and others:
                missing = " or ".join(form.signatures[other] for other in others)
                notes.setdefault(name, f"expected {missing} beside it, as in {form.words}")
            elif form.component not in attempted:
                notes.setdefault(name, f"it does not give what {published} gives in {form.words}")
    return list(notes.items())


def _head(name: str, function: Any) -> str:
    try:
        return f"{name}{inspect.signature(function)}"
    except (TypeError, ValueError):
        return name


@functools.cache
def _ours() -> dict[str, Callable]:
    """All that scratch has, by name."""
    topics = dict.fromkeys(component.topic for component in all_components().values())
    modules = [importlib.import_module(f"scratch.{topic}") for topic in topics]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, types.FunctionType | type) and value.__module__ == module.__name__
    }


def _with_methods(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """With static methods of our names, and optimizers by a form's name, whatever the case: RMSProp."""
    names = _ours().keys() | {name for form in FORMS for name in form.signatures}
    known = _optimizers()
    classes = {known[n.lower()]: f for n, f in namespace.items() if n.lower() in known and _has_update(f)}
    found = {**classes, **methods(namespace, names), **namespace}
    return {name: _without_penalty(name, f) if name in names else f for name, f in found.items()}


def _without_penalty(name: str, function: Any) -> Any:
    """The function with λ = 0, where it adds an L2 penalty to what ours and the form's of this name compute

    What is to be said of that it has as `unpenalized`.
    """
    heads = [form.signatures[name] for form in FORMS if name in form.signatures]
    heads += [_head(name, _ours()[name])] if name in _ours() else []
    if not isinstance(function, types.FunctionType | types.MethodType) or pytorch.uses_torch(
        underlying(function)
    ):
        return function
    try:
        theirs = inspect.signature(function)
    except (TypeError, ValueError):
        return function
    strength = next((p for p in theirs.parameters.values() if PENALTY.fullmatch(p.name)), None)
    if strength is None or any(PENALTY.search(head) for head in heads):
        return function
    is_required = strength.default is strength.empty
    if not is_required and (type(strength.default) not in (int, float) or strength.default == 0):
        return function
    others = theirs.replace(parameters=[p for p in theirs.parameters.values() if p is not strength])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _called(function, theirs, {**others.bind(*args, **kwargs).arguments, strength.name: 0.0})

    default = "" if is_required else f" and not {strength.default}"
    call.__signature__ = others  # type: ignore[attr-defined]
    call.unpenalized = f"{strength.name} = 0{default}, since no L2 penalty is asked for"  # type: ignore[attr-defined]
    return call


def _in_a_form(component: Component, namespace: Mapping[str, Any]) -> tuple[Form | None, dict[str, Callable]]:
    """The form in which most of it is written, and its functions, callable as ours; or none."""
    read = ((form, form.functions(namespace)) for form in FORMS if form.component == component.name)
    found = [(form, functions) for form, functions in read if any(map(is_theirs, functions.values()))]
    return max(found, key=lambda pair: sum(map(is_theirs, pair[1].values())), default=(None, {}))


def _in_numpy(
    component: Component,
    written: Mapping[str, Callable],
    form: Form | None = None,
    published: Mapping[str, Callable] | None = None,
) -> Attempt:
    module = importlib.import_module(f"scratch.{component.topic}")
    functions = {}
    told: list[str] = []
    unseen: set[str] = set()
    for name, function in written.items():
        ours = getattr(module, name)
        function = adapted(function, ours)
        if component.topic == "optimizers" or name == "update_running_statistics":
            function = writing_back(function, ours)
        if name == "update_running_statistics":
            function = perhaps_counting(function, ours, unseen)
        if component.functions == ("train",):
            function = returning_history(function, ours, unseen)
        if form is None:
            function, notes = other_defaults(function, ours)
            told += notes
        functions[name] = function
    theirs = tuple(name for name, function in written.items() if form is None or is_theirs(function))
    missing = tuple(name for name in top_level(component.functions) if name not in theirs)
    words, convention = (form.words, form.convention) if form else ("", "")
    published = published or {}
    unpenalized = [getattr(f, "unpenalized", "") for f in (published or written).values()]
    for said in dict.fromkeys(filter(None, unpenalized)):
        words = f"{words or 'ours'}; {said}"
    call = functools.partial(run, component, "scratch", functions, missing=missing, unseen=unseen)
    return Attempt(
        component, theirs, "scratch", call, missing, tuple(told), words, convention, tuple(published)
    )


def adapted(function: Callable, ours: Callable, *, giving_options: bool = False) -> Callable:
    """The function, callable as ours is: whatever its arguments are called, and without options it has not

    An option that it has not is left out where it has the value that ours has unless told otherwise; one that
    it has to be given has that value, if `giving_options`.
    """
    try:
        theirs, wanted = inspect.signature(function), inspect.signature(ours)
    except (TypeError, ValueError):
        return function
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in theirs.parameters.values()):
        return function
    options = [name for name, p in wanted.parameters.items() if p.default is not p.empty]
    needed = [p.name for p in theirs.parameters.values() if p.default is p.empty]
    if list(theirs.parameters) == list(wanted.parameters) and not (giving_options and {*options} & {*needed}):
        return function
    for pair in (("beta1", "beta2"), ("b1", "b2")):
        if "betas" in wanted.parameters and {*pair} <= theirs.parameters.keys():
            return adapted(_with_betas(function, pair), ours, giving_options=giving_options)
    required = [p for p in wanted.parameters.values() if p.default is p.empty and p.name not in LEFT_OUT]
    if not len(required) <= len(theirs.parameters) <= len(wanted.parameters):
        return function
    names = _matched(wanted.parameters, theirs.parameters)
    asked = [name for name in options if name in names and names[name].name in needed and giving_options]
    always = {name: wanted.parameters[name].default for name in asked}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = {**always, **wanted.bind(*args, **kwargs).arguments}
        for name in given.keys() - names.keys() - {*LEFT_OUT}:
            if not _usual(wanted, name, given[name]):
                raise TypeError(f"{function.__name__}() has no argument {name}")
        values = {names[name].name: value for name, value in given.items() if name in names}
        first = itertools.takewhile(  # those in a row; by name what comes after one that is left out
            lambda p: p.name in values and p.kind is not p.KEYWORD_ONLY, theirs.parameters.values()
        )
        in_place = [values.pop(p.name) for p in first]
        result = function(*in_place, **values)
        if "dtype" in given and "dtype" not in names and isinstance(result, np.ndarray):
            return result.astype(given["dtype"])
        return result

    return call


def _with_betas(function: Callable, names: tuple[str, str]) -> Callable:
    """A function of two numbers β, callable with both of them in one argument."""
    theirs = inspect.signature(function)
    parameters = [p.replace(name="betas") if p.name == names[0] else p for p in theirs.parameters.values()]
    together = theirs.replace(parameters=[p for p in parameters if p.name != names[1]])

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = together.bind(*args, **kwargs).arguments
        apart = dict(zip(names, given.pop("betas"), strict=True)) if "betas" in given else {}
        return _called(function, theirs, {**given, **apart})

    call.__signature__ = together  # type: ignore[attr-defined]
    return call


def _called(function: Callable, signature: inspect.Signature, values: Mapping[str, Any]) -> Any:
    """Its result for arguments by name, whether it takes them by name or by position."""
    bound = signature.bind_partial()
    bound.arguments.update({name: values[name] for name in signature.parameters if name in values})
    return function(*bound.args, **bound.kwargs)


def other_defaults(function: Callable, ours: Callable) -> tuple[Callable, list[str]]:
    """The function called with our values where its own defaults are others, and a note of each of those."""
    try:
        theirs, wanted = inspect.signature(function), inspect.signature(ours)
    except (TypeError, ValueError):
        return function, []
    others = {}
    for name, parameter in theirs.parameters.items():
        default = getattr(wanted.parameters.get(name), "default", inspect.Parameter.empty)
        is_number = type(parameter.default) in (int, float)
        if default is not inspect.Parameter.empty and is_number and parameter.default != default:
            others[name] = default
    if not others:
        return function, []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = wanted.bind(*args, **kwargs)
        left_out = {name: value for name, value in others.items() if name not in given.arguments}
        return function(*args, **kwargs, **left_out)

    own = theirs.parameters
    return call, [f"{name}={own[name].default} unless told otherwise, ours {others[name]}" for name in others]


def _matched(wanted: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Of each of our arguments, theirs: the one of its name, else the next one that has no name of ours."""
    others = [parameter for name, parameter in theirs.items() if name not in wanted]
    found = {}
    for name, parameter in wanted.items():
        if name in theirs:
            found[name] = theirs[name]
        elif name == COUNT and len(theirs) < len(wanted) and not any(map(COUNTS.search, theirs)):
            continue
        elif others and (len(theirs) == len(wanted) or parameter.default is parameter.empty):
            found[name] = others.pop(0)
    return found


def _usual(wanted: inspect.Signature, name: str, value: Any) -> bool:
    default = wanted.parameters[name].default
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))


def _in_torch(component: Component, namespace: Mapping[str, Any]) -> Attempt | None:
    """What stands for our functions of `torch_ref/`, if anything does."""
    found = pytorch.written(component, namespace)
    if not found:
        return None
    module = importlib.import_module(f"torch_ref.{component.topic}")
    reading = pytorch.read(component, {name: f for name, f in found.items() if not is_stub(f)})
    written = {
        name: f if isinstance(f, type) else adapted(f, getattr(module, name), giving_options=True)
        for name, f in reading.functions.items()
    }
    call = functools.partial(run, component, "torch", written, unseen=reading.unseen)
    about: dict[str, Any] = {"form": reading.form, "convention": reading.convention}
    about["defaults"] = reading.defaults
    return Attempt(component, tuple(written), "torch", call, without=reading.without, **about)


def library(in_torch: Attempt, functions: Mapping[str, Callable]) -> str:
    """Which library functions are written in that both sides have by name: the one in which they run

    Of those that run in both or in neither, as a faulty one may, the one that they speak of.
    """
    component = in_torch.component
    ours = importlib.import_module(f"scratch.{component.topic}")
    if in_torch.functions:
        case = next(iter(component.cases(np.random.default_rng(0), np.float64)))
        call = functools.partial(
            run, component, "scratch", {n: adapted(f, getattr(ours, n)) for n, f in functions.items()}
        )
        for run_ours in (run_torch, run_scratch):  # what they import late is imported: nothing stops that
            run_ours(component, case)
        torch_runs = _runs(in_torch.run, in_torch.asked(case), or_returns=True)
        numpy_runs = _runs(call, case)
        if torch_runs != numpy_runs:
            return "torch" if torch_runs else "numpy"
    return "torch" if all(pytorch.uses_torch(underlying(f)) for f in functions.values()) else "numpy"


class _TooLongError(BaseException):
    """The end of a run that nobody waits for; not an Exception, which a function may catch."""


def _runs(
    call: Callable[..., Answer],
    case: Case,
    *,
    or_returns: bool = False,
    computing: float = 2,
    waiting: float = 20,
) -> bool:
    """Whether a case runs, in silence and in so many seconds; where no end can be set, it is not tried

    Or at least returns something, if not what ours does.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        return False
    over = threading.Event()

    def stop(*_: object) -> None:
        if not over.is_set():
            raise _TooLongError

    limits = {signal.SIGPROF: (signal.ITIMER_PROF, computing), signal.SIGALRM: (signal.ITIMER_REAL, waiting)}
    before = {number: signal.signal(number, stop) for number in limits}
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            undisturbed(),
        ):
            for timer, seconds in limits.values():
                signal.setitimer(timer, seconds, 0.1)
            try:
                error = call(case).error
                return not error or (or_returns and not error["kind"])
            finally:
                over.set()
    except BaseException:
        return False
    finally:
        over.set()
        for number, (timer, _) in limits.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def is_stub(function: Callable) -> bool:
    """Whether nothing was written yet: the body only raises NotImplementedError."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(underlying(function))))
    except (OSError, TypeError, ValueError, SyntaxError):
        return False
    definition = tree.body[0]
    bodies = [n for n in ast.walk(definition) if isinstance(n, ast.FunctionDef)]
    unwritten = [ast.unparse(node.body[-1]) == "raise NotImplementedError" for node in bodies]
    return bool(unwritten) and all(unwritten)  # of a lambda there is no body

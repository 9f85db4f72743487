"""Whether an exception says only that we do not know how something is called, not that it is wrong."""

import inspect
import linecache
import re
import traceback
import types
from collections.abc import Callable, Collection, Mapping
from typing import Any

from compare.component import Component
from compare.learner.forms import FORMS
from compare.learner.forms.form import arguments_of, tried

EXERCISE = re.compile("_(forward|backward|step)$")  # names of ours alone: who has them knows our arguments
NOT_TAKEN = re.compile(r"\(\) (got|missing|takes) |has no (argument|tensor like) ")
QUOTED = re.compile(r"""['"](\w+)['"]""")
CONTAINERS = (dict, list, tuple)
OURS = ("compare", "scratch", "torch_ref")  # packages


def misfit(
    component: Component, name: str, theirs: Any, ours: Any, error: BaseException, files: Collection[str]
) -> str:
    """How it was called, and how it has to be, if that is what an exception comes of; else nothing

    That is: it does not take the arguments that it was given, its object has not what it was asked for, or it
    took a dictionary, a shape or a generator for a number. A name of an exercise says how it is called.

    Args:
        component: whose
        name: what ours is called
        theirs: their function or class, as they wrote it
        ours: our function or class
        error: what was raised
        files: theirs
    """
    called = getattr(theirs, "__name__", name)
    in_a_form = [text for form in FORMS if form.component == component.name for text in form.published]
    published = next((text for text in in_a_form if text.startswith(f"{called}(") and called != name), "")
    is_known = EXERCISE.search(name) and not published
    if is_known or not isinstance(theirs, types.FunctionType | type):  # of a builtin nobody can tell
        return ""
    known = arguments_of(published) if published else [*_parameters(ours)]
    frames = [frame for frame in traceback.walk_tb(error.__traceback__) if _file(frame[0]) in files]
    if not frames:
        fits = not _is_refused(error, files)
    else:
        fits = not _is_taken_for_a_number(error, frames[0][0], known)
    if fits:
        return ""
    call = published or f"{name}({', '.join(known)})"
    head = tried(_head, called, theirs) or called  # a default may not be one to show
    return f"how it is called is not known: tried as {call}, its signature is {head}"


def _is_refused(error: BaseException, files: Collection[str]) -> bool:
    """Whether nothing of theirs ran, since it does not take the arguments, or has no such attribute."""
    if type(error) is AttributeError:
        methods = [f for base in type(error.obj).__mro__ for f in vars(base).values()]
        return any(f.__code__.co_filename in files for f in methods if isinstance(f, types.FunctionType))
    return type(error) is TypeError and bool(NOT_TAKEN.search(tried(str, error) or ""))


def _is_taken_for_a_number(error: BaseException, frame: types.FrameType, known: Collection[str]) -> bool:
    """Whether what is wrong is the type of an argument, which has not the name of one of ours."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    given = {name: frame.f_locals[name] for name in names if name in frame.f_locals and name not in known}
    ours = {name: value for name, value in given.items() if _is_no_number(value)}
    if type(error) is KeyError:
        text = _where(error)
        return any(text.startswith(f"{name}[") for name in ours) and not isinstance(error.args[0], str)
    if type(error) is AttributeError:
        return any(error.obj is value and isinstance(value, CONTAINERS) for value in ours.values())
    kinds = {type(value).__name__ for value in ours.values()}
    return type(error) is TypeError and not kinds.isdisjoint(QUOTED.findall(tried(str, error) or ""))


def _is_no_number(value: Any) -> bool:
    return isinstance(value, CONTAINERS) or type(value).__module__.split(".")[0] in OURS


def _where(error: BaseException) -> str:
    """The expression that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.lineno is None or last.colno is None or last.lineno != last.end_lineno:
        return ""
    return linecache.getline(last.filename, last.lineno).encode()[last.colno : last.end_colno].decode()


def _file(frame: types.FrameType) -> str:
    return frame.f_code.co_filename


def _parameters(function: Callable) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def _head(name: str, function: Callable) -> str:
    head = f"{name}({', '.join(map(str, _parameters(function).values()))})"
    methods = vars(function) if isinstance(function, type) else {}
    public = {m: f for m, f in methods.items() if callable(f) and (m == "__call__" or not m.startswith("_"))}
    told = [f"{m}({', '.join(map(str, [*_parameters(f).values()][1:]))})" for m, f in public.items()]
    return f"{head} with {', '.join(told)}" if told else head

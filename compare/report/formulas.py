"""Formulas as the docstrings write them, in Unicode, set as MathML: fractions, roots, indices, sums.

    typeset("θ ← θ − lr·g/(√s + ε), with `eps`")

A division binds its neighbours without spaces: a·b/2c is a·(b over 2c); parentheses around a numerator, a
denominator, a radicand or an exponent are not set. What can not be parsed stays as it is.
"""

import functools
import re
from dataclasses import dataclass

from markupsafe import Markup, escape

_SUPERSCRIPTS, _RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ᵗᵀˣʲⁿ", "0123456789−+tTxjn"
_SUBSCRIPTS, _LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋ᵢⱼₜ", "0123456789+−ijt"
_HAT = "\u0302"
_OPEN, _CLOSE, _BARS = "([⌊", ")]⌋", "|‖"
_OPERATORS = "+−-=←→≈≤≥<>·×±∈⊕≫,"
_INDEXED = ("fan", "lr")  # longer words whose _ is an index: fan_in, but keep_prob and running_mean
_NAMES = (  # words that belong to a formula if one stands beside them
    "seed|lr|std|gain|fan|mask|mean|log|ln|cos|sin|tanh|max|min|mod|softmax|epoch|batch|momentum|running"
    "|low|high|interval|outputs|dloss"
)

_STRONG = re.compile(
    rf"[=←→≈≤≥<>+−·×/±∈⊕≫^|‖√Σ∂∇∞½⌊Α-Ωα-ω′{_HAT}{_SUPERSCRIPTS}{_SUBSCRIPTS}]|[A-Za-z)]_[A-Za-z]"
)
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)
    |(?P<name>d(?=[A-Za-z]{_HAT}?(?![A-Za-z_])) | [A-Za-z]+(?:_[A-Za-z]+)*{_HAT}? | [Α-Ωα-ω]{_HAT}?)
    |(?P<sup>[{_SUPERSCRIPTS}]+)
    |(?P<sub>[{_SUBSCRIPTS}]+)
    |(?P<prime>[′″‴])
    |(?P<other>.)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Node:
    markup: str
    inner: str = ""  # of parentheses: what stands in them
    operator: bool = False
    breaks: str = ""  # sign or relation: a line may end before it
    sum: bool = False


@functools.cache
def typeset(text: str, *, display: bool = False) -> Markup:
    """Prose with formulas in it, as HTML; `code`, **emphasis** and addresses become what they mean."""
    parts = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*|https?://[^\s,;)]+)", text):
        if part.startswith("`"):
            parts.append(Markup("<code>{}</code>").format(part[1:-1]))
        elif part.startswith("**"):
            parts.append(Markup("<strong>{}</strong>").format(part[2:-2]))
        elif part.startswith("http"):
            parts.append(Markup('<a href="{0}" rel="noreferrer">{0}</a>').format(part))
        else:
            parts.append(_sentence(part, display))
    return Markup("").join(parts)


def math(formula: str, *, display: bool = False, after: Markup | str = "") -> Markup:
    """One formula as <math>, which may be broken before relations and signs; `after` stays with its end."""
    try:
        parts = _Parser(formula).whole()
    except ValueError:
        return Markup("<span>{}</span>{}").format(formula, after)
    style = ' displaystyle="true"' if display else ""
    *elements, last = (Markup(f"<math{style}>{part}</math>") for part in parts)
    if after:
        last = Markup('<span class="whole">{}{}</span>').format(last, after)
    return Markup("<wbr>").join([*elements, last])


# Which words of a sentence are a formula


def _sentence(text: str, display: bool) -> Markup:
    words = re.findall(r"\S+\s*|\s+", text)
    parts, i = [], 0
    while i < len(words):
        end = _end_of_formula(words, i)
        if end == i:
            parts.append(escape(words[i]))
            i += 1
        else:
            found = "".join(words[i:end]).rstrip()
            formula = found.rstrip(",.;:")
            after = escape(found[len(formula) :])
            space = " " if words[end - 1][-1:].isspace() else ""
            parts.append(math(formula, display=display, after=after) + space)
            i = end
    return Markup("").join(parts)


def _end_of_formula(words: list[str], start: int) -> int:
    """Where the longest formula that starts at a word ends; `start` itself if none does."""
    best, depth, called, strong = start, 0, False, False
    for i in range(start, len(words)):
        word = words[i].strip()
        kind = _kind(word)
        if kind == "prose" and not (depth > 0 and called):
            break
        strong |= kind == "strong"
        called |= re.search(r"[^\s(\[][(\[]", word) is not None  # f(, ^(
        depth += sum(c in _OPEN for c in word) - sum(c in _CLOSE for c in word)
        if depth < 0:
            break
        if depth == 0 and strong and not (word == "a" and _kind(words[i - 1].strip()[-1:]) != "strong"):
            best = i + 1
        if depth == 0 and word[-1:] in tuple(",.;:"):
            break
    return best


def _kind(word: str) -> str:
    if "'" in word or "’" in word:
        return "prose"
    if _STRONG.search(word):
        return "strong"
    pieces = re.split(r"[()\[\],;:…]+", word.rstrip("."))
    weak = all(re.fullmatch(rf"d?[A-Za-z]?|\d+(\.\d+)?|{_NAMES}", piece) for piece in pieces)
    return "weak" if weak else "prose"


# One formula


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = [(match.lastgroup, match[0]) for match in _TOKEN.finditer(text)]
        self.at = 0
        self.closers: list[str] = [""]

    def peek(self) -> tuple[str | None, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, "")

    def take(self) -> str:
        if self.at == len(self.tokens):
            raise ValueError("ends too early")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def whole(self) -> list[str]:
        """The formula in pieces: a line may end before a sign or a relation, but not after y in y = …"""
        pieces = [""]
        for i, node in enumerate(self.nodes()):
            if node.breaks == "sign" or (node.breaks == "relation" and i > 1):
                pieces.append("")
            pieces[-1] += node.markup
        if self.at < len(self.tokens):
            raise ValueError(self.take())
        return pieces

    def row(self) -> str:
        return "".join(node.markup for node in self.nodes())

    def nodes(self) -> list[_Node]:
        """Operands and operators, up to the bracket that closes the innermost open one."""
        nodes: list[_Node] = []
        while self.peek()[0] and not self.closes():
            spaced = self.skip_space()
            text = self.peek()[1]
            if not text or self.closes():
                break
            before = nodes[-1] if nodes else _Node("", operator=True)
            if text == "/":
                self.take()
                self.skip_space()
                if before.operator:
                    raise ValueError("/")
                nodes[-1:] = [_fraction(before, self.group())]
            elif text in _OPERATORS or text == "mod":
                nodes.append(_operator(self.take(), prefix=before.operator))
            else:
                if spaced and not before.operator and not before.sum:
                    nodes.append(_Node('<mspace width="0.2em"/>'))
                nodes.append(self.group())
        return nodes

    def closes(self) -> bool:
        text = self.peek()[1]
        return text != "" and text in self.closers[-1]

    def skip_space(self) -> bool:
        start = self.at
        while self.peek()[0] == "space":
            self.at += 1
        return self.at > start

    def group(self) -> _Node:
        """What stands together without space or operator, as a product or a call: 2m, f(x), dy."""
        atoms = [self.atom()]
        while self.starts_atom():
            atoms.append(self.atom())
        if len(atoms) == 1:
            return atoms[0]
        return _Node("<mrow>" + "".join(atom.markup for atom in atoms) + "</mrow>")

    def starts_atom(self) -> bool:
        kind, text = self.peek()
        if kind in (None, "space", "sup", "sub", "prime") or self.closes():
            return False
        return text not in _CLOSE and text not in _OPERATORS + "/^_" and text != "mod"

    def atom(self) -> _Node:
        """A base with its indices and exponents."""
        base, under, over = self.primary(), "", ""
        while True:
            kind, text = self.peek()
            if kind == "sub":
                under += _letters(self.take().translate(str.maketrans(_SUBSCRIPTS, _LOWERED)))
            elif text == "_":
                self.take()
                if self.peek()[0] not in ("name", "number"):
                    raise ValueError(text)
                under += _letters(self.take())
            elif kind == "sup":
                over += _Parser(self.take().translate(str.maketrans(_SUPERSCRIPTS, _RAISED))).row()
            elif kind == "prime":
                over += f"<mo>{self.take()}</mo>"
            elif text == "^":
                self.take()
                sign = f"<mo>{self.take()}</mo>" if self.peek()[1] in tuple("+−-") else ""
                exponent = self.primary()
                over += sign + (exponent.inner or exponent.markup)
            else:
                break
        if not under and not over:
            return base
        names = ("munder", "mover", "munderover") if base.sum else ("msub", "msup", "msubsup")
        name = names[2 if under and over else 0 if under else 1]
        scripts = "".join(f"<mrow>{script}</mrow>" for script in (under, over) if script)
        return _Node(f"<{name}>{base.markup}{scripts}</{name}>", sum=base.sum)

    def primary(self) -> _Node:
        kind, text = self.peek()
        if kind in (None, "space", "sup", "sub", "prime") or text in _CLOSE:
            raise ValueError(text)
        self.take()
        if kind == "number":
            return _Node(f"<mn>{text}</mn>")
        if text == "Σ":
            return _Node("<mo>∑</mo>", sum=True)
        if kind == "name":
            return _Node(_name(text))
        if text in _OPEN + _BARS:
            return self.bracket(text)
        if text == "√":
            radicand = self.atom()
            return _Node(f"<msqrt>{radicand.inner or radicand.markup}</msqrt>")
        if text == "½":
            return _Node("<mfrac><mn>1</mn><mn>2</mn></mfrac>")
        if text in "∂∇∞…":
            return _Node(f"<mi>{text}</mi>")
        raise ValueError(text)

    def bracket(self, opening: str) -> _Node:
        self.closers.append(opening if opening in _BARS else ")]" if opening in "([" else "⌋")
        content = self.row()
        if not self.closes():
            raise ValueError(opening)
        closing = self.take()
        self.closers.pop()
        fences = [f'<mo form="{form}">{b}</mo>' for form, b in (("prefix", opening), ("postfix", closing))]
        inner = f"<mrow>{content}</mrow>" if opening + closing == "()" else ""
        return _Node(f"<mrow>{fences[0]}{content}{fences[1]}</mrow>", inner=inner)


def _fraction(numerator: _Node, denominator: _Node) -> _Node:
    parts = "".join(f"<mrow>{node.inner or node.markup}</mrow>" for node in (numerator, denominator))
    return _Node(f"<mfrac>{parts}</mfrac>")


def _operator(text: str, prefix: bool) -> _Node:
    if text == "mod":
        return _Node('<mo lspace="0.25em" rspace="0.25em">mod</mo>', operator=True)
    text = {"-": "−", "·": "⋅"}.get(text, text)
    form = "prefix" if prefix and text in "+−±" else "infix"
    breaks = "sign" if form == "infix" and text in "+−±" else "relation" if text in "=←→≈≤≥<>" else ""
    return _Node(f'<mo form="{form}">{escape(text)}</mo>', operator=True, breaks=breaks)


def _name(text: str) -> str:
    if text.endswith(_HAT):
        return f'<mover accent="true"><mi>{text[:-1]}</mi><mo>^</mo></mover>'
    first, _, index = text.partition("_")
    if index and len(first) == 1:
        return f"<msub><mi>{first}</mi><mrow>{_letters(index)}</mrow></msub>"
    if index and first in _INDEXED:
        return f"<msub><mi>{first}</mi><mi>{index}</mi></msub>"
    return f"<mi>{text}</mi>"


def _letters(index: str) -> str:
    """An index of two letters is two indices, a longer one is a word."""
    if index.isdigit():
        return f"<mn>{index}</mn>"
    return "".join(f"<mi>{letter}</mi>" for letter in index) if len(index) == 2 else f"<mi>{index}</mi>"

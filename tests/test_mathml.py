"""Unicode formulas as MathML: what is set, and that nothing else gets through."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.report.formulas import math, typeset


def tree(markup: str) -> ET.Element:
    return ET.fromstring(f"<p>{markup.replace('<wbr>', '<wbr/>')}</p>")


def shape(formula: str) -> str:
    """The elements of a formula as name(children), without mrow and attributes."""

    def describe(node: ET.Element) -> str:
        inner = " ".join(describe(child) for child in node) or (node.text or "")
        return inner if node.tag in ("mrow", "math", "p", "wbr") else f"{node.tag}({inner})"

    return re.sub(r"m[ino]\((.*?)\)(?=[ )]|$)", r"\1", describe(tree(math(formula))))


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("a·b/2c", "a ⋅ mfrac(b 2 c)"),
        ("(x − μ)/√(σ² + ε)", "mfrac(x − μ msqrt(msup(σ 2) + ε))"),
        ("lr · m/(1−β₁ᵗ) / (√v + ε)", "lr ⋅ mfrac(mfrac(m 1 − msubsup(β 1 t)) msqrt(v) + ε)"),
        ("√3·std", "msqrt(3) ⋅ std"),
        ("e^−|x|", "msup(e − | x |)"),
        ("γ^⌊epoch/s⌋", "msup(γ ⌊ mfrac(epoch s) ⌋)"),
        ("Σᵢ xᵢⱼ", "munder(∑ i) msub(x i j)"),
        ("dxᵢ = dyᵀ W_ij", "d msub(x i) = d msup(y T) mspace() msub(W i j)"),
        ("x̂ + fan_in + weight_decay", "mover(x ^) + msub(fan in) + weight_decay"),
        ("x − running_mean", "x − running_mean"),
        ("θ − lr·m̂/(√v̂ + ε)", "θ − lr ⋅ mfrac(mover(m ^) msqrt(mover(v ^)) + ε)"),
        ("μₜ₊₁·m/(1−Π·μₜ₊₁)", "msub(μ t+1) ⋅ mfrac(m 1 − Π ⋅ msub(μ t+1))"),
        ("½(a − b)", "mfrac(1 2) ( a − b )"),
        ("10⁻¹²", "msup(10 − 12)"),
        ("u ∈ [0, 1)", "u ∈ [ 0 , 1 )"),
    ],
)
def test_formulas(formula, expected):
    assert shape(formula) == expected


@pytest.mark.parametrize("formula", ["a/", "/b", "(a", "a)", "√", "x_", "x_<", "a‖b", "^2", "⌊a)"])
def test_what_can_not_be_parsed_stays_as_it_is(formula):
    markup = math(formula)
    assert "<math" not in markup
    assert "".join(tree(markup).itertext()) == formula


@pytest.mark.parametrize(
    ("sentence", "formulas"),
    [
        ("He: normal with mean 0 and std = gain/√fan", 1),
        ("y = x for x > 0, else a·x, with a = `negative_slope`", 4),
        ("A feature with one value only gets that value as its mean.", 0),
        ("of variance 1/fan_in a linear unit", 1),
        ("γ^(number of milestones ≤ epoch) · lr, with γ > 0: decay by hand", 2),
        ("see https://arxiv.org/abs/1608.03983, x/y", 1),
    ],
)
def test_formulas_are_found_in_sentences(sentence, formulas):
    markup = typeset(sentence)
    found = re.sub("<wbr>", "", markup)
    assert len(re.findall(r"(?<!</math>)<math", found)) == formulas


def test_a_line_may_end_before_a_sign_but_not_after_the_left_side_or_before_a_comma():
    pieces = typeset("L = a + b = c, as said").split("<wbr>")
    assert [re.sub("<.*?>", "", piece) for piece in pieces] == ["L=a", "+b", "=c, as said"]
    assert '<span class="whole">' in pieces[-1]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"])))
def test_any_text_is_well_formed_and_escaped(text):
    allowed = {"p", "a", "code", "strong", "span", "wbr", "math"}
    tags = {node.tag for node in tree(typeset(text)).iter()}
    assert all(tag in allowed or tag.startswith("m") for tag in tags)


@given(st.text(alphabet="ab12 ()[]|/^_√Σ½<>&·+−=ᵢ²⁻", max_size=12))
def test_any_formula_is_well_formed(text):
    tree(math(text, display=True))

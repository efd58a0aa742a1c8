"""Which regular expressions are refused: by how their time grows, on whatever machine."""

import time

import pytest

from watcher.config.expressions import slow_on
from watcher.core.rules import expression

EXPLODING = [
    r"(a+)+$",
    r"(\w+)+x",
    r"^(.*a){20}$",
    r"([a-z0-9]+_?)+\.obj$",
    r"^(?:[a-z]+-?)+\d$",
    r"(a|aa)+$",
]
HARMLESS = [
    r"(?<show>[a-z]+)_(?<shot>sh[0-9]+)_v[0-9]+[.]mov$",
    r"([^_]+)_([^_]+)_v(\d+)\.(obj|fbx)$",
    r"(.+)_(.+)_(.+)\.obj",
    r"(.+)_(.+)_(.+)_(.+)_(.+)\.obj",
    r".*\s+final.*\.(step|stp)$",
    r"(\w|\d)+!",
]


@pytest.mark.parametrize("times", [1, 10], ids=["machine", "slow machine"])
@pytest.mark.parametrize("text", EXPLODING)
def test_what_doubles_with_each_letter_is_refused(text, times):
    assert slow_on(expression(text), lambda: time.thread_time() * times)


@pytest.mark.parametrize("times", [1, 10], ids=["machine", "slow machine"])
@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_write_is_taken_however_slow_the_machine_is(text, times):
    assert slow_on(expression(text), lambda: time.thread_time() * times) == ""


@pytest.mark.parametrize("seconds", [0.5, 4.5])
def test_a_hiccup_of_the_machine_refuses_nothing(seconds):
    ticks = iter([0.0, *[seconds] * 10_000])  # for the first look
    assert slow_on(expression("a"), lambda: next(ticks)) == ""

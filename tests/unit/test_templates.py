"""Path templates: what they may say, and that nothing in a name leads out."""

from __future__ import annotations

import os
from datetime import UTC

import pytest

from watcher.core.templates import (
    FIELDS,
    LONGEST,
    Names,
    default_template,
    expand,
    numbered,
    problems,
    suffixed,
)
from watcher.errors import NameTooLong, OutsideRoot


def names(**change) -> Names:
    values = {
        "path": "sub/a.tar.gz",
        "output": "views/iso.png",
        "rule": "r",
        "job": "j",
        "digest": "00ff",
        "at": 86400.0 * 365,
        "zone": UTC,
    }
    return Names(**{**values, **change})


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("{parent}/{stem}.{ext}", "sub/a.tar.png"),
        ("{parent}/{name}/{output}", "sub/a.tar.gz/views/iso.png"),
        ("{relpath}.{output_stem}.{ext}", "sub/a.tar.gz.iso.png"),
        ("{rule}/{job}/{hash}", "r/j/00ff"),
        ("{date:%Y/%m}/{date}-{name}", "1971/01/1971-01-01-a.tar.gz"),
        ("{{x}}-{name}", "{x}-a.tar.gz"),
        ("a//./{name}", "a/a.tar.gz"),
    ],
)
def test_fields_are_filled_in(template: str, path: str) -> None:
    assert problems(template) == ()
    assert expand(template, names()) == path


def test_the_top_folder_leaves_no_trace() -> None:
    assert expand("{parent}/{name}", names(path="a.obj")) == "a.obj"


def test_an_output_without_extension_ends_without_a_dot() -> None:
    assert expand("{stem}.{ext}", names(output="metadata", path="a.x")) == "a"
    assert expand("{output_stem}", names(output=".hidden")) == ".hidden"


def test_the_local_time_zone_is_the_default() -> None:
    shown = expand("{date:%Y}", names(zone=None, at=86400.0 * 180))
    assert shown == "1970"


def test_the_default_template_depends_on_the_number_of_outputs() -> None:
    assert default_template(single=True) == "{parent}/{stem}.{ext}"
    assert default_template(single=False) == "{parent}/{name}/{output}"


@pytest.mark.parametrize("output", ["../x", "a/../../x", "/etc/passwd", "a\0b", "a\ud800"])
def test_an_output_name_cannot_lead_out(output: str) -> None:
    with pytest.raises(OutsideRoot):
        expand("{output}", names(output=output))


def test_nothing_left_is_refused() -> None:
    with pytest.raises(OutsideRoot, match="nothing is left"):
        expand("{output}", names(output="."))


def test_a_name_that_does_not_fit_is_refused_and_counts_bytes() -> None:
    assert expand("{output}", names(output="\u00e4" * 127)) == "\u00e4" * 127
    with pytest.raises(NameTooLong, match="256 bytes"):
        expand("{output}", names(output="\u00e4" * 128))


def test_undecodable_bytes_and_backslashes_stay() -> None:
    assert expand("{name}", names(path="a\\b\udcff.x")) == "a\\b\udcff.x"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{nam}", "did you mean {name}?"),
        ("{qqqq}", "known: name stem"),
        ("{}", "unknown field"),
        ("{name!r}", "unknown field"),
        ("{name", "double a brace"),
        ("name}", "double a brace"),
        ("{name:8}", "takes no format"),
        ("{date:{name}}", "field inside a field"),
        ("{date:%Q}", "unknown directive %Q"),
        ("/x/{name}", "relative"),
        ("../{name}", "leads out"),
        ("..", "leads out"),
        ("./", "names no file"),
        ("{parent}/", "names a folder"),
        ("a\0{name}", "NUL"),
    ],
)
def test_a_faulty_template_is_told_in_words(template: str, words: str) -> None:
    assert words in " ".join(problems(template))


def test_all_faults_of_a_template_are_told() -> None:
    assert len(problems("../{nam}/{ste}")) == 3


def test_every_field_can_be_used() -> None:
    for field in FIELDS:
        assert expand("x{" + field + "}", names())


@pytest.mark.parametrize(
    "name",
    [
        "n" * 300,
        "\u00e9" * 127 + "x",
        "x" + "\u00e9" * 127,
        "\U0001f600" * 63 + "abc",
        "\udcff" * 255,
    ],
    ids=ascii,
)
def test_a_suffix_always_fits_and_keeps_cut_names_apart(name: str) -> None:
    found, other = suffixed(f"a/{name}", ".error.txt"), suffixed(f"a/{name}!", ".error.txt")
    for path in (found, other):
        last = path.rpartition("/")[2]
        assert path.startswith("a/")
        assert path.endswith(".error.txt")
        assert 240 < len(os.fsencode(last)) <= LONGEST
        assert "\udcff" in name or last.isprintable()
    assert found != other


def test_a_suffix_that_fits_is_only_added() -> None:
    assert suffixed("a/b.stl", ".error.txt") == "a/b.stl.error.txt"
    assert suffixed("n" * 250, ".json") == "n" * 250 + ".json"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.glb", "a/b (2).glb"),
        ("b", "b (2)"),
        (".b", ".b (2)"),
        ("b.", "b. (2)"),
    ],
)
def test_a_number_stands_before_the_extension(path: str, expected: str) -> None:
    found = numbered(path, 2)
    assert found == expected
    assert len(os.fsencode(found)) <= LONGEST


def test_a_number_cuts_a_long_name_and_keeps_its_extension() -> None:
    found = numbered("x" * 251 + ".glb", 2)
    assert found.startswith("x" * 238 + "~")
    assert found.endswith(" (2).glb")
    assert len(found) == LONGEST


def test_an_extension_of_half_a_name_is_none() -> None:
    found = numbered("a." + "e" * 250, 2)
    assert found.endswith(" (2)")
    assert len(found) == LONGEST


def test_a_version_is_padded_by_a_number_of_digits():
    assert problems("{stem}-{version:03}.{ext}") == ()
    assert "number of digits" in problems("{stem}-{version:x}.{ext}")[0]

"""The words of rules: what `check` says of windows, conditions, templates, defaults, commands."""

from __future__ import annotations

import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml

from watcher.config.load import Loaded, load
from watcher.config.schema import schema
from watcher.errors import ConfigError

ROOT = Path(__file__).parents[2]
HEAD = "state: ./var\nfolders:\n  - {name: in, input: ./in, output: ./out, rules: [%s]}\n"


def read(tmp_path: Path, text: str) -> Loaded:
    (tmp_path / "in").mkdir(exist_ok=True)
    file = tmp_path / "watcher.yaml"
    file.write_text(textwrap.dedent(text))
    return load(file, {})


def rule(tmp_path: Path, words: str):
    return read(tmp_path, HEAD % f"{{{words}}}").settings.folders[0].rules[0]


def problems(tmp_path: Path, words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        rule(tmp_path, words)
    return "\n".join(caught.value.problems)


def test_conditions_become_settings(tmp_path):
    found = rule(
        tmp_path,
        'match: {glob: "*", path: "a/**", min_age: 1h, max_age: 2d, content: [zip, "0x00ff"]},'
        "process: pass",
    )
    assert found.match.paths == ("a/**",)
    assert (found.match.min_age, found.match.max_age) == (3600.0, 172800.0)
    assert found.match.content == ("zip", "0x00ff")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("match: {min_age: 2h, max_age: 1h}, process: pass", "min_age is larger"),
        ('match: {content: "0xz"}, process: pass', "content '0xz'"),
        ("match: {path: []}, process: pass", "path: an empty list"),
        ('match: "*", process: pass, when: "Mom-Fri"', "is no time window"),
        ('match: "*", process: pass, when: {hours: "9:00-10:00", zone: Mars/One}', "no time zone"),
        ('match: {regex: "(?P<stem>x)"}, process: pass', "cannot be called 'stem'"),
        ('match: {regex: "(?P<shot>x"}, process: pass', "regex:"),
        ('match: "*", process: api_test, params: {a: "{stme}"}', "did you mean {stem}"),
        ('match: "*", process: pass, deliver: "{shot}"', "unknown field {shot}"),
        ('match: "*", process: pass, deliver: "{version:x}/{name}"', "a number of digits"),
    ],
)
def test_each_mistake_is_told_at_its_place(tmp_path, words, said):
    told = problems(tmp_path, words)
    assert said in told
    assert "watcher.yaml:3:" in told


def test_a_folder_is_gathered_only_where_it_is_looked_into(tmp_path):
    text = HEAD % '{match: "*", bundle: folder, process: pass}'
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text.replace("rules:", "recursive: no, rules:"))
    assert "gathers nothing where recursive is false" in caught.value.problems[0]


def test_groups_of_the_regex_are_fields_of_deliver(tmp_path):
    found = rule(tmp_path, 'match: {regex: "(?<shot>x)"}, process: pass, deliver: "{shot}/{name}"')
    assert found.deliver == "{shot}/{name}"


def test_a_window_is_read_with_its_zone(tmp_path):
    found = rule(tmp_path, 'match: "*", process: pass, when: "Mon-Fri 19:00-07:00 Europe/Berlin"')
    assert str(found.when.zone) == "Europe/Berlin"
    assert found.when.windows[0].days == frozenset(range(5))


def test_defaults_and_anchors_are_written_once(tmp_path):
    made = read(
        tmp_path,
        """
        state: ./var
        x-web: &web {extension: glb}
        defaults:
          folder: {settle: 3s}
          rule: {retries: 7, params: {extension: obj}, entrypoint: main}
        folders:
          - name: in
            input: ./in
            output: ./out
            rules:
              - {name: a, match: "*.a", process: convert_file, params: *web}
              - {name: b, match: "*.b", process: convert_file, retries: 1}
              - {name: c, match: "*.c", jobs: [{process: api_test}]}
          - name: two
            input: ./in2
            output: ./out2
            settle: 1s
            rules: [{match: "*", process: pass}]
        """,
    ).settings
    a, b, c = made.folders[0].rules
    assert [folder.settle for folder in made.folders] == [3.0, 1.0]
    assert (a.retries, b.retries, c.retries) == (7, 1, 7)
    assert a.jobs[0].params == {"extension": "glb"}
    assert b.jobs[0].params == {"extension": "obj"}
    assert c.jobs[0].params == {}


def test_a_fault_in_defaults_is_told_once_and_there(tmp_path):
    text = """\
    state: ./var
    defaults:
      folder: {name: x}
      rule: {retires: 7}
    folders:
      - name: in
        input: ./in
        output: ./out
        rules: [{match: "*.a", process: pass}, {match: "*", process: pass}]
    """
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert [line.split(":", 1)[1] for line in caught.value.problems] == [
        "3:12: 'name' is each folder's own and has no default",
        "4:10: unknown key 'retires'; did you mean 'retries'?",
    ]


@pytest.mark.parametrize("sample", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_editors_find_no_fault_in_the_samples(sample):
    found = jsonschema.Draft202012Validator(schema()).iter_errors(
        yaml.safe_load(sample.read_text())
    )
    assert [error.message for error in found] == []


@pytest.mark.parametrize(
    "rule",
    [
        {"bundle": {"main": "*.asm"}, "process": "pass"},
        {"match": "*", "bundle": "sequence", "when": ["Sat", "Sun"], "process": "pass"},
        {"match": "*", "process": "a", "then": {"process": "b", "take": "*.x"}},
    ],
)
def test_editors_know_the_short_forms(rule):
    whole = {"x-a": {}, "folders": [{"input": "a", "output": "b", "rules": [rule]}]}
    assert jsonschema.Draft202012Validator(schema()).is_valid(whole)
    whole["folders"][0]["rules"] = [{"process": "pass"}]
    assert not jsonschema.Draft202012Validator(schema()).is_valid(whole)

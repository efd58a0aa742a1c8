"""Every mistake in a configuration is told at its place, all of them at once, quickly."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from watcher.config import find, load, model, sample, schema
from watcher.errors import ConfigError, UsageError

SAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
BASE = """\
folders:
  - name: cad
    input: ./in
    output: ./out
    rules:
      - match: "*.step"
        process: convert_file
"""
ENVIRON = {"HOME": "/home/artist", "NUMBER": "3", "EMPTY": ""}


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "watcher.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    (tmp_path / "in").mkdir(exist_ok=True)
    return path


def problems(tmp_path: Path, content: str | bytes) -> list[str]:
    """What is told, without the path of the file; nothing for a file that passes."""
    path = written(tmp_path, content)
    try:
        load(path, ENVIRON)
    except ConfigError as error:
        return [line.removeprefix(f"{path}:") for line in error.problems]
    return []


def settings(tmp_path: Path, content: str):
    return load(written(tmp_path, content), ENVIRON).settings


def warnings(tmp_path: Path, content: str) -> str:
    return "\n".join(load(written(tmp_path, content), ENVIRON).warnings)


def in_rule(text: str) -> str:
    return BASE + f"        {text}\n"


def in_folder(text: str) -> str:
    return BASE.replace("    output: ./out\n", f"    output: ./out\n    {text}\n")


def matching(text: str) -> str:
    return BASE.replace('match: "*.step"', f"match: {text}")


# ---------------------------------------------------------------- the file as such
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_samples_pass(path, tmp_path):
    copy = written(tmp_path, path.read_bytes())
    shutil.copytree(path.parent / "scripts", tmp_path / "scripts")
    load(copy, {"PIXYZ_TOKEN": "t"})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
        ("- a\n", "1:1: the file must be a mapping"),
        ("hello\n", "1:1: the file must be a mapping"),
        (BASE + "---\n" + BASE, "8:1: not valid YAML"),
        (BASE.replace("    input", "\tinput"), "3:1: not valid YAML: a tab"),
        (BASE.encode() + b"# caf\xe9\n", "8:1: not UTF-8 text"),
        (BASE.encode("utf-16"), "1:1: not UTF-8 text"),
        (BASE + "x: \0\n", "8:1: not valid YAML: a control character"),
        (BASE.encode() + b"# x\n" * 2_600_000, "1:1: is larger than 4 MiB"),
        ("state: a\nstate: b\n" + BASE, "2:1: the key 'state' is there twice (line 1)"),
        ("5: x\n" + BASE, "1:1: the key '5' must be text"),
        ("[a]: x\n" + BASE, "1:1: the key must be text"),
        ("state: !!python/object:os.system x\n" + BASE, "1:8: the tag"),
        ("state: *nope\n" + BASE, "1:8: not valid YAML: found undefined alias"),
        ("state: &a [*a]\n" + BASE, "1:8: an alias that holds itself"),
        ("state: [" * 2000 + "\n", "1:1: nested too deeply"),
        (BASE + "      - {<<: 3, name: z}\n", "8:14: `<<` takes a mapping"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_no_configuration_is_told_in_one_line(tmp_path, content, expected):
    assert any(line.startswith(expected) for line in problems(tmp_path, content))


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    assert problems(tmp_path, b"\xef\xbb\xbf" + BASE.encode()) == []


def billion_laughs() -> str:
    first = "a0: &a0 [" + ",".join("x" * 10) + "]"
    more = (f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))
    return "\n".join([first, *more, BASE])


def quadratic() -> str:
    aliases = ",".join(["*a"] * 40_000)
    return f"a: &a {'x' * 100_000}\nb: [{aliases}]\n{BASE}"


@pytest.mark.parametrize("bomb", [billion_laughs, quadratic])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path, bomb):
    begin = time.thread_time()
    told = problems(tmp_path, bomb())
    assert any("aliases of aliases?" in line for line in told)
    assert time.thread_time() - begin < 10.0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.yaml", "No such file"),
        (".", "is a folder"),
        ("/proc/self/mem", "cannot be read (Input/output error)"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path, path, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / path, {})
    (told,) = caught.value.problems
    assert words in told


def test_all_mistakes_are_told_at_once_in_order_of_place(tmp_path):
    told = problems(
        tmp_path,
        """\
stat: ./var
scheduler: {url: ftp://farm, max_in_flight: 0}
http: {listen: 0.0.0.0:9410}
folders:
  - name: cad
    inptu: ./in
    output: ./out
    settle: soon
    rules:
      - {match: "{a,b", process: convert_fiel, retries: -1}
      - {process: convert_file, scheduler: farm, deliver: "../{nam}"}
  - {name: cad, input: ./in2, output: ./in2, rules: []}
""",
    )
    expected = [
        ("1:1", "did you mean 'state'?"),
        ("2:18", "url must be"),
        ("2:45", "max_in_flight must be 1 or more"),
        ("3:16", "token_file is needed"),
        ("6:5", "did you mean 'input'?"),
        ("8:13", "is not a duration"),
        ("10:17", "a brace is not closed"),
        ("10:57", "retries must be 0 or more"),
        ("11:9", "match is missing"),
        ("11:44", "there is no scheduler 'farm'"),
        ("11:59", "did you mean {name}?"),
        ("11:59", "leads out"),
        ("12:12", "is there twice"),
        ("12:39", "are the same folder"),
        ("12:53", "needs at least one entry"),
    ]
    for place, words in expected:
        assert any(line.startswith(f"{place}: ") and words in line for line in told), (
            place, words, told,
        )  # fmt: skip
    assert len(told) == len(set(told)) == len(expected)
    places = [tuple(map(int, line.split(":")[:2])) for line in told]
    assert places == sorted(places)


def test_a_stray_key_hides_nothing_else(tmp_path):
    told = problems(tmp_path, "bogus: 1\n" + in_rule("scheduler: farn"))
    assert len(told) == 2
    assert "no scheduler 'farn'" in told[1]


def test_a_file_without_folders_is_checked_otherwise(tmp_path):
    told = problems(tmp_path, "scheduler: {url: nonsense}\n")
    assert [line.partition(": ")[2][:12] for line in told] == ["folders is m", "url must be "]


def test_a_folder_that_lacks_its_input_has_its_rules_checked(tmp_path):
    text = BASE.replace("    input: ./in\n", "").replace("convert_file", "convert_fiel")
    assert len(problems(tmp_path, text)) == 2


# ---------------------------------------------------------------- one key at a time
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (in_rule("retries: many"), "8:18: retries must be a whole number"),
        (in_rule("retries: 1.5"), "8:18: retries must be a whole number"),
        (in_rule("retries: true"), "8:18: retries must be a whole number"),
        (in_rule("retries: [1]"), "8:18: retries must be a whole number"),
        (in_rule("retries:"), "retries has no value"),
        (in_rule("priority: 99999999999999999999"), "priority must be 1000000 or less"),
        (in_rule("max_in_flight: 0"), "max_in_flight must be 1 or more"),
        (in_rule("retry_after: -5s"), "is not a duration such as"),
        (in_rule("retry_after: -5"), "retry_after: -5 is not a duration"),
        (in_rule("retry_after: true"), "is not a duration"),
        (in_rule("retry_after: .nan"), "is not a duration"),
        (in_rule("retry_after: 1e400"), "is not a duration"),
        (in_rule("retry_after: 1 fortnight"), "is not a duration"),
        (in_rule("retry_after: 999999999999d"), "longer than a hundred years"),
        (in_rule("time_limit: 0s"), "time_limit must be more than 0"),
        (in_rule("receipt: maybe"), "receipt must be true or false"),
        (in_rule("on_conflict: owm"), "must be own, replace, rename, skip or fail"),
        (in_rule("on_repeat: skp"), "must be again, skip or version"),
        (in_rule("missing: ignore"), "missing must be fail or warn"),
        (in_rule("wait_for_parts: x"), "is not a duration"),
        (in_rule("params: [1]"), "params must be a mapping"),
        (in_rule("queue: ''"), "queue is empty"),
        (in_rule("entrypoint: 5"), "entrypoint must be text"),
        (in_rule("name: a/b"), "without /"),
        (in_rule("name: .hidden"), "not begin with a dot"),
        (in_rule("script: ./x.py"), "process and script exclude each other"),
        (in_rule("jobs: [{process: pass}]"), "process and jobs exclude each other"),
        (in_rule("proces: x"), "did you mean 'process'?"),
        (in_folder("scan_every: 0"), "5:17: scan_every must be more than 0"),
        (in_folder("recursive: perhaps"), "recursive must be true or false"),
        (in_folder("ignore: '[a'"), "is not closed"),
        (in_folder("watch: inotify"), "must be auto, native or polling"),
        (in_folder("done: ''"), "done is empty"),
        (in_folder("done: 5"), "done must be text"),
        ("log: {level: loud}\n" + BASE, "must be debug, info, warning or error"),
        ("log: {format: xml}\n" + BASE, "must be auto, json or console"),
        ("ledger: mysql\n" + BASE, "ledger must be `sqlite`"),
        ("keep_history: 0\n" + BASE, "must be more than 0"),
        ("http: none\n" + BASE, "http must be `off`"),
        ("http: {listen: localhost:http}\n" + BASE, "is not an address such as"),
        ("http: {listen: 127.0.0.1:99999}\n" + BASE, "is not an address such as"),
        ("http: {listen: 0.0.0.0:1}\n" + BASE, "token_file is needed"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_wrong_value_is_told_with_what_would_be_right(tmp_path, text, words):
    told = problems(tmp_path, text)
    assert len(told) == 1
    assert words in told[0]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m30s", 90.0), ("500ms", 0.5), ("90d", 7776000.0), ("0", 0.0), ("1.5h", 5400.0), ("7", 7.0)],
)
def test_durations(tmp_path, text, seconds):
    (folder,) = settings(tmp_path, in_rule(f"retry_after: {text}")).folders
    assert folder.rules[0].retry_after == seconds


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("{regex: '('}", "6:24: regex: missing )"),
        ("{regex: '(a+)+$'}", "keep it busy for hours"),
        ("{regex: '(\\w+)+x'}", "keep it busy for hours"),
        ("{regex: '^(.*a){20}$'}", "keep it busy for hours"),
        ("{glob: '{a,b'}", "a brace is not closed"),
        ("{glob: []}", "an empty list matches nothing"),
        ("{not: {glob: '[z-a]'}}", "runs backwards"),
        ("{min_size: 1TB, max_size: 1k}", "min_size is larger than max_size"),
        ("{min_size: lots}", "is not a size such as"),
        ("{min_size: -1}", "is not a size such as"),
        ("{}", "match has no condition"),
        ("'/abs'", "below the input folder"),
        ("'../x'", "below the input folder"),
        ("'{a,b}{c,d}{e,f}{g,h}{i,j}{k,l}{m,n}{o,p}{q,r}{s,t}'", "more than 1000 alternatives"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(tmp_path, match, words):
    told = problems(tmp_path, matching(match))
    assert len(told) == 1
    assert words in told[0]


@pytest.mark.parametrize(
    "regex", [r"v[0-9]+", r"^shots/(\d{4})_.*\.exr$", r"(part|asm)-[a-z_]+(-v\d+)?\.step$"]
)
def test_a_sensible_expression_passes(tmp_path, regex):
    assert problems(tmp_path, matching(f"{{regex: '{regex}'}}")) == []


@pytest.mark.parametrize(
    ("deliver", "words"),
    [
        ("{nam}", "did you mean {name}?"),
        ("/abs/{name}", "relative to the output folder"),
        ("../{name}", "leads out"),
        ("{date:%Y/../../x}/{name}", "leads out"),
        ("{date:%Q}/{name}", "unknown directive %Q"),
        ("{date:%}/{name}", "unknown directive %"),
        ("{name", "double a brace"),
        ("{stem}/", "names a folder"),
        ("sub/{parent}", "names a folder"),
        ("{name:8}", "takes no format"),
    ],
)
def test_a_template_that_cannot_name_a_file_is_refused(tmp_path, deliver, words):
    told = problems(tmp_path, in_rule(f'deliver: "{deliver}"'))
    assert len(told) == 1
    assert words in told[0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("farm:8001", "such as http://host:8001"),
        ("http://", "such as http://host:8001"),
        ("ftp://farm", "such as http://host:8001"),
        ("embeded", "must be `embedded`"),
        ("http://farm:0", "such as http://host:8001"),
        ("http://farm:99999", "not a valid address"),
        ("http://farm:port", "not a valid address"),
        ("http://[::1", "not a valid address"),
        ("http://farm/?a=1", "no `?`"),
        ("http://user:hunter2@farm", "use token or token_file"),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(tmp_path, url, words):
    told = problems(tmp_path, f"scheduler: {{url: '{url}'}}\n" + BASE)
    assert len(told) == 1
    assert words in told[0]
    assert "hunter2" not in told[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("def main(:", "is not valid Python (line 1)"),
        ("\0", "is not valid Python"),
        ("x = 1", "has no function 'main'"),
        ("class main: pass", "has no function 'main'"),
    ],
)
def test_a_script_that_cannot_run_is_refused(tmp_path, body, words):
    if body is not None:
        (tmp_path / "own.py").write_text(body)
    told = problems(tmp_path, BASE.replace("process: convert_file", "script: ./own.py"))
    assert len(told) == 1
    assert words in told[0]


# ---------------------------------------------------------------- variables
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NONE:-./in}", "in"),
        ("${EMPTY:-./in}", "in"),
        ("./$${X}", "${X}"),
        ("in${NUMBER}", "in3"),
        ("~/drop", "/home/artist/drop"),
    ],
)
def test_a_variable_is_filled_in(tmp_path, text, expected):
    (folder,) = settings(tmp_path, BASE.replace("./in", text)).folders
    assert folder.input == tmp_path / expected


def test_a_variable_may_be_a_number(tmp_path):
    (folder,) = settings(tmp_path, in_rule("retries: ${NUMBER}")).folders
    assert folder.rules[0].retries == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${NONE}", "3:12: the environment variable NONE is not set"),
        ("${EMPTY}", "3:12: input is empty"),
        ("${NONE:-${EMPTY}}", "a default cannot hold another"),
        ("${1X}", "must go on as ${NAME}"),
        ("'${X'", "must go on as ${NAME}"),
    ],
)
def test_a_variable_that_cannot_be_filled_in_is_told(tmp_path, text, words):
    told = problems(tmp_path, BASE.replace("./in", text))
    assert len(told) == 1
    assert words in told[0]


def test_a_variable_is_no_key(tmp_path):
    told = problems(tmp_path, BASE.replace("input:", "${NUMBER}:"))
    assert any("unknown key '${NUMBER}'" in line for line in told)


# ---------------------------------------------------------------- trees
def two(first: str, second: str) -> str:
    """Two folders: (input, output) of each, as flow mappings."""
    rule = '[{match: "*", process: pass}]'
    return f"folders:\n  - {{{first}, rules: {rule}}}\n  - {{{second}, rules: {rule}}}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE.replace("./out", "./in"), "are the same folder"),
        (BASE.replace("./out", "./in/out"), "lies inside cad: input"),
        (BASE.replace("./in", "./out/in"), "lies inside cad: output"),
        (BASE.replace("./out", "link/x"), "lies inside cad: input"),
        (in_folder("failed: ./in/failed"), "lies inside cad: input"),
        (in_folder("done: ./in"), "are the same folder"),
        (in_folder("failed: ./watcher.yaml/x"), "is not a folder"),
        ("state: ./in/var\n" + BASE, "lies inside cad: input"),
        ("state: ./watcher.yaml\n" + BASE, "is not a folder"),
        (BASE.replace("./in", "./watcher.yaml"), "is not a folder"),
        (two("input: ./a, output: ./m", "input: ./m, output: ./o"), "are the same folder"),
        (two("input: ./a, output: ./m/x", "input: ./m, output: ./o"), "lies inside m: input"),
        (two("name: x, input: ./a, output: ./o", "input: ./a, output: ./p"), "the same folder"),
        (two("name: x, input: ./a, output: ./o", "name: x, input: ./b, output: ./p"), "twice"),
    ],
    ids=lambda value: str(value)[-50:],
)
def test_trees_that_would_feed_on_each_other_are_refused(tmp_path, text, words):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    assert any(words in line for line in problems(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("notify: [{on: [failed], url: 'http://h/', secret: hunter2}]", True),
        ("notify: [{on: [failed], url: 'http://h/', secret: '${HOOK:-}'}]", False),
        ("ledger: postgresql://me:hunter2@db/w", True),
        ("ledger: postgresql://me:${HOOK:-}@db/w", False),
        ("ledger: postgresql://me@db/w", False),
    ],
)
def test_other_secrets_in_an_open_file_are_warned_of(tmp_path, text, warned):
    path = written(tmp_path, f"{text}\n{BASE}")
    path.chmod(0o644)
    told = load(path, ENVIRON).warnings
    assert any("others can read" in line for line in told) == warned
    assert "hunter2" not in " ".join(told)


def test_relative_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    loaded = settings(tmp_path, BASE)
    assert loaded.folders[0].output == tmp_path / "out"
    assert loaded.folders[0].failed == tmp_path / "failed" / "cad"


# ---------------------------------------------------------------- warnings and secrets
def test_a_token_written_out_in_an_open_file_is_warned_of_and_never_shown(tmp_path):
    text = "scheduler: {url: 'http://farm', token: hunter2}\n" + BASE
    path = written(tmp_path, text)
    assert load(path, ENVIRON).warnings == ()
    path.chmod(0o644)
    loaded = load(path, ENVIRON)
    assert "others can read" in loaded.warnings[0]
    assert "hunter2" not in repr(loaded)
    for faulty in ("token: [hunter2]", "token: hunter2, token_file: ./none"):
        told = problems(tmp_path, text.replace("token: hunter2", faulty))
        assert told
        assert "hunter2" not in " ".join(told)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (in_folder("done: keeep"), "did you mean 'keep'?"),
        (matching('"*"') + '      - {match: "*.x", process: pass}\n', "this rule gets nothing"),
        (BASE.replace("./in", '"a\\nb"'), "a\\nb does not exist yet"),
    ],
)
def test_what_works_and_is_hardly_meant_is_a_warning_in_one_line(tmp_path, text, words):
    told = warnings(tmp_path, text)
    assert words in told
    assert len(told.splitlines()) == 1


# ---------------------------------------------------------------- finding, tokens, defaults
def test_the_file_is_found_where_the_contract_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find(Path("x.yaml"), {"WATCHER_CONFIG": "y.yaml"}) == Path("x.yaml")
    assert find(None, {"WATCHER_CONFIG": "y.yaml"}) == Path("y.yaml")
    with pytest.raises(UsageError, match="watcher init"):
        find(None, {})
    written(tmp_path, BASE)
    assert find(None, {}) == Path("watcher.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"a b\nc", "one line"), (b"", "one line"), (b"\xff", "one line")],
)
def test_a_token_file_holds_one_line(tmp_path, content, words):
    text = "scheduler: {url: 'http://farm', token_file: ./token}\n" + BASE
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    assert words in problems(tmp_path, text)[0]
    (tmp_path / "token").write_bytes(b"hunter2\n")
    token = settings(tmp_path, text).schedulers["default"].token
    assert token is not None
    assert token.reveal() == "hunter2"


def test_defaults_and_anchors_are_written_once_and_blamed_once(tmp_path):
    text = """\
x-web: &web {extension: glb}
x-more: &more {priority: 7}
defaults:
  folder: {settle: 3s}
  rule: {retries: 5, receipt: true, params: {a: 1}}
""" + BASE + """\
        params: *web
      - {<<: [*more, {retries: 1}], match: "*.x", process: pass, retry_after: 0}
      - {match: "*.y", jobs: [{process: pass, params: {b: 2}}]}
"""  # fmt: skip
    (folder,) = settings(tmp_path, text).folders
    assert folder.settle == 3.0
    one, two, three = folder.rules
    assert (one.retries, one.receipt, one.jobs[0].params) == (5, True, {"extension": "glb"})
    assert (two.retries, two.priority, two.name) == (1, 7, "pass")
    assert (three.name, three.jobs[0].params) == ("pass-2", {"b": 2})
    faulty = text.replace("retries: 5", "retries: many").replace("settle: 3s", "name: x")
    told = problems(tmp_path, faulty)
    assert [line.split(" ")[0] for line in told] == ["4:12:", "5:19:"]
    assert "each folder's own" in told[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (in_rule("params: {a: '${NONE}'}"), "NONE is not set"),
        (in_rule("params: {a: !!int x}"), "'x' is not int"),
        (matching("{regex: '(?P<name>x)'}"), "a group cannot be called 'name'"),
        (matching("{content: ['']}"), "empty"),
        (in_rule("when: whenever"), "when:"),
        (BASE.replace("process: convert_file", "command: []"), "must be a list"),
        (BASE.replace("process: convert_file", "command: ['{stem}']"), "must be spelled out"),
        (BASE.replace("process: convert_file", "command: [cat, '{stemm}']"), "stemm"),
        (in_rule("params: {a: '{stemm}'}"), "stemm"),
        (
            "scheduler: {url: 'http://farm'}\n" + BASE.replace("convert_file", "a/b"),
            "cannot be a name in paths",
        ),
        (BASE.replace("process: convert_file", "jobs: []"), "jobs needs at least one entry"),
        (BASE.replace("process: convert_file", "jobs: [{}]"), "a job needs one of"),
        (BASE.replace("        process: convert_file\n", ""), "the rule needs one of"),
        (in_rule("params: {a: 1}").replace("process: convert_file", "jobs: [{process: pass}]"),
         "params belongs to each entry"),
        ("scheduler: {url: 'http://farm', processes: ./p}\n" + BASE, "embedded scheduler only"),
        ("scheduler: {processes: ./none}\n" + BASE, "there is no folder"),
        ("scheduler: {workers: 0}\n" + BASE, "must be `auto` or a whole number"),
        ("schedulers: {default: {url: 'http://farm'}}\n" + BASE, "the one under `scheduler`"),
        ("schedulers: {a/b: {url: 'http://farm'}}\n" + BASE, "without /"),
        ("schedulers: {farm: {uri: x}}\n" + in_rule("scheduler: farm"), "did you mean 'url'?"),
        ("ledger: postgresql://h:x/db\n" + BASE, "ledger is not a valid address"),
        ("folders: {a: b}\n", "folders must be a list"),
        ("defaults: {rule: 3}\n" + BASE, "rule must be a mapping"),
        ("scheduler: {workers: x}\n" + BASE, "must be `auto` or a whole number"),
        (BASE.replace("- name: cad", "- name: [cad]"), "name must be text"),
        (BASE.replace("- name: cad", "- name: '${EMPTY}'"), "name is empty"),
("folders: [{input: ./in, output: ./out, rules: 3}]\n", "rules must be a list"),
        (in_rule("max_in_flight: 2000000"), "must be 1000000 or less"),
        (in_folder("bundle: x"), "unknown key 'bundle'"),
    ],
    ids=lambda value: str(value)[-60:],
)  # fmt: skip
def test_more_that_is_wrong_is_told_alone(tmp_path, text, words):
    told = problems(tmp_path, text)
    assert words in " ".join(told), told
    assert len(told) == 1, told


def test_a_program_needs_no_scheduler_of_its_own_and_its_lack_is_a_warning(tmp_path):
    text = "scheduler: {url: 'http://farm'}\n" + BASE.replace(
        "process: convert_file", "command: [no-such-program, '{input}']"
    )
    assert "no 'no-such-program' in PATH" in warnings(tmp_path, text)
    loaded = settings(tmp_path, text)
    spec = loaded.folders[0].rules[0].jobs[0]
    assert loaded.schedulers[spec.scheduler].url == "embedded"


def test_the_schema_and_the_sample_name_every_key(tmp_path):
    assert problems(tmp_path, sample().replace("./drop/cad", "./in")) == []
    shape = schema()
    for keys in (model.FolderKeys, model.RuleKeys, model.SchedulerKeys, model.MatchKeys):
        told = shape["$defs"][keys.__name__]["properties"]
        for name, field in keys.model_fields.items():
            key = field.alias or name
            assert key in told
            assert f"{key}:" in sample()


# ---------------------------------------------------------------- the contract's keys
KEYS = {
    model.FileKeys: "state ledger keep_history scheduler schedulers http log notify folders",
    model.SchedulerKeys: "url token token_file max_in_flight poll_every timeout workers processes",
    model.HttpKeys: "listen token_file",
    model.LogKeys: "level format",
    model.FolderKeys: "name input output done failed watch scan_every settle recursive ignore "
    "rules max_in_flight status_file",
    model.RuleKeys: "name match process script command jobs scheduler entrypoint params queue "
    "time_limit priority max_in_flight retries retry_after receipt on_repeat bundle "
    "wait_for_parts missing root_file done_file allow when then deliver on_conflict",
    model.MatchKeys: "glob regex min_size max_size not",
}


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: keys.__name__)
def test_every_key_of_the_contract_is_known(keys):
    known = {field.alias or name for name, field in keys.model_fields.items()}
    assert set(KEYS[keys].split()) <= known

"""``watcher doctor`` on machines that are well and machines that are not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFIG = """\
state: ./var
http: {{listen: '127.0.0.1:{port}'}}
scheduler: {{url: "{url}"}}
folders:
  - name: cad
    input: {input}
    output: ./out
    done: ./done
    failed: ./failed
    rules:
      - {{name: r, match: "*", process: {process}}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def doctor(place, *words, url="embedded", process="pass", port=0, folder="./in"):
    config = CONFIG.format(port=port or free_port(), url=url, process=process, input=folder)
    (place / "watcher.yaml").write_text(config)
    return subprocess.run(
        [sys.executable, "-m", "watcher", "doctor", *words], capture_output=True, text=True,
        cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def found(done):
    return {one["what"]: one for one in json.loads(done.stdout)}


def test_a_machine_that_is_well_converts_and_is_left_as_it_was(tmp_path):
    (tmp_path / "in").mkdir()
    done = doctor(tmp_path, process="convert_file")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "convert_file: done in" in done.stdout
    assert "generate_thumbnails: done in" in done.stdout
    assert done.stdout.endswith("all is well\n")
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["in", "watcher.yaml"]


def test_what_is_wrong_is_said_with_what_to_do(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = doctor(
            tmp_path, "--json", url=f"http://127.0.0.1:{free_port()}", port=port,
            process="convert_file",
        )  # fmt: skip
    assert done.returncode == 1
    told = found(done)
    assert told["cad: input"]["found"].endswith("in is not there")
    assert told["page"]["level"] == "mend"
    assert told["scheduler default"]["level"] == "mend"
    assert all(one["fix"] for one in told.values() if one["level"] == "mend")
    assert told["cad: output"]["found"].endswith("can be written, will be made")


def test_a_folder_that_cannot_be_written_is_found_out(tmp_path):
    """Not even root may write into sysfs."""
    done = doctor(tmp_path, "--json", folder="/sys/kernel")
    assert done.returncode == 1, done.stderr
    told = found(done)
    assert told["cad: input"]["level"] == "mend"
    assert f"we are uid {os.geteuid()}" in told["cad: input"]["fix"]
    assert told["cad: output"]["level"] == "ok"


def test_an_invalid_configuration_is_no_matter_for_a_doctor(tmp_path):
    done = doctor(tmp_path, process="nonsense")
    assert done.returncode == 2
    assert "has no process 'nonsense'" in done.stderr

"""The documents of the wire, against what the real scheduler's documents look like."""

from __future__ import annotations

from dataclasses import replace

import pytest

from watcher.embedded import documents
from watcher.embedded.store import Job, Step

ID = "0937e04a-fb7e-4d4d-9ca3-168f45ff603d"
JOB = Job(
    seq=1, id=ID, name="part", process="x", priority=0, status="PENDING", requested=1763950402.5
)
FOLDER = f"/srv/my state/jobs/{ID}"


def test_the_reply_to_a_submission_is_sent():
    assert documents.submitted(ID, "") == {
        "uuid": ID,
        "name": None,
        "status": "SENT",
        "progress": None,
        "error": None,
    }


def test_a_queued_job_reads_like_an_unknown_one_but_keeps_its_name_and_time():
    told = documents.details(JOB)
    blank = documents.unknown_details(ID)
    assert told.keys() == blank.keys()
    assert told["name"] == "part"
    assert told["time_info"]["request"] == "2025-11-24T02:13:22.500000"
    same = set(told) - {"name", "time_info"}
    assert {key: told[key] for key in same} == {key: blank[key] for key in same}
    assert blank["result"] == "None"
    assert blank["steps"] is None


def test_a_job_at_work_shows_its_steps_and_an_empty_result():
    running = replace(
        JOB, status="RUNNING", started=1763950403.0, progress=0, steps=(Step("cutting"),)
    )
    told = documents.details(running)
    assert told["steps"] == [{"duration": -1.0, "info": "cutting"}]
    assert told["result"] == {}
    assert told["time_info"]["started"] == "2025-11-24T02:13:23+00:00"


@pytest.mark.parametrize("result", [None, 1, True, "x", [1], {"a": 1}])
def test_a_result_is_whatever_the_script_returned(result):
    done = replace(JOB, status="SUCCESS", progress=100, result=result, warnings=("no texture",))
    told = documents.details(done)
    assert told["result"] == result
    assert told["warnings"] == ["no texture"]


def test_a_failure_gives_its_reason_in_short_and_its_traceback_in_detail():
    detail = f'  File "{FOLDER}/script.py", line 1\n  File "/usr/lib/x/json/a.py", line 2\nE: no'
    failed = replace(JOB, status="FAILURE", error="E: no", detail=detail)
    assert documents.short(failed)["error"] == "E: no"
    told = documents.details(failed)
    assert told["result"] == "E: no"
    assert told["error"] == '  File "script.py", line 1\n  File "a.py", line 2\nE: no'


def test_a_failure_that_is_for_good_says_so():
    failed = replace(JOB, status="FAILURE", error="empty", permanent=1)
    assert documents.details(failed)["permanent"] is True
    assert "permanent" not in documents.details(replace(failed, permanent=0))


def test_last_words_without_a_reason_are_followed_by_it():
    failed = replace(JOB, status="FAILURE", error="crashed", detail="Fatal: segv")
    assert documents.details(failed)["error"] == "Fatal: segv\ncrashed"


def test_the_folders_of_this_machine_are_never_told():
    error = f"[Errno 2] No such file: '{FOLDER}/inputs/a b.obj', see /etc/hosts"
    failed = replace(JOB, status="FAILURE", error=error)
    assert documents.short(failed)["error"] == (
        "[Errno 2] No such file: 'inputs/a b.obj', see /etc/hosts"
    )
    assert documents.details(replace(failed, error=None))["result"] == ""


def test_a_revoked_job_tells_why():
    revoked = replace(JOB, status="REVOKED", result="expired")
    assert documents.details(revoked)["result"] == "expired"
    assert documents.details(replace(revoked, result=None))["result"] == "revoked"


def test_lists():
    assert documents.jobs([JOB])["jobs"] == [documents.short(JOB)]
    assert documents.outputs(["a"]) == {"outputs": ["a"]}
    assert documents.processes(["sleep"]) == {"processes": ["sleep"]}
    assert documents.documentation("p", "") == {"doc": "Process 'p' documentation:\n\nNone"}

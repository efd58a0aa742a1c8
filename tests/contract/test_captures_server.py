"""``watcher serve`` is asked what a real Pixyz Scheduler was asked; it answers alike.

Alike: the same status code, the same fields of the same kinds, the same state. Every difference is
listed here with its reason; a listed one that is none fails too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests

from tests.serving import ENDED, WITHIN, Server, start_server, until

ALL = {
    row["id"]: row
    for line in (Path(__file__).parents[1] / "captures" / "exchanges.jsonl").read_text().split("\n")
    if line
    for row in [json.loads(line)]
}
# the replies that differ in their status code, and why
MENDED = {
    # 500 in plain text for what a caller did wrong: 400 with the reason
    "post_config_array": 400,
    "post_config_null": 400,
    "post_config_string": 400,
    "post_config_queue_num": 400,
    "post_script_syntax_error": 400,
    "post_script_not_utf8": 400,
    "post_script_nul": 400,
    "post_script_as_plain_field": 400,
    "post_file_plain_field": 400,
    "post_filename_dot": 400,
    "post_filename_dotdot": 400,
    "post_filename_slash_end": 400,
    "post_filename_empty": 400,
    "post_filename_long": 400,
    "post_filename_nul": 400,
    "output_directory": 400,
    "output_directory_slash": 400,
    "output_emptydir": 400,
    "output_dotdot": 400,
    "output_empty_path": 400,
    "output_enc_dot": 400,
    "output_self_dot": 400,
    "output_nul": 400,
    "process_doc___init__": 400,
    # accepted there, and then waited for in vain, or failed: refused at once
    "post_queue_unknown": 400,
    "post_config_task_id_bad": 400,
    "post_config_time_limit_bad": 400,
    "post_config_time_limit_str": 400,
    # inputs and scripts are nobody's outputs
    "output_traversal_raw": 400,
    "output_traversal_encoded": 400,
    # DELETE is an addition
    "delete_job": 204,
    # no CORS
    "cors_preflight": 405,
    # a developer's endpoint without use
    "dev_callback": 404,
    # a process that is not here
    "process_doc_thumbnail_chained": 400,
    # a result that is no UTF-8 is a failure, whose details can be read
    "life_ret_bytes_2_details": 200,
    "life_ret_bytes_3_backend_meta": 200,
    # the record of a failed job can be read
    "life_exit3_3_backend_meta": 200,
    "life_fail_3_backend_meta": 200,
    "life_fail_custom_exc_3_backend_meta": 200,
    "life_ret_set_3_backend_meta": 200,
    "life_segv_3_backend_meta": 200,
    "life_sysexit_3_backend_meta": 200,
    "life_timeout_gpuhigh_3_backend_meta": 200,
    # asking an unknown job for its outputs makes no folder: it stays unknown
    "unknown_uuid_outputs_archive": 404,
    "unknown_uuid_archive_after_outputs": 404,
}
# the ends that differ, and why
ENDS = {
    # a time limit holds for a second run too, so there is none
    "post_config_time_limit_0__details": "FAILURE",
    "post_config_time_limit_neg__details": "FAILURE",
    "life_timeout": "FAILURE",
    # `sleep` needs no SDK here
    "post_process_sleep__details": "SUCCESS",
    "post_process_twice__details": "SUCCESS",
    # the reply names the chosen id, so there is no other one that waits for ever
    "post_config_task_id__details": "SUCCESS",
    # a caller's `time_request` does not hide the job's own
    "post_config_time_request__details": "SUCCESS",
    # see MENDED
    "life_ret_bytes": "FAILURE",
}
# details of jobs that are refused here (MENDED), or that the server itself made up
NO_JOB = {f"{name}__details" for name in MENDED} | {"post_queue_unknown__status"}
MULTI = "10589a27-4858-4ba7-b27e-07c8c9009faa"  # the job of many outputs
POSTS = [name for name, row in ALL.items() if row["method"] == "POST" and "form" in row]
AFTER = [name for name in ALL if re.search("__(details|status)$", name) and name not in NO_JOB]
LIVES = sorted({re.sub(r"_\d_.*", "", name) for name in ALL if name.startswith("life_")})
OUTPUTS = [name for name, row in ALL.items() if MULTI in row["path"]]
PLAIN = [
    name
    for name, row in ALL.items()
    if "form" not in row
    and not re.match("life_|archive_|revoked_|zip_|no_input|compute_only_copy|task_id", name)
    and name not in AFTER
    and name not in NO_JOB
    and name not in OUTPUTS
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start_server(tmp_path_factory.mktemp("captures"), "--workers", "2") as started:
        yield started


@pytest.fixture(scope="module")
def multi(server):
    """The job with many outputs, as in the captures."""
    job = server.submit(script=ALL["output_traversal_raw"]["answer"])
    assert server.wait(job)["status"] == "SUCCESS"
    return job


def send(server: Server, row: dict, **ids: str) -> requests.Response:
    """Send a recorded request as it was: path, headers and body byte by byte."""
    path = row["path"]
    for old, new in ids.items():
        path = path.replace(old.replace("_", "-"), new)
    headers = {k: v for k, v in row["headers"].items() if k.lower() != "content-length"}
    body: bytes = row.get("body", "").encode()
    if "form" in row:
        headers["Content-Type"] = "multipart/form-data; boundary=frontier"
        body = form_of(row["form"])
    request = requests.Request(row["method"], server.url, headers=headers, data=body).prepare()
    request.url = server.url + path  # unchanged: requests would tidy it up
    with requests.Session() as session:
        return session.send(request, timeout=WITHIN, allow_redirects=False)


def form_of(fields: list[dict]) -> bytes:
    parts = []
    for field in fields:
        head = f'Content-Disposition: form-data; name="{field["name"]}"'
        content = field.get("value", "").encode()
        if "filename" in field:
            quoted = field["filename"].replace("\\", "\\\\").replace('"', '\\"')
            head += f'; filename="{quoted}"\r\nContent-Type: {field["content_type"]}'
            raw = field["content"]
            if size := re.fullmatch(r"<(\d+) bytes>", raw):
                raw = "x" * int(size[1])  # shortened in the record
            content = (
                raw.encode("latin-1") if field["name"] == "script" and "\0" in raw else raw.encode()
            )
        parts.append(b"--frontier\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + b"--frontier--\r\n"


# of any kind; and what this server adds (docs/serve.md)
OWN = ("result", "steps", "permanent", "warnings")


def kinds(value: object) -> object:
    """What a document is made of: its fields, and which of them are objects or lists."""
    if isinstance(value, dict):
        return {key: kinds(item) for key, item in value.items() if key not in OWN}
    return "list" if isinstance(value, list) else "value"


def check(name: str, reply: requests.Response) -> None:
    """A reply is as recorded, or as listed."""
    row = ALL[name]
    assert reply.status_code == MENDED.get(name, row["status"]), reply.text
    assert name not in MENDED or MENDED[name] != row["status"], "no difference"
    if reply.status_code != row["status"]:
        if reply.status_code >= 400:
            assert set(reply.json()) == {"detail"}
        return
    for key in ("content-type", "www-authenticate", "content-disposition", "content-range"):
        if key in row["reply"] and "multipart" not in row["reply"][key]:
            assert reply.headers.get(key) == row["reply"][key]
    if isinstance(row["answer"], dict):
        told = reply.json()
        assert kinds(told) == kinds(row["answer"])
        if "status" in told:
            assert told["status"] == row["answer"]["status"]


@pytest.mark.parametrize("name", POSTS)
def test_submission(server, name):
    reply = send(server, ALL[name])
    check(name, reply)
    if reply.status_code == 200:
        assert reply.json()["name"] == ALL[name]["answer"]["name"]


@pytest.mark.parametrize("name", AFTER)
def test_what_became_of_a_submission(server, name):
    row = ALL[name]
    sent = send(server, ALL[re.sub("__(details|status)$", "", name)]).json()["uuid"]
    server.wait(sent)
    path = re.sub(r"[0-9a-f-]{36}", sent, row["path"])
    reply = send(server, row | {"path": path})
    told, was = reply.json(), row["answer"]
    assert set(told) - set(OWN) == set(was) - set(OWN)
    assert told["status"] == ENDS.get(name, was["status"])
    assert name not in ENDS or ENDS[name] != was["status"], "no difference"
    if isinstance(was["result"], dict) and told["status"] == "SUCCESS" and was["result"]:
        assert set(was["result"]) <= set(told["result"]), "keys that scripts see"


@pytest.mark.parametrize("life", LIVES)
def test_a_life(server, life):
    job = send(server, ALL[f"{life}_0_post"]).json()["uuid"]
    end = server.wait(job)
    was = (ALL.get(f"{life}_2_details") or {}).get("answer")
    before = ALL[f"{life}_2_status"]["answer"]["status"]
    assert end["status"] == ENDS.get(life, before)
    assert (life in ENDS) == (end["status"] != before)
    for name in (n for n in ALL if n.startswith(f"{life}_") and not n.endswith("_post")):
        path = re.sub(r"[0-9a-f-]{36}", job, ALL[name]["path"])
        reply = send(server, ALL[name] | {"path": path})
        if life not in ENDS:
            check(name, reply)
        else:
            assert reply.status_code == 200
    if life not in ENDS and end["status"] == "SUCCESS":
        assert end["result"] == was["result"]
        assert [step["info"] for step in end["steps"]] == [step["info"] for step in was["steps"]]


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(server, multi, name):
    row = ALL[name]
    if name.startswith(("archive", "output_archive_file")) and row["path"].endswith("/archive"):
        whole = f"/jobs/{multi}/outputs/archive"
        until(lambda: server.ask("GET", whole).status_code == 200, what="the archive")
    path = row["path"].replace(MULTI, multi)
    headers = dict(row["headers"])
    if name == "if_range_ok":
        headers["If-Range"] = server.ask("GET", f"/jobs/{multi}/outputs/a.txt").headers["etag"]
    reply = send(server, row | {"path": path, "headers": headers})
    if row["status"] == 425:  # the first of a job there; here packed while the caller waits
        assert reply.status_code == 200
        return
    if "/archive" in row["path"] and not row["path"].endswith("./archive"):
        assert reply.status_code == row["status"]
        assert reply.content.startswith(b"PK")
        return
    check(name, reply)
    same = isinstance(row["answer"], str) and row["status"] in (200, 206) and "multi" not in name
    if same and name not in MENDED and not row["answer"].startswith("<"):
        assert reply.content == row["answer"].encode()
    if name == "outputs_list":
        assert sorted(reply.json()["outputs"]) == sorted(row["answer"]["outputs"])


@pytest.mark.parametrize("name", PLAIN)
def test_questions(server, name):
    reply = send(server, ALL[name])
    check(name, reply)
    if reply.status_code == 307:
        assert reply.headers["location"] == server.url + ALL[name]["path"].rstrip("/")


def test_an_archive_is_there_at_once_where_it_is_packed_within_a_second(server):
    job = server.submit(script="def main(pc, params):\n    return 1\n")
    assert server.wait(job, *ENDED)
    path = f"/jobs/{job}/outputs/archive"
    until(lambda: server.ask("GET", path).status_code == 200, what="the archive")
    reply = server.ask("GET", path)
    assert reply.content == ALL["archive_no_outputs_1"]["answer"].encode()
    assert reply.headers["content-disposition"] == f'attachment; filename="{job}.zip"'


def test_an_archive_of_a_job_at_work_is_early(server):
    job = server.submit("sleep", params={"duration": 30})
    check("archive_running_job", server.ask("GET", f"/jobs/{job}/outputs/archive"))
    check("archive_running_job", server.ask("GET", f"/jobs/{job}/outputs/archive"))
    assert server.ask("DELETE", f"/jobs/{job}").status_code == 202
    assert server.wait(job)["status"] == "REVOKED"
    for kind in ("status", "details", "outputs", "archive"):
        tail = {"status": "", "details": "/details", "outputs": "/outputs"}.get(kind)
        tail = "/outputs/archive" if tail is None else tail
        check(f"revoked_{kind}", server.ask("GET", f"/jobs/{job}{tail}"))


def test_the_id_that_a_caller_chose_is_the_id(server):
    row = ALL["task_id_override_0_post"]
    reply = send(server, row)
    assert reply.json()["uuid"] == "11111111-2222-4333-8444-555555555555"
    told = server.wait(reply.json()["uuid"])
    was = ALL["task_id_override_2_chosen_id"]["answer"]
    assert kinds(told) == kinds(was)
    assert set(was["result"]) == set(told["result"])

"""The daemon on a scheduler that does what the real one does, wrong things included."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.studio import RULE, Studio, moved, until
from watcher.daemon import troubles


@pytest.fixture
def studio(tmp_path):
    made = Studio(tmp_path)
    made.scheduler.start()
    yield made
    made.close()


@pytest.mark.parametrize("honours", ["task_id", "key", "none"])
def test_a_file_is_delivered_whichever_id_the_scheduler_follows(studio, honours):
    studio.odd.honours = honours
    studio.start().drop("a.obj")
    studio.wants("a.obj")
    assert len(studio.scheduler.posts) == 1


@pytest.mark.parametrize("honours", ["task_id", "key", "none"])
def test_a_queue_of_jobs_is_waited_for_whichever_id_is_followed(studio, honours):
    studio.odd.honours = honours
    studio.scheduler.working.clear()
    studio.start()
    names = [f"{n}.obj" for n in range(6)]
    for name in names:
        studio.drop(name)
    until(lambda: len(studio.scheduler.posts) == 6)
    studio.stop()
    studio.start()
    studio.scheduler.working.set()
    studio.wants(*names)
    assert len(studio.scheduler.posts) == 6


def test_config_sends_no_default_and_the_job_is_named_after_its_file(studio):
    studio.start().drop("a.obj")
    studio.wants("a.obj")
    form = studio.scheduler.posts[0]
    assert form["name"] == "in/a.obj"
    assert set(json.loads(form["config"])) == {"task_id"}


def test_a_failure_says_why_with_the_scheduler_s_own_words_and_the_job(studio):
    studio.odd.late_traceback = 0.2
    studio.start().drop("a.obj", b"bad")
    until(lambda: studio.error("a.obj"))
    assert "it has no geometry" in studio.error("a.obj")
    assert studio.scheduler.started[0] in studio.error("a.obj")
    assert any("it has no geometry" in row for row in studio.history("a.obj"))


def test_a_failure_whose_error_stays_null_still_says_why(studio):
    studio.odd.null_failure = True
    studio.start().drop("a.obj", b"bad")
    until(lambda: studio.error("a.obj"))
    assert "it has no geometry" in studio.error("a.obj")


def test_down_at_start_files_wait_health_and_log_say_so_once_and_all_resumes(studio, monkeypatch):
    monkeypatch.setattr(troubles, "SAY_EVERY", 3600.0)  # however long it takes
    studio.scheduler.stop()
    studio.start()
    for n in range(5):
        studio.drop(f"{n}.obj")
    until(studio.troubles)
    assert "cannot be reached" in studio.troubles()["default"]
    until(lambda: studio.service.engine.books.polls["default"].breaker.failures > 5)
    assert len(studio.events("trouble")) == 1
    studio.scheduler.start()
    studio.wants(*(f"{n}.obj" for n in range(5)))
    assert len(studio.scheduler.posts) == 5
    assert not studio.troubles()
    assert len(studio.events("trouble.over")) == 1


def test_a_wrong_token_is_told_without_any_file_and_mended_later(studio):
    studio.odd.token = "other"  # noqa: S105 - a test value
    studio.start()
    until(studio.troubles)
    assert "401" in studio.troubles()["default"]
    studio.drop("a.obj")
    studio.odd.token = ""
    studio.wants("a.obj")


def test_nonsense_is_waited_out(studio):
    studio.odd.nonsense = True
    studio.start()
    until(studio.troubles)
    studio.drop("a.obj")
    studio.odd.nonsense = False
    studio.wants("a.obj")


def test_redis_down_is_waited_out_before_and_after_the_sending(studio):
    studio.odd.redis_down = True
    studio.start().drop("a.obj")
    until(studio.troubles)
    assert "store" in studio.troubles()["default"]
    studio.odd.redis_down = False
    studio.wants("a.obj")


def test_an_upload_that_was_cut_comes_again(studio):
    studio.odd.cut_uploads = 1
    content = b"mesh" * (8 << 20)  # more than the buffers between hold
    studio.start().drop("a.obj", content)
    studio.wants("a.obj", content=content)


def test_a_lost_reply_makes_no_second_job(studio):
    studio.odd.lost_replies = 1
    studio.start().drop("a.obj")
    studio.wants("a.obj")
    assert len(studio.scheduler.posts) == 1


def test_one_job_whose_posts_always_fail_holds_up_no_other_and_fails_in_the_end(studio):
    studio.odd.post_500 = "a.obj"
    studio.start().drop("a.obj")
    until(lambda: studio.scheduler.posts)
    for name in ("b.obj", "c.obj"):
        studio.drop(name)
    studio.wants("b.obj", "c.obj")
    assert not studio.troubles()
    clock = moved(studio)

    def later():
        clock.ahead += 0.5
        return studio.error("a.obj")

    until(later)
    assert "could not be sent" in studio.error("a.obj")
    assert "HTTP 500: Internal Server Error" in studio.error("a.obj")


def test_a_reply_that_is_later_than_the_timeout_makes_no_second_job(studio):
    studio.odd.slow_replies = 6.5
    studio.start().drop("a.obj")
    studio.wants("a.obj")
    assert len(studio.scheduler.posts) == 1


def test_details_that_are_broken_for_ever_do_not_stop_the_delivery(studio):
    studio.odd.broken_details = True
    studio.start().drop("a.obj")
    studio.wants("a.obj")


def test_a_poisoned_list_is_done_without(studio):
    studio.odd.poisoned = True
    studio.start()
    names = [f"{n}.obj" for n in range(8)]
    for name in names:
        studio.drop(name)
    studio.wants(*names)


def test_cut_outputs_are_resumed(studio):
    studio.odd.short_bodies = 2
    studio.start().drop("a.obj", b"m" * 100_000)
    studio.wants("a.obj", content=b"m" * 100_000)


FOLDERS = """
import pathlib
def main(pc, params):
    pathlib.Path(pc.get_output_dir("tiles.d/x"), "ü #?%.bin").write_bytes(b"deep")
    pathlib.Path(pc.get_output_dir(), "archive").write_bytes(b"named so")
"""


def test_folders_come_through_the_archive_cut_or_late(tmp_path):
    rule = RULE.replace("{name}.out", "{output}")
    studio = Studio(tmp_path, script=FOLDERS, rules=rule)
    studio.scheduler.start()
    try:
        studio.odd.cut_archives = 1
        studio.start().drop("a.obj")
        until(lambda: len(studio.delivered()) == 2)
        assert studio.delivered() == {"tiles.d/x/ü #?%.bin": b"deep", "archive": b"named so"}
    finally:
        studio.close()


def test_a_store_that_was_lost_after_the_success_still_gives_its_outputs(studio):
    studio.odd.short_bodies = 6  # the fetch cannot end yet
    studio.start().drop("a.obj", b"m" * 100_000)
    until(lambda: studio.odd.short_bodies < 6)
    studio.scheduler.wipe()
    studio.wants("a.obj", content=b"m" * 100_000)
    assert len(studio.scheduler.posts) == 1


def test_a_revoked_job_that_runs_after_all_is_delivered(studio):
    studio.scheduler.working.clear()
    studio.start().drop("a.obj")
    until(lambda: studio.scheduler.jobs)
    studio.scheduler.revoke(next(iter(studio.scheduler.jobs)))
    until(
        lambda: any(
            "REVOKED" in str(j.last) or "revoked" in str(j.last)
            for j in studio.service.engine.books.polls["default"].jobs.values()
        )
    )
    studio.scheduler.working.set()
    studio.wants("a.obj")


def test_a_flapping_scheduler_makes_no_flood(studio, monkeypatch):
    monkeypatch.setattr(troubles, "SAY_EVERY", 3600.0)  # however long it takes
    studio.start()
    names = [f"{n}.obj" for n in range(10)]
    for n, name in enumerate(names):
        studio.drop(name)
        if n % 2:
            studio.scheduler.stop()
            until(lambda: studio.service.engine.books.polls["default"].breaker.failures)
            studio.scheduler.start()
    studio.wants(*names)
    assert len(studio.events("trouble")) <= 1
    assert len({form["config"] for form in studio.scheduler.posts}) == 10


TEXTURED = {
    "a.obj": b"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n",
    "a.mtl": b"newmtl m\nmap_Kd tex/a.png\n",
    "tex/a.png": b"\x89PNG\r\n\x1a\n",
}
LISTS = """
import pathlib
def main(pc, params):
    main = pathlib.Path(pc.get_input_file())
    found = sorted(str(p.relative_to(main.parent)) for p in main.parent.rglob("*") if p.is_file())
    pathlib.Path(pc.get_output_dir(), "list").write_text(" ".join([main.name, *found]))
"""


def test_an_asset_of_several_files_goes_as_one_zip_with_its_root_file(tmp_path):
    studio = Studio(tmp_path, script=LISTS, rules=RULE.replace('"*"', '"*.obj"'))
    studio.scheduler.start()
    try:
        (tmp_path / "in" / "tex").mkdir()
        for name in ("tex/a.png", "a.mtl", "a.obj"):
            (tmp_path / "in" / name).write_bytes(TEXTURED[name])
        studio.start()
        until(studio.delivered)
        assert studio.delivered() == {"a.obj.out": b"a.obj a.mtl a.obj tex/a.png"}
        assert json.loads(studio.scheduler.posts[0]["config"])["root_file"] == "a.obj"
    finally:
        studio.close()


def test_once_ends_with_3_when_only_a_dead_scheduler_is_left(tmp_path):
    dead = '      - {name: dead, match: "*.dead", process: api_test, scheduler: dead}\n'
    studio = Studio(tmp_path, rules=dead + RULE)
    studio.schedulers("schedulers: {dead: {url: 'http://127.0.0.1:9'}}\n")
    studio.scheduler.start()
    command = [sys.executable, "-m", "watcher", "run", "--once", "--timeout", "3s"]
    try:
        studio.drop("a.obj")
        studio.drop("b.dead")
        made = [*command, "-c", str(tmp_path / "watcher.yaml")]
        done = subprocess.run(made, capture_output=True, text=True, timeout=100)
        assert done.returncode == 3, done.stdout
        assert "http://127.0.0.1:9" in done.stdout + done.stderr
        assert studio.delivered() == {"a.obj.out": b"hsem"}
        (tmp_path / "in" / "b.dead").unlink()
    finally:
        studio.close()

"""What every ledger promises: on disk, in memory, and on whatever joins ``LEDGERS`` later."""

from __future__ import annotations

import threading

import pytest

from tests.fakes.ledger import MemoryLedger
from watcher.adapters.ledger import open_ledger
from watcher.core.model import (
    FileRecord,
    FileState,
    Fingerprint,
    JobRecord,
    JobState,
    Output,
    Part,
    Work,
)
from watcher.core.ports import Lane, NewFile, Note, OwnTarget, SaveFile, SaveJob
from watcher.errors import StaleRecord

LEDGERS = {
    "sqlite": lambda folder, _request: open_ledger(folder, read_only=False),
    "memory": lambda _folder, _request: MemoryLedger(),
    "postgres": lambda folder, request: open_ledger(
        folder, read_only=False, url=request.getfixturevalue("postgres_server").emptied()
    ),
}


@pytest.fixture(params=LEDGERS)
def ledger(request, tmp_path):
    made = LEDGERS[request.param](tmp_path, request)
    yield made
    made.close()


def a_file(ledger, path="a.step", **fields):
    given = {"folder": "in", "arrival": 1, "state": FileState.ACCEPTED, "rule": "cad"}
    given |= {"print": Fingerprint(10, 20), "changed_at": 100.0} | fields
    return FileRecord(id=ledger.new_ids(1)[0], path=path, **given)


def a_job(ledger, file, index=0, **fields):
    given = {"label": f"job{index}", "scheduler": "default", "state": JobState.WAITING} | fields
    return JobRecord(id=ledger.new_ids(1)[0], file_id=file.id, index=index, **given)


def accept(ledger, path="a.step", jobs=1, **fields):
    file = a_file(ledger, path, **fields)
    work = Work(file, tuple(a_job(ledger, file, index) for index in range(jobs)))
    ledger.apply([NewFile(work.file, work.jobs, (Note(1.0, "accepted"),))])
    return work


def moved(record, **fields):
    return record._replace(version=record.version + 1, **fields)


def save(ledger, file, *notes, **fields):
    after = moved(file, **fields)
    ledger.apply([SaveFile(file, after, notes)])
    return after


def test_ids_rise_and_are_fresh(ledger):
    ids = [*ledger.new_ids(1000), *ledger.new_ids(1), *ledger.new_ids(5)]
    assert ids == sorted(set(ids))
    assert ids[0] > 0
    assert ids[-1] < 1 << 63


def test_a_new_file_is_found_with_its_jobs_in_order(ledger):
    work = accept(ledger, "dir/é.step", jobs=3)
    assert ledger.work(work.file.id) == work
    assert ledger.live("in", ["dir/é.step", "other"]) == {"dir/é.step": work.file}
    assert ledger.live("other", ["dir/é.step"]) == {}
    assert ledger.work(1) is None


def test_every_field_comes_back(ledger):
    file = a_file(
        ledger,
        "d\udcff/na\\me\n.step",
        digest="ab",
        parts=(Part("d/x\udc80.mtl", "x.mtl", Fingerprint(1, 2)),),
        priority=-3,
        reason='nu\0l "quoted" \\ é \ud800',
        warnings=("w\udc80", ""),
        live=False,
        disposed=True,
        disposal="x/\udc80",
        attempt=4,
        next_at=5.5,
        accepted_at=6.25,
        version=7,
    )
    job = a_job(
        ledger,
        file,
        key="k",
        remote="r",
        progress=0,
        step="é",
        error="e\udc80",
        outputs=(Output("o", 1, "d", "t\udc80", published=True), Output("p", 0, "")),
        warnings=("x",),
        result={"a": [1, 2.5, None, True, "\udc80"]},
    )
    ledger.apply([NewFile(file, (job,))])
    assert ledger.work(file.id) == Work(file, (job,))


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}, "null", 1.5, 10**30])
def test_a_result_may_be_any_json(ledger, result):
    file = a_file(ledger)
    job = a_job(ledger, file, result=result)
    ledger.apply([NewFile(file, (job,))])
    found = ledger.work(file.id).jobs[0].result
    assert found == result
    assert type(found) is type(result)


def test_a_second_live_record_of_a_path_is_refused(ledger):
    first = accept(ledger)
    second = a_file(ledger, arrival=2)
    with pytest.raises(StaleRecord):
        ledger.apply([NewFile(second, ())])
    assert ledger.live("in", ["a.step"]) == {"a.step": first.file}
    assert ledger.work(second.id) is None


def test_an_arrival_comes_once(ledger):
    save(ledger, accept(ledger).file, live=False)
    with pytest.raises(StaleRecord):
        accept(ledger, arrival=1)
    assert accept(ledger, arrival=2).file.arrival == 2


def test_a_superseded_record_makes_way_in_the_same_batch(ledger):
    old = accept(ledger).file
    new, newer = a_file(ledger, arrival=2), a_file(ledger, arrival=3)
    gone = moved(new, live=False)
    ledger.apply(
        [
            SaveFile(old, moved(old, live=False)),
            NewFile(new, ()),
            SaveFile(new, gone),
            NewFile(newer, ()),
        ]
    )
    assert ledger.live("in", ["a.step"]) == {"a.step": newer}
    assert ledger.last_arrival("in", "a.step") == newer
    assert ledger.work(new.id).file == gone


def test_a_record_comes_to_life_again_only_when_the_path_is_free(ledger):
    old = save(ledger, accept(ledger).file, live=False)
    new = accept(ledger, arrival=2).file
    with pytest.raises(StaleRecord):
        save(ledger, old, live=True)
    save(ledger, new, live=False)
    again = save(ledger, old, live=True)
    assert ledger.live("in", ["a.step"]) == {"a.step": again}


def test_one_record_may_change_many_times_in_a_batch(ledger):
    work = accept(ledger)
    file, job, changes = work.file, work.jobs[0], []
    for step in range(6):
        # every other change touches an indexed field, so the statements alternate
        after = moved(file, reason=str(step), priority=step // 2)
        done = moved(job, step=str(step), key=f"key{step // 2}")
        changes += [SaveFile(file, after, (Note(step, f"f{step}"),)), SaveJob(job, done)]
        file, job = after, done
    ledger.apply(changes)
    assert ledger.work(file.id) == Work(file, (job,))
    told = ledger.history("in", "a.step")[0][1]
    assert [row.event for row in told] == ["accepted", *(f"f{n}" for n in range(6))]


@pytest.mark.parametrize("wrong", [{"version": 9}, {"state": FileState.WORKING}, {"id": 1}])
def test_a_stale_file_is_refused_and_nothing_of_the_batch_stays(ledger, wrong):
    work = accept(ledger)
    other = accept(ledger, "b.step").file
    stale = work.file._replace(**wrong)
    changes = [
        OwnTarget("in", "out.glb", "b.step", other.id),
        NewFile(a_file(ledger, "c.step"), ()),
        SaveFile(other, moved(other, live=False), (Note(2.0, "gone"),)),
        SaveFile(stale, moved(stale, reason="no")),
    ]
    before = (ledger.files(), ledger.counts(), ledger.history("in", "b.step"))
    with pytest.raises(StaleRecord):
        ledger.apply(changes)
    assert (ledger.files(), ledger.counts(), ledger.history("in", "b.step")) == before
    assert ledger.owners("in", ["out.glb"]) == {}
    assert ledger.last_arrival("in", "c.step") is None


@pytest.mark.parametrize("wrong", [{"version": 9}, {"state": JobState.RUNNING}, {"id": 1}])
def test_a_stale_job_is_refused(ledger, wrong):
    work = accept(ledger)
    stale = work.jobs[0]._replace(**wrong)
    with pytest.raises(StaleRecord):
        ledger.apply([SaveJob(stale, moved(stale, error="no"))])
    assert ledger.work(work.file.id) == work


def test_a_save_before_its_record_is_new_is_stale(ledger):
    file = a_file(ledger)
    job = a_job(ledger, file)
    for early in (SaveFile(file, moved(file)), SaveJob(job, moved(job))):
        with pytest.raises(StaleRecord):
            ledger.apply([early, NewFile(file, (job,))])
    assert ledger.files() == []


def test_a_released_key_may_be_taken_in_the_same_batch(ledger):
    job = accept(ledger, "a").jobs[0]
    held = moved(job, key="k")
    ledger.apply([SaveJob(job, held)])
    file = a_file(ledger, "b")
    new = a_job(ledger, file, key="k")
    ledger.apply([SaveJob(held, moved(held, key="other")), NewFile(file, (new,))])
    assert ledger.work(file.id).jobs == (new,)


def test_a_key_belongs_to_one_job(ledger):
    one, two = accept(ledger, "a", jobs=2).jobs
    ledger.apply([SaveJob(one, moved(one, key="k"))])
    with pytest.raises(StaleRecord):
        ledger.apply([SaveJob(two, moved(two, key="k"))])


@pytest.mark.parametrize("clash", ["id", "index"])
def test_jobs_of_a_file_are_distinct(ledger, clash):
    file = a_file(ledger)
    one, two = a_job(ledger, file, 0), a_job(ledger, file, 1)
    with pytest.raises(StaleRecord):
        ledger.apply([NewFile(file, (one, two._replace(**{clash: getattr(one, clash)})))])
    assert ledger.work(file.id) is None


def test_known_tells_one_directory_only(ledger):
    accept(ledger, "top.step")
    accept(ledger, "d/a.step")
    accept(ledger, "d/deep/b.step")
    kept = accept(ledger, "d/kept.step", state=FileState.DELIVERED, disposed=True).file
    accept(ledger, "d/moving.step", state=FileState.DELIVERED)
    accept(ledger, "d/gone.step", live=False)
    accept(ledger, "d/other.step", folder="elsewhere")
    odd = accept(ledger, "d/\udcff\u00e9.step", print=Fingerprint(11, 21)).file.path[2:]
    assert ledger.known("in", "") == {("top.step", 10, 20)}
    assert ledger.known("in", "d") == {
        ("a.step", 10, 20),
        ("kept.step", kept.print.size, kept.print.mtime_ns),
        ("moving.step", 10, 20),
        (odd, 11, 21),
    }
    assert list(ledger.directories("in")) == ["", "d", "d/deep"]
    names = ["a.step", "b.step", odd, "gone.step", "other.step"]
    told = ledger.known_each("in", ["", "none", "d"])
    assert told == [ledger.known("in", one) for one in ("", "none", "d")]
    assert ledger.known_each("in", []) == []
    assert ledger.known_among("in", "d", names) == {("a.step", 10, 20), (odd, 11, 21)}
    assert ledger.known_among("in", "d", []) == set()
    assert (ledger.known_count("in", "d"), ledger.known_count("in", "none")) == (4, 0)
    assert ledger.known_names("in", "d", "", 2) == ["a.step", "kept.step"]
    assert ledger.known_names("in", "d", "kept.step", 9) == ["moving.step", odd]


def test_every_directory_comes_once_however_many(ledger):
    names = [f"d{number:04}/{name}" for number in range(1001) for name in "ab"]
    files = [a_file(ledger, name) for name in names]
    ledger.apply(NewFile(file, ()) for file in files)
    assert list(ledger.directories("in")) == [f"d{number:04}" for number in range(1001)]
    assert len(ledger.live("in", names)) == len(names)


def test_unfinished_is_what_recovery_must_look_at(ledger):
    state = FileState
    whole = (state.WORKING, state.HELD)
    cases = [(state.ACCEPTED, False), *((s, False) for s in whole), (state.ARCHIVED, True)]
    cases += [(s, disposed) for s in (state.DELIVERED, state.FAILED) for disposed in (False, True)]
    for one, disposed in cases:
        accept(ledger, f"{one}{disposed}", state=one, disposed=disposed)
    found = [(work.file.state, work.file.disposed) for work in ledger.unfinished()]
    assert found == [(s, done) for s, done in cases[1:] if s in whole or not done]
    assert all(len(work.jobs) == 1 for work in ledger.unfinished())


def test_lanes_give_highest_priority_first_then_oldest(ledger):
    works = [accept(ledger, f"{n}", priority=n % 3) for n in range(9)]
    accept(ledger, "x", rule="other")
    accept(ledger, "y", state=FileState.WORKING)
    lane = Lane("in", "cad")
    assert ledger.lanes() == {lane: 9, Lane("in", "other"): 1}
    order = sorted(works, key=lambda work: (-work.file.priority, work.file.id))
    assert ledger.waiting(lane, 100) == order
    held, after = [], None
    while page := ledger.waiting(lane, 2, after):
        held += page
        after = (page[-1].file.priority, page[-1].file.id)
    assert held == order
    save(ledger, order[0].file, state=FileState.WORKING)
    assert ledger.lanes()[lane] == 8
    assert ledger.waiting(lane, 1) == [order[1]]


def test_an_arrival_number_may_change_and_comes_free(ledger):
    file = accept(ledger).file
    later = save(ledger, file, arrival=3, reason="again")
    assert ledger.last_arrivals("in", ["a.step", "never"]) == {"a.step": 3}
    assert [told[0] for told in ledger.history("in", "a.step")] == [later]
    gone = moved(later, live=False, arrival=4)
    new = a_file(ledger, arrival=3)
    ledger.apply([SaveFile(later, gone), NewFile(new, ())])
    assert [told[0] for told in ledger.history("in", "a.step")] == [new, gone]
    with pytest.raises(StaleRecord):
        save(ledger, gone, arrival=3)
    assert ledger.last_arrivals("in", ["a.step"]) == {"a.step": 4}


def test_a_part_is_needed_while_another_unfinished_file_calls_for_it(ledger):
    part = (Part("d/x\udc80.mtl", "x.mtl", Fingerprint(1, 2)),)
    assert not ledger.assembled("in")
    one = accept(ledger, "d/one.obj", parts=part).file
    two = accept(ledger, "d/two.obj", jobs=0).file
    asked = [part[0].path, "d/two.obj", "never"]
    assert ledger.assembled("in")
    assert not ledger.assembled("elsewhere")
    assert ledger.needed("in", asked, one.id) == {"d/two.obj"}
    assert ledger.needed("in", asked, two.id) == {part[0].path}
    two = save(ledger, two, parts=part)
    assert ledger.needed("in", asked, one.id) == {part[0].path, "d/two.obj"}
    assert ledger.needed("elsewhere", asked, one.id) == set()
    save(ledger, two, state=FileState.DELIVERED)
    assert ledger.needed("in", asked, one.id) == set()


def test_a_file_with_parts_can_be_compacted(ledger):
    part = (Part("x.mtl", "x.mtl", Fingerprint(1, 2)),)
    accept(ledger, parts=part, state=FileState.ARCHIVED, disposed=True, live=False)
    assert ledger.compact(1000.0) == 1
    assert ledger.files() == []


def test_the_last_owner_of_a_target_counts(ledger):
    file = accept(ledger).file
    ledger.apply([OwnTarget("in", "t", "a", file.id), OwnTarget("in", "u\udc80", "b", file.id)])
    ledger.apply([OwnTarget("in", "t", "c", file.id), OwnTarget("in", "t", "d\udc80", file.id)])
    assert ledger.owners("in", ["t", "u\udc80", "none"]) == {"t": "d\udc80", "u\udc80": "b"}
    assert ledger.owners("elsewhere", ["t"]) == {}


def test_files_are_listed_newest_first(ledger):
    works = [accept(ledger, f"{n}", folder="ab"[n % 2]) for n in range(6)]
    save(ledger, works[0].file, state=FileState.FAILED)
    assert [work.file.path for work in ledger.files()] == ["5", "4", "3", "2", "1", "0"]
    assert [work.file.path for work in ledger.files(folder="a")] == ["4", "2", "0"]
    assert [work.file.path for work in ledger.files(state=FileState.FAILED)] == ["0"]
    assert [work.file.path for work in ledger.files(limit=2, offset=1)] == ["4", "3"]
    assert [work.file.path for work in ledger.files(offset=4)] == ["1", "0"]


def test_counts_follow_states_and_lives(ledger):
    one, two, three = (accept(ledger, name).file for name in "abc")
    assert ledger.counts() == {("in", FileState.ACCEPTED): 3}
    save(ledger, one, state=FileState.DELIVERED)
    save(ledger, two, live=False)
    save(ledger, three, state=FileState.FAILED, live=False)
    assert ledger.counts() == {("in", FileState.DELIVERED): 1, ("in", FileState.FAILED): 1}


def test_history_tells_every_arrival_in_order(ledger):
    work = accept(ledger)
    job = work.jobs[0]
    done = moved(job, state=JobState.SUBMITTED)
    gone = moved(work.file, live=False)
    ledger.apply([SaveJob(job, done, (Note(2.0, "sent", "é\udc80"),))])
    ledger.apply([SaveFile(work.file, gone, (Note(3.0, "gone"), Note(3.0, "again")))])
    second = accept(ledger, arrival=2).file
    (first, told), (last, _) = ledger.history("in", "a.step")
    assert (first, last) == (gone, second)
    assert [(r.at, r.event, r.state, r.job, r.note) for r in told] == [
        (1.0, "accepted", "accepted", "", ""),
        (2.0, "sent", "submitted", "job0", "é\udc80"),
        (3.0, "gone", "accepted", "", ""),
        (3.0, "again", "accepted", "", ""),
    ]
    assert ledger.history("in", "never") == []


def test_requests_stay_until_they_are_answered_and_ids_never_come_again(ledger):
    ledger.ask("retry", {"path": "a\udc80"}, 1.0)
    ledger.ask("retry", {}, 2.0)
    one, two = ledger.requests()
    assert (one.kind, one.body, two.body) == ("retry", {"path": "a\udc80"}, {})
    ledger.answered([one.id, two.id])
    assert ledger.requests() == []
    ledger.ask("reload", {}, 3.0)
    assert ledger.requests()[0].id > two.id


def test_compaction_removes_old_final_dead_records_alone(ledger):
    end = {"state": FileState.ARCHIVED, "disposed": True, "live": False}
    for number in range(1003):
        accept(ledger, f"old{number}", jobs=number % 2, changed_at=9.0, **end)
    accept(ledger, "young", changed_at=10.0, **end)
    accept(ledger, "live", changed_at=9.0, **end | {"live": True})
    accept(ledger, "undisposed", changed_at=9.0, **end | {"disposed": False})
    accept(ledger, "waiting", changed_at=9.0, **end | {"state": FileState.ACCEPTED})
    ledger.apply([OwnTarget("in", "t", "old1", 1)])
    some = ledger.compact(10.0, most=2)
    assert 2 <= some < 1003
    assert ledger.compact(10.0) == 1003 - some
    assert ledger.compact(10.0) == 0
    left = [work.file.path for work in ledger.files()]
    assert left == ["waiting", "undisposed", "live", "young"]
    assert ledger.counts() == {("in", FileState.ARCHIVED): 3}
    assert ledger.history("in", "old1") == []
    assert ledger.owners("in", ["t"]) == {"t": "old1"}
    assert accept(ledger, "old1").file.arrival == 1


def test_readers_in_other_threads_see_whole_batches(ledger):
    file = accept(ledger, jobs=0).file
    stop, torn = threading.Event(), []

    def read():
        while not stop.is_set():
            pair = {work.file.reason for work in ledger.files(folder="pair")}
            torn.extend([pair] if len(pair) > 1 else [])

    one, two = (accept(ledger, name, folder="pair", jobs=0).file for name in "ab")
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for step in range(50):
        new_one, new_two = moved(one, reason=str(step)), moved(two, reason=str(step))
        ledger.apply([SaveFile(one, new_one), SaveFile(two, new_two)])
        one, two = new_one, new_two
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert ledger.work(file.id).file == file


def test_the_params_of_a_sidecar_are_kept_and_changed(ledger):
    work = accept(ledger, params={"width": 64, "n": ["\u00fc", True]})
    assert ledger.work(work.file.id).file.params == {"width": 64, "n": ["\u00fc", True]}
    after = moved(work.file, params={})
    ledger.apply([SaveFile(work.file, after, (Note(2.0, "touched"),))])
    assert ledger.work(work.file.id).file.params == {}


def test_files_are_searched_by_part_of_their_path_whatever_its_case(ledger):
    names = ["Wing/Rib.step", "wing/spar.step", "seat.step", "e\u0301tage.step", "bad\udcff.step"]
    ids = {name: accept(ledger, name).file.id for name in names}

    def found(q, **more):
        return [work.file.id for work in ledger.files(q=q, **more)]

    assert found("WING") == [ids["wing/spar.step"], ids["Wing/Rib.step"]]
    assert found("g/r") == [ids["Wing/Rib.step"]]
    assert found("\u00c9TAGE") == [ids["e\u0301tage.step"]]
    assert found("\udcff") == [ids["bad\udcff.step"]]
    assert found("%") == found("nothing") == []
    assert found("step", limit=2, offset=1) == [ids["e\u0301tage.step"], ids["seat.step"]]
    assert found("step", folder="none") == []
    assert len(found("")) == len(names)

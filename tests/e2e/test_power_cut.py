"""A power cut under the daemon's own scheduler: what it may have torn is run again, none fails."""

from __future__ import annotations

import os

from tests.e2e.place import Place, drop, tree


def test_jobs_that_a_power_cut_tore_are_sent_again(tmp_path):
    place = Place(tmp_path, settle="0s", done="delete")
    quick = place.config.read_text().replace("retries: 0}", "retries: 0, retry_after: 100ms}")
    place.config.write_text(quick)
    contents = {f"{name}.slow": name.encode() for name in ("one", "two", "three")}
    for name, content in contents.items():
        drop(place.inp / name, content)
    place.start()
    jobs = tmp_path / "var" / "jobs"
    place.wait(lambda: (tmp_path / "runs").exists() and len([*jobs.glob("*-*/spec.json")]) == 3)
    place.kill()
    (jobs / "unsynced").write_text("another run of the kernel")
    for path in jobs.glob("*-*/**/*"):
        if path.is_file():
            os.truncate(path, 0)  # a name without its content, as ext4 leaves it
    (tmp_path / "go").touch()
    assert place.once() == 0
    assert sorted(tree(place.out).values()) == sorted(contents.values())
    assert tree(place.inp) == {}

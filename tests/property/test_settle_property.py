from hypothesis import given
from hypothesis import strategies as st

from watcher.core.model import Facts, Lease
from watcher.core.settle import Again, Hint, Settled, judge, same

FACTS = st.builds(
    Facts,
    size=st.integers(0, 2),
    mtime_ns=st.integers(-1, 1),
    ctime_ns=st.integers(0, 1),
    inode=st.just(1),
    device=st.just(1),
    lease=st.sampled_from(Lease),
)
LOOKS = st.lists(
    st.tuples(FACTS, st.floats(0.001, 2.0), st.sampled_from(Hint)), min_size=1, max_size=12
)


@given(looks=LOOKS, settle=st.sampled_from([0.0, 0.1, 1.0]))
def test_nothing_settles_early(looks, settle):
    memory, now, since, last = None, 0.0, 0.0, None
    for facts, passed, hint in looks:
        now += passed
        if last is None or last.lease is Lease.REFUSED or not same(last, facts):
            since = now
        found = judge(memory, facts, now=now, settle=settle, hint=hint)
        if isinstance(found, Settled):
            assert facts.lease is not Lease.REFUSED
            assert hint is Hint.MOVED or now - since >= settle
            return
        assert isinstance(found, Again)
        assert found.at > now
        memory, last = found.candidate, facts


@given(facts=FACTS.filter(lambda f: f.lease is not Lease.REFUSED), settle=st.floats(0, 60))
def test_a_quiet_file_settles_at_the_second_look_at_the_latest(facts, settle):
    first = judge(None, facts, now=5.0, settle=settle, hint=Hint.SCAN)
    if isinstance(first, Again):
        later = judge(first.candidate, facts, now=first.at + 1e-9, settle=settle, hint=Hint.SCAN)
        assert isinstance(later, Settled)

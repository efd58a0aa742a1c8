"""What a worker process does: take a job from its line, run it, say so; again until the line ends.

Runs in forks of the nursery; imports the standard library and, of ours, ``context``, ``archive``,
``tree``, ``script`` and ``errors``. Invariant: nothing a job does reaches our own output, and each
attempt writes only to its own ``outputs.<attempt>`` folder.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import math
import os
import resource
import socket
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from watcher.embedded import tree
from watcher.embedded.archive import is_archive, pick_main, unpack
from watcher.embedded.context import Context
from watcher.embedded.script import JobFailure, ProcessContext
from watcher.errors import WatcherError

_SPARE = 8 << 30  # address space is not memory: libraries reserve far more than they touch
_CONVERTERS = {
    *("PIL", "assimp_py", "cascadio", "charset_normalizer", "collada", "fast_simplification"),
    *("lxml", "networkx", "numpy", "trimesh"),
}
_SDK = {"pxz", "pixyz", "pixyz_worker"}
_DEPTH = 200  # of a result
_FRAME = 1 << 18
_INLINE = 1 << 15  # characters of an outcome that travels by itself


class Line:
    """The worker's end of its two lines: the one that wakes the scheduler, and the one that does
    not."""

    def __init__(self, main: socket.socket, side: socket.socket) -> None:
        self._main = main
        self._side = side

    def orders(self) -> Iterator[dict[str, Any]]:
        """What is to be done, until the line is closed."""
        while frame := self._main.recv(_FRAME):
            yield json.loads(frame)

    def send(self, frame: dict[str, Any]) -> None:
        """Something that the scheduler waits for."""
        self._main.sendall(json.dumps(frame).encode())

    def say(self, frame: dict[str, Any]) -> None:
        """A word on the way: read within moments, or with the end of the job."""
        data = json.dumps(frame | {"at": time.monotonic()}).encode()
        try:
            self._side.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:  # so many words that somebody must be woken for them
            self.send({"more": True})
            self._side.sendall(data)


def serve(line: Line, memory: int) -> None:
    """Run jobs until the line is closed. ``memory`` in bytes is the limit of each."""
    _limit(memory)
    line.send({"pid": os.getpid()})
    for order in line.orders():
        line.send(_attempt(line, Path(order["folder"]), order))


def _limit(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory + _SPARE, memory + _SPARE))
    # if the kernel must choose, it should take the job, not the daemon
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _attempt(line: Line, folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    number = order["attempt"]
    with _own_output(folder / f"log.{number}"):
        spec = order["spec"] or json.loads((folder / "spec.json").read_text())
        main = _guarded(lambda: _find_main(spec, folder))
        if callable(main) and not order["own"] and _wants_own(spec):
            return {"own": True}
        context = Context(spec, folder, order, line.say)
        outcome = main if isinstance(main, dict) else _guarded(lambda: _run(main, context))
        outcome |= {"warnings": context.warnings}
        if outcome.get("ok") and not order["own"]:  # in a process of its own, a script may go on
            outcome["made"] = tree.listed(str(folder / f"outputs.{number}"))
    return {"end": _left(outcome, folder / f"outcome.{number}"), "memory": _occupied()}


def _left(outcome: dict[str, Any], place: Path) -> dict[str, Any] | None:
    """An outcome as it travels; one that is too long for that stays in a file."""
    text = json.dumps(outcome)
    if len(text) <= _INLINE:
        return outcome
    part = place.with_name(place.name + ".part")
    part.write_text(text)
    part.rename(place)
    return None


def _occupied() -> int:
    """Bytes of memory that this process occupies; 0 where that cannot be asked."""
    try:
        with Path("/proc/self/statm").open("rb", buffering=0) as facts:
            return int(facts.read(200).split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


@contextlib.contextmanager
def _own_output(log: Path) -> Iterator[None]:
    """Everything printed, also by native code and by a crash, goes to the job's log."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


def _guarded(step: Callable[[], Any]) -> Any:
    """The step's value, or a failed outcome that tells what it raised."""
    try:
        return step()
    except MemoryError:
        return {"memory": True, "detail": traceback.format_exc()}
    except WatcherError as error:
        return {"error": str(error), "detail": "", "permanent": isinstance(error, JobFailure)}
    except SystemExit as error:
        # the code is part of the reason; a script that exits has not succeeded
        return {"error": f"the script called exit({error.code!r})", "detail": ""}
    except ModuleNotFoundError as error:
        return {"error": _missing(error), "detail": traceback.format_exc()}
    except BaseException as error:  # noqa: BLE001  (a script may raise anything)
        text = "".join(traceback.format_exception_only(error)).strip()
        return {"error": text.splitlines()[-1][:500], "detail": traceback.format_exc()}


def _missing(error: ModuleNotFoundError) -> str:
    text = f"ModuleNotFoundError: {error}"
    if (error.name or "").partition(".")[0] in _SDK:
        text += (
            "; the script needs the Pixyz SDK, which the embedded scheduler does not have: run it "
            "on a Pixyz Scheduler (set scheduler.url to one)"
        )
    elif (error.name or "").partition(".")[0] in _CONVERTERS:
        text = f"the converters are not installed here ({error.name} is missing)"
        text += "; pip install 'pixyz-watcher[embedded]'"
    return text


def _find_main(spec: dict[str, Any], folder: Path) -> Callable[..., Any]:
    """The function to call: of a stored script, of an own process, or of a built-in one."""
    if spec["builtin"]:
        module = importlib.import_module(spec["builtin"])
        found = getattr(module, spec["entrypoint"])
    else:
        found = _load(Path(spec["path"] or folder / "script.py")).get(spec["entrypoint"])
    if not callable(found):
        raise JobFailure(f"the script does not have the function {spec['entrypoint']}")
    return found  # type: ignore[no-any-return]  # a script's names have no types


def _load(path: Path) -> dict[str, Any]:
    """The names of a script, run as a module of its own beside its neighbours."""
    _offer_real_names()
    sys.path.insert(0, str(path.parent))
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    # running the user's script is what this worker is for
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102
    return module.__dict__


def _offer_real_names() -> None:
    """Scripts for the real scheduler import their types and decorator from ``pixyz_worker``."""
    package, script = types.ModuleType("pixyz_worker"), types.ModuleType("pixyz_worker.script")

    def pixyz_schedule(*plain: Any, **_options: Any) -> Any:
        # its options were read from the source at submission; bare, it is given the function
        return plain[0] if plain else lambda function: function

    names = {"pixyz_schedule": pixyz_schedule, "ProgramContext": ProcessContext}
    script.__dict__.update(names)
    package.__dict__.update(script=script)
    sys.modules.setdefault("pixyz_worker", package)
    sys.modules.setdefault("pixyz_worker.script", script)


def _wants_own(spec: dict[str, Any]) -> bool:
    """Whether a built-in process asks for a process of its own for this input."""
    module = importlib.import_module(spec["builtin"])
    choose = getattr(module, "isolation", None)
    name = spec["main"] or ""
    chosen = choose(name) if choose else getattr(module, "ISOLATION", "own")
    return bool(chosen == "own")


def _run(main: Callable[..., Any], context: Context) -> dict[str, Any]:
    if not getattr(sys.modules.get(main.__module__), "TAKES_ARCHIVES", False):
        _unpack_input(context)
    context.begin()
    result = main(context, context["params"])
    context.finish()
    return {"ok": True, "result": jsonable(result)}


def _unpack_input(context: Context) -> None:
    packed = context.get_input_file()
    root = context["root_file"]
    if packed is None or not context.alone or not is_archive(packed):
        if root and (packed is not None or ".." in str(root).split("/")):
            raise JobFailure(f"root_file {root!r} needs one archive as input")
        return
    context.progress_next("Extracting archive")
    into = context.unpacked
    unpack(Path(packed), into)
    context.enter(into, pick_main(into, root))


def jsonable(value: Any, depth: int = 0) -> Any:
    """A result as JSON can hold it: tuples as lists, NaN and infinities as null, bytes as text.

    Raises:
        JobFailure: the value has no JSON form (a set, bytes that are no UTF-8, an object).
    """
    if depth > _DEPTH:
        raise JobFailure("the result is nested too deeply (or contains itself)")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, dict):
        return {_key(key): jsonable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode()
    raise JobFailure(f"the result cannot be written as JSON: it holds a {type(value).__name__}")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (int, float)):
        return json.dumps(key)
    raise JobFailure(f"the result cannot be written as JSON: a key is a {type(key).__name__}")

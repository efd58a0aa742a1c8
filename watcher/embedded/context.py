"""The ``pc`` of ``main(pc, params)``, as it is inside a worker.

Imports the standard library. Invariant: what it reports travels at once, in small frames; keys and
methods are those of the real scheduler (and ``warn``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TEXT = 2000  # characters of one step or warning: a frame must fit a packet
_WARNINGS = 100


class Context(Mapping[str, Any]):
    """A job's own settings as a mapping, its folders, and its way to report.

    Args:
        spec: what was stored at submission.
        folder: the job's folder.
        order: the attempt: ``attempt`` and ``retry`` numbers.
        report: takes one frame for the scheduler.
    """

    def __init__(
        self,
        spec: Mapping[str, Any],
        folder: Path,
        order: Mapping[str, Any],
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self._report = report
        self.warnings: list[str] = []
        self.alone = spec["count"] == 1
        self.unpacked = folder / f"unpacked.{order['attempt']}"
        self._values = _settings(spec, folder, order)
        if not self["compute_only"]:
            Path(self["output_dir"]).mkdir(exist_ok=True)

    def get_input_file(self) -> str | None:
        """The main input, or None."""
        return self._values["input_file"]  # type: ignore[no-any-return]  # set as str | None below

    def get_input_dir(self) -> str:
        """The folder of the inputs."""
        return str(self._values["input_dir"])

    def get_output_dir(self, name: str = "") -> str:
        """The output folder, or a path in it. A name with an extension is a file that the script
        will write, any other a folder, made when missing."""
        if self["compute_only"]:
            raise FileNotFoundError("a compute_only job has no output folder")
        top = Path(self["output_dir"]).resolve()
        path = (top / name).resolve()
        if not path.is_relative_to(top):
            raise ValueError(f"{name!r} leads out of the output folder")
        (path.parent if name and path.suffix else path).mkdir(parents=True, exist_ok=True)
        return str(path)

    def progress_set_total(self, total: int) -> None:
        """How many steps there will be."""
        self._report({"total": int(total)})

    def progress_next(self, text: str = "") -> None:
        """The next step begins; the one before it is done."""
        self._report({"step": str(text)[:_TEXT]})

    def warn(self, text: str) -> None:
        """Keep a warning for the operator; the first hundred count."""
        if len(self.warnings) < _WARNINGS:
            self.warnings.append(str(text)[:_TEXT])

    def begin(self) -> None:
        """The script begins."""
        self._report({"begin": True})

    def finish(self) -> None:
        """The script returned: its last step is done."""
        self._report({"finish": True})

    def enter(self, folder: Path, main: Path) -> None:
        """From now on the input is a file of an unpacked archive."""
        self._values |= {"input_dir": str(folder), "input_file": str(main)}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _settings(spec: Mapping[str, Any], folder: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    inputs = folder / "inputs"
    requested = datetime.fromtimestamp(spec["requested"], UTC).replace(tzinfo=None)
    return {
        **spec["config"],
        "task_id": spec["id"],
        "script": spec["path"] or (str(folder / "script.py") if not spec["builtin"] else None),
        "data": None,
        "root_file": spec["config"].get("root_file"),
        "time_request": requested.isoformat(sep=" "),
        "time_limit": spec["time_limit"],
        "entrypoint": spec["entrypoint"],
        "compute_only": bool(spec["config"].get("compute_only")),
        "shadow": None,
        "queue": spec["queue"],
        "tmp": True,
        "is_local": False,
        "raw": bool(spec["config"].get("raw")),
        "input_dir": str(inputs),
        "input_file": str(inputs / spec["main"]) if spec["main"] else None,
        "output_dir": str(folder / f"outputs.{order['attempt']}"),
        "params": spec["params"],
        "retry": order["retry"],
    }

"""The OpenAPI document is true: schemathesis asks what it allows, and what it does not."""

from __future__ import annotations

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.serving import TOKEN, start_server
from watcher.embedded.server import openapi

OPERATIONS = [
    (method, path)
    for path, item in openapi.document("0", secured=True)["paths"].items()
    for method in item
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start_server(tmp_path_factory.mktemp("document"), "--workers", "2") as started:
        yield started


@pytest.fixture(scope="module")
def document(server):
    found = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    assert isinstance(found.raw_schema, dict)
    return found


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_reply_conforms(document, method, path):
    # a form that conforms may still name no process, and an odd one may still be a job
    unfit = [positive_data_acceptance, negative_data_rejection]

    @given(document[path][method.upper()].as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def ask(case):
        case.call_and_validate(headers={"x-api-key": TOKEN}, excluded_checks=unfit, timeout=60)

    ask()


def test_the_pages_stand_alone(server):
    page = server.ask("GET", "/docs")
    assert page.status_code == 200
    assert "src=" not in page.text
    assert "http:" not in page.text.replace(server.url, "")
    assert page.text == server.ask("GET", "/redoc").text
    paths = server.ask("GET", "/openapi.json").json()["paths"]
    assert all(path in page.text for path in paths)
    assert requests.get(f"{server.url}/docs", timeout=60).status_code == 200


SCRIPTS = {
    "done": 'def main(pc, params):\n    pc.warn("odd")\n    pc.progress_next("one")\n'
    '    open(pc.get_output_dir("a.txt"), "w").write("alpha")\n    return [1, None, "\\udcff"]\n',
    "failed": "def main(pc, params):\n    raise ValueError('no')\n",
    "crashed": "import os\ndef main(pc, params):\n    os.abort()\n",
    "slow": "import time\ndef main(pc, params):\n    pc.progress_next('x')\n    time.sleep(60)\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_replies_on_real_jobs_conform(server, document, kind):
    job = server.submit(script=SCRIPTS[kind], name="modèle")
    server.wait(job, "RUNNING") if kind == "slow" else server.wait(job)
    for method, path in sorted(OPERATIONS, key=lambda each: each[0] == "delete"):
        if "{uuid}" not in path:
            continue
        operation = document[path][method.upper()]
        for headers in ({}, {"Range": "bytes=1-2"}, {"Range": "bytes=900-"}, {"Range": "x"}):
            case = operation.Case(
                path_parameters={"uuid": job, "path": "a.txt"},
                headers=headers | {"x-api-key": TOKEN},
            )
            reply = case.call(timeout=60)
            operation.validate_response(reply)
    assert server.details(job)["status"] in ("PENDING", "RUNNING", "REVOKED")


def test_an_untrue_reply_is_found_out(server, document):
    listing = document["/jobs"]["GET"].Case(headers={"x-api-key": TOKEN}).call(timeout=60)
    with pytest.raises(schemathesis.core.failures.FailureGroup):
        document["/processes"]["GET"].validate_response(listing)

"""CloudFormation hears of every outcome."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from tagmesh import custom_resource
from tagmesh.aws.lakeformation import merged_settings, settings_without


@pytest.fixture
def answers():
    """A server that keeps what is put to it, as the presigned URL would."""
    kept: list[dict] = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_PUT(self):
            kept.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/answer", kept
    server.shutdown()


def request(url):
    return {"ResponseURL": url, "StackId": "s", "RequestId": "r", "LogicalResourceId": "Thing", "RequestType": "Create"}


def test_success_carries_the_attributes(answers):
    url, kept = answers
    custom_resource.answer(request(url), None, lambda event: {"Version": "1"})
    assert kept[0]["Status"] == "SUCCESS" and kept[0]["Data"] == {"Version": "1"}


def test_failure_is_told_with_its_reason_in_the_bytes_there_are(answers):
    url, kept = answers

    def fail(event):
        raise ValueError("é" * 5000)

    custom_resource.answer(request(url), None, fail)
    assert kept[0]["Status"] == "FAILED" and kept[0]["Reason"].startswith("ValueError: é")
    assert len(json.dumps(kept[0], ensure_ascii=False).encode()) < 4096


ADMIN = "arn:aws:iam::555555555555:role/tagmesh-automation"
READER = "arn:aws:iam::555555555555:role/tagmesh-doctor"
EVERYBODY = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]


def test_settings_keep_other_administrators_and_close_the_defaults():
    before = {
        "DataLakeAdmins": [{"DataLakePrincipalIdentifier": "arn:aws:iam::555555555555:role/Somebody"}],
        "CreateDatabaseDefaultPermissions": EVERYBODY,
        "CreateTableDefaultPermissions": EVERYBODY,
        "Parameters": {"CROSS_ACCOUNT_VERSION": "1", "SET_CONTEXT": "TRUE"},
        "TrustedResourceOwners": ["666666666666"],
    }
    after = merged_settings(before, ADMIN, READER, "4")
    assert [a["DataLakePrincipalIdentifier"] for a in after["DataLakeAdmins"]] == [
        "arn:aws:iam::555555555555:role/Somebody",
        ADMIN,
    ]
    assert after["ReadOnlyAdmins"] == [{"DataLakePrincipalIdentifier": READER}]
    assert after["CreateDatabaseDefaultPermissions"] == after["CreateTableDefaultPermissions"] == []
    assert after["Parameters"] == {"CROSS_ACCOUNT_VERSION": "4"}, "only what may be put back"
    assert after["TrustedResourceOwners"] == ["666666666666"]
    assert merged_settings(after, ADMIN, READER, "4") == after
    left = settings_without(after, ADMIN, READER)
    assert (left["DataLakeAdmins"], left["ReadOnlyAdmins"]) == (before["DataLakeAdmins"], [])


def test_a_higher_cross_account_version_is_never_taken_back():
    assert merged_settings({"Parameters": {"CROSS_ACCOUNT_VERSION": "5"}}, ADMIN, READER, "3")["Parameters"] == {
        "CROSS_ACCOUNT_VERSION": "5"
    }

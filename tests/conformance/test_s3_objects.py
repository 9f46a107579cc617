"""Buckets and objects: names, versions, conditions, parts, many at once, and what blocks the public."""

import base64
import contextlib
import hashlib
import zlib

import pytest
from lab import refused
from policies import allow, document, narrowed, root, trust, trusting

MIB = 2**20


@pytest.fixture(scope="module")
def s3(lab):
    return lab.client("s3", "central")


@pytest.fixture(scope="module")
def bucket(lab):
    return lab.bucket("central")


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


@pytest.mark.statement("s3.bucket-names")
@pytest.mark.parametrize(
    "name",
    ["Upper-case", "under_score", "ab", "-begins", "ends-", "a..b", "192.168.5.4", "xn--abc", "sthree-abc",
     "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--table-s3", "a" * 64],
)  # fmt: skip
def test_a_buckets_name_follows_the_rules(lab, name):
    import botocore.handlers

    client = lab.session("central").client("s3")
    with contextlib.suppress(ValueError):  # boto3 checks some of it itself
        client.meta.events.unregister("before-parameter-build.s3", botocore.handlers.validate_bucket_name)
    with refused("InvalidBucketName"):
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": lab.region})


@pytest.mark.statement("s3.bucket-names")
def test_bucket_names_are_of_everybody(lab, s3, bucket):
    here = {"CreateBucketConfiguration": {"LocationConstraint": lab.region}}
    with refused("BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket=bucket, **here)
    with refused("BucketAlreadyExists"):
        lab.client("s3", "consumer").create_bucket(Bucket=bucket, **here)
    with refused("IllegalLocationConstraintException"):
        s3.create_bucket(Bucket=f"{bucket}-nowhere")
    assert bucket in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    assert bucket not in [each["Name"] for each in lab.client("s3", "consumer").list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == lab.region


@pytest.mark.statement("s3.delete-bucket")
def test_only_an_empty_bucket_is_deleted_and_what_is_missing_says_so(lab, s3):
    name = lab.bucket("central")
    lab.put("central", name, "a", "1")
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket=name)
    s3.delete_object(Bucket=name, Key="a")
    s3.delete_bucket(Bucket=name)
    for call in (s3.list_objects_v2, s3.delete_bucket, s3.get_bucket_notification_configuration):
        with refused("NoSuchBucket"):
            call(Bucket=name)
    with refused("NoSuchBucket"):
        s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}]})
    with refused("NoSuchBucket"):
        s3.get_object(Bucket=name, Key="a")
    with refused("NoSuchBucket"):
        s3.put_object(Bucket=name, Key="a", Body=b"")
    with refused("NoSuchBucket"):
        s3.put_bucket_policy(Bucket=name, Policy=document(allow("s3:*", Principal="*")))


KEYS = [
    "plain.csv", "with space.csv", "a+b.csv", "100%.csv", "%41.csv", "sales/région=Île/日本.csv", "x" * 1024, "a//b",
    "/leading", "trailing/", "q?x=1&y=2#z", "~!'()*;:@=,$.csv", "../up", "né" * 250,
]  # fmt: skip


@pytest.mark.statement("s3.keys")
def test_any_key_of_up_to_1024_bytes_comes_back_as_it_was(lab, s3):
    name = lab.bucket("central")
    for key in KEYS:
        s3.put_object(Bucket=name, Key=key, Body=key.encode(), Metadata={"note": "kept"})
    assert {each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]} == set(KEYS)
    for key in KEYS:
        got = s3.get_object(Bucket=name, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (key.encode(), {"note": "kept"})
        s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": key})
        assert read(s3, name, "copy") == key.encode()
    deleted = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in KEYS]})["Deleted"]
    assert {each["Key"] for each in deleted} == set(KEYS)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]] == ["copy"]
    for key in ("x" * 1025, "é" * 513):
        with refused("KeyTooLongError"):
            s3.put_object(Bucket=name, Key=key, Body=b"")


@pytest.mark.statement("s3.consistent")
def test_what_was_written_is_read_and_listed_at_once(s3, bucket):
    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="now", Body=body)
        assert read(s3, bucket, "now") == body
        (listed,) = s3.list_objects_v2(Bucket=bucket, Prefix="now")["Contents"]
        assert (listed["Size"], listed["ETag"]) == (3, f'"{hashlib.md5(body).hexdigest()}"')
    s3.delete_object(Bucket=bucket, Key="now")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="now")


@pytest.mark.statement("s3.listing")
def test_listings_are_in_the_order_of_keys_by_prefix_delimiter_and_pages(lab, s3):
    name = lab.bucket("central")
    for key in ("b/2", "a", "b/1", "c/x/1", "Z"):
        lab.put("central", name, key, "1")
    listed = s3.list_objects_v2(Bucket=name, Delimiter="/")
    assert [each["Key"] for each in listed["Contents"]] == ["Z", "a"]
    assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["b/", "c/"]
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=name, PaginationConfig={"PageSize": 2}))
    assert [[each["Key"] for each in page["Contents"]] for page in pages] == [["Z", "a"], ["b/1", "b/2"], ["c/x/1"]]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=name, StartAfter="b/1")["Contents"]] == ["b/2", "c/x/1"]
    fetched = s3.list_objects_v2(Bucket=name, Prefix="a", FetchOwner=True, EncodingType="url")["Contents"]
    assert "Owner" in fetched[0]
    old = s3.list_objects(Bucket=name, Prefix="b/", Marker="b/1", MaxKeys=1, Delimiter="/", EncodingType="url")
    assert [each["Key"] for each in old["Contents"]] == ["b/2"]


@pytest.mark.statement("s3.conditional-writes")
def test_writes_can_be_held_to_what_is_there(lab, s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="held", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="held", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="held", Body=b"2", IfMatch='"another"')
    with refused("NoSuchKey"):
        s3.put_object(Bucket=bucket, Key="never", Body=b"2", IfMatch=first)
    assert read(s3, bucket, "held") == b"1"
    s3.put_object(Bucket=bucket, Key="held", Body=b"3", IfMatch=first)
    assert read(s3, bucket, "held") == b"3"


@pytest.mark.statement("s3.conditional-reads")
def test_reads_can_be_held_to_what_is_there_and_to_a_range(s3, bucket):
    put = s3.put_object(
        Bucket=bucket, Key="ranged", Body=b"0123456789", ContentType="text/csv", CacheControl="no-store"
    )
    etag = put["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="ranged")["LastModified"]
    assert read(s3, bucket, "ranged", IfMatch=etag, IfModifiedSince=modified.replace(year=2020)) == b"0123456789"
    assert read(s3, bucket, "ranged", Range="bytes=2-4") == b"234"
    assert read(s3, bucket, "ranged", Range="bytes=-3") == b"789"
    got = s3.get_object(
        Bucket=bucket, Key="ranged", IfUnmodifiedSince=modified, ResponseContentType="text/plain",
        ResponseContentDisposition="attachment",
    )  # fmt: skip
    assert (got["ContentType"], got["ContentDisposition"], got["CacheControl"]) == (
        "text/plain",
        "attachment",
        "no-store",
    )
    s3.head_object(Bucket=bucket, Key="ranged", IfMatch=etag, IfNoneMatch='"x"')
    with refused("PreconditionFailed"):
        s3.get_object(Bucket=bucket, Key="ranged", IfMatch='"x"')
    with refused("304"):
        s3.get_object(Bucket=bucket, Key="ranged", IfNoneMatch=etag)
    with refused("InvalidRange"):
        s3.get_object(Bucket=bucket, Key="ranged", Range="bytes=10-")
    with refused("404"):
        s3.head_object(Bucket=bucket, Key="never")
    with refused("NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="never")


@pytest.mark.statement("s3.digests")
def test_a_body_that_is_not_what_is_said_of_it_is_not_kept(s3, bucket):
    def coded(digest):
        return base64.b64encode(digest).decode()

    body = b"hello"
    right = {
        "ContentMD5": coded(hashlib.md5(body).digest()),
        "ChecksumCRC32": coded(zlib.crc32(body).to_bytes(4, "big")),
        "ChecksumSHA1": coded(hashlib.sha1(body).digest()),
        "ChecksumSHA256": coded(hashlib.sha256(body).digest()),
    }
    for name, value in right.items():
        s3.put_object(Bucket=bucket, Key="digest", Body=body, **{name: value})
        with refused("BadDigest"):
            s3.put_object(Bucket=bucket, Key="digest", Body=b"other", **{name: value})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="digest")["UploadId"]
    part = {"Bucket": bucket, "Key": "digest", "UploadId": upload, "PartNumber": 1}
    for name, value in right.items():
        s3.upload_part(**part, Body=body, **{name: value})
        with refused("BadDigest"):
            s3.upload_part(**part, Body=b"other", **{name: value})
    s3.abort_multipart_upload(Bucket=bucket, Key="digest", UploadId=upload)
    assert read(s3, bucket, "digest") == body
    with refused("BadDigest"):
        policy = document(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal={"AWS": "*"}))
        s3.put_bucket_policy(Bucket=bucket, Policy=policy, ContentMD5=right["ContentMD5"])


@pytest.mark.statement("s3.versions")
def test_a_versioned_bucket_keeps_what_was_there_behind_versions_and_markers(lab, s3):
    name = lab.bucket("central")
    s3.put_object(Bucket=name, Key="a", Body=b"0")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    one = s3.put_object(Bucket=name, Key="a", Body=b"1")["VersionId"]
    two = s3.put_object(Bucket=name, Key="a", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=name, Key="a")
    assert marker["DeleteMarker"] is True
    with refused("NoSuchKey"):
        s3.get_object(Bucket=name, Key="a")
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    assert [read(s3, name, "a", VersionId=each) for each in ("null", one, two)] == [b"0", b"1", b"2"]
    listed = s3.list_object_versions(Bucket=name, Prefix="a")
    assert [each["VersionId"] for each in listed["Versions"]] == [two, one, "null"]
    assert [each["VersionId"] for each in listed["DeleteMarkers"]] == [marker["VersionId"]]
    s3.delete_object(Bucket=name, Key="a", VersionId=marker["VersionId"])
    assert read(s3, name, "a") == b"2"
    s3.delete_object(Bucket=name, Key="a", VersionId=two)
    assert read(s3, name, "a") == b"1"
    with refused("NoSuchVersion"):
        s3.get_object(Bucket=name, Key="a", VersionId=two)
    with refused("BucketNotEmpty"):
        s3.delete_object(Bucket=name, Key="a")
        s3.delete_bucket(Bucket=name)


@pytest.mark.statement("allowlist.refused")
@pytest.mark.local_only("AWS suspends versioning")
def test_versioning_is_not_suspended_where_there_are_versions(lab, s3):
    name = lab.bucket("central")
    suspended = {"Bucket": name, "VersioningConfiguration": {"Status": "Suspended"}}
    s3.put_bucket_versioning(**suspended)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    with refused("LocalAwsNotSupported", message="does not suspend the versioning"):
        s3.put_bucket_versioning(**suspended)


@pytest.mark.statement("s3.delete-many")
def test_of_many_objects_only_those_that_may_be_are_deleted(lab, s3):
    name = lab.bucket("central")
    for key in ("tmp/a", "tmp/b", "keep/c"):
        lab.put("central", name, key, "")
    cleaner = trusting(
        lab, "central", trust(root(lab, "central")), may=(allow("s3:DeleteObject", f"arn:aws:s3:::{name}/tmp/*"),)
    )
    objects = [{"Key": key} for key in ("tmp/a", "keep/c", "tmp/b", "tmp/never-there")]
    mine = lab.client("s3", cleaner)
    answer = lab.eventually(lambda: mine.delete_objects(Bucket=name, Delete={"Objects": objects}))
    assert {each["Key"] for each in answer["Deleted"]} == {"tmp/a", "tmp/b", "tmp/never-there"}
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("keep/c", "AccessDenied")]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=name)["Contents"]] == ["keep/c"]
    versioned = mine.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "tmp/a", "VersionId": "null"}]})
    assert [each["Code"] for each in versioned["Errors"]] == ["AccessDenied"]
    assert "Deleted" not in s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "keep/c"}], "Quiet": True})
    for count in (0, 1001):
        with refused("MalformedXML"):
            s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": str(n)} for n in range(count)]})
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": str(n)} for n in range(1000)]})


@pytest.mark.statement("s3.delete-many")
def test_deleting_many_in_a_versioned_bucket_leaves_markers(lab, s3):
    name = lab.bucket("central")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=name, Key="a", Body=b"1")["VersionId"]
    (marked,) = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a"}]})["Deleted"]
    assert marked["DeleteMarker"] is True and marked["DeleteMarkerVersionId"] != version
    (gone,) = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a", "VersionId": version}]})["Deleted"]
    assert gone == {"Key": "a", "VersionId": version}
    assert "Versions" not in s3.list_object_versions(Bucket=name)


@pytest.mark.statement("s3.multipart")
def test_an_upload_in_parts_is_there_when_it_is_complete(lab, s3, bucket):
    target = {"Bucket": bucket, "Key": "parts/big"}
    upload = {**target, "UploadId": s3.create_multipart_upload(**target, ContentType="text/csv")["UploadId"]}
    assert upload["UploadId"] in [
        each["UploadId"] for each in s3.list_multipart_uploads(Bucket=bucket, Prefix="parts/")["Uploads"]
    ]
    lab.put("central", bucket, "parts/source", "ABCDEF")
    first = s3.upload_part(**upload, PartNumber=1, Body=b"x" * 5 * MIB)["ETag"]
    copied = s3.upload_part_copy(
        **upload, PartNumber=3, CopySource={"Bucket": bucket, "Key": "parts/source"}, CopySourceRange="bytes=0-2"
    )["CopyPartResult"]["ETag"]
    parts = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 3, "ETag": copied}]
    assert [each["PartNumber"] for each in s3.list_parts(**upload)["Parts"]] == [1, 3]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="parts/big")

    def complete(*given, **more):
        return s3.complete_multipart_upload(**{**upload, **more}, MultipartUpload={"Parts": list(given)})

    with refused("InvalidPartOrder"):
        complete(parts[1], parts[0])
    with refused("InvalidPartOrder"):
        complete(parts[0], parts[0])
    with refused("InvalidPart"):
        complete({"PartNumber": 1, "ETag": '"another"'})
    with refused("InvalidPart"):
        complete({"PartNumber": 2, "ETag": first})
    with refused("NoSuchUpload"):
        complete(parts[0], UploadId="none-such")
    with refused("NoSuchUpload"):
        complete(parts[0], Key="parts/other")
    complete(*parts)
    head = s3.head_object(**target)
    assert (head["ContentLength"], head["ContentType"]) == (5 * MIB + 3, "text/csv")
    assert head["ETag"].endswith('-2"')
    with refused("NoSuchUpload"):
        complete(*parts)


@pytest.mark.statement("s3.multipart")
def test_small_parts_but_the_last_and_aborted_uploads_are_refused(s3, bucket):
    target = {"Bucket": bucket, "Key": "parts/small"}
    upload = {**target, "UploadId": s3.create_multipart_upload(**target)["UploadId"]}
    parts = [{"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=b"x")["ETag"]} for n in (1, 2)]
    with refused("EntityTooSmall"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    with refused("InvalidArgument"):
        s3.upload_part(**upload, PartNumber=10_001, Body=b"x")
    s3.abort_multipart_upload(**upload)
    with refused("NoSuchUpload"):
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts[:1]})
    for call, more in (
        (s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        (s3.upload_part_copy, {"PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "parts/small"}}),
        (s3.list_parts, {}),
        (s3.abort_multipart_upload, {}),
    ):
        with refused("NoSuchUpload"):
            call(**upload, **more)


@pytest.mark.statement("s3.multipart")
def test_a_large_file_goes_up_in_parts_and_comes_down_in_ranges(s3, bucket, tmp_path):
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b"0123456789abcdef" * 600_000)
    s3.upload_file(str(source), bucket, "large")
    assert "-" in s3.head_object(Bucket=bucket, Key="large")["ETag"]
    s3.download_file(bucket, "large", str(target))
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.statement("s3.copy")
def test_a_copy_keeps_or_replaces_what_is_said_of_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="from", Body=b"1", Metadata={"a": "b"}, ContentType="text/csv", Tagging="t=1")
    source = {"Bucket": bucket, "Key": "from"}
    s3.copy_object(Bucket=bucket, Key="to", CopySource=source)
    copied = s3.head_object(Bucket=bucket, Key="to")
    assert (copied["Metadata"], copied["ContentType"]) == ({"a": "b"}, "text/csv")
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "t", "Value": "1"}]
    s3.copy_object(
        Bucket=bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"},
        ContentType="text/plain", TaggingDirective="REPLACE", Tagging="t=2",
    )  # fmt: skip
    replaced = s3.head_object(Bucket=bucket, Key="to")
    assert (replaced["Metadata"], replaced["ContentType"]) == ({"c": "d"}, "text/plain")
    assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "t", "Value": "2"}]
    with refused("InvalidRequest"):
        s3.copy_object(Bucket=bucket, Key="from", CopySource=source)
    with refused("NoSuchKey"):
        s3.copy_object(Bucket=bucket, Key="x", CopySource={**source, "Key": "never"})


@pytest.mark.statement("s3.expected-owner")
def test_the_expected_owner_must_be_the_owner(lab, s3, bucket):
    mine, other = lab.account("central"), lab.account("consumer")
    s3.put_object(Bucket=bucket, Key="mine", Body=b"", ExpectedBucketOwner=mine)
    for call, params in (
        (s3.put_object, {"Key": "mine", "Body": b""}),
        (s3.get_object, {"Key": "mine"}),
        (s3.list_objects_v2, {}),
    ):
        with refused("AccessDenied"):
            call(Bucket=bucket, ExpectedBucketOwner=other, **params)
    copy = {"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "mine"}}
    s3.copy_object(**copy, ExpectedSourceBucketOwner=mine)
    with refused("AccessDenied"):
        s3.copy_object(**copy, ExpectedSourceBucketOwner=other)


@pytest.mark.statement("s3.missing-hidden")
def test_only_who_may_list_a_bucket_learns_that_an_object_is_missing(lab, bucket):
    below, it = f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}"
    wide = trusting(lab, "central", trust(root(lab, "central")), may=(allow("s3:*"),))
    reader = narrowed(lab, wide, "s3", allow("s3:GetObject*", below))
    with refused("AccessDenied", message="s3:ListBucket"):
        reader.get_object(Bucket=bucket, Key="missing")
    with refused("403"):
        reader.head_object(Bucket=bucket, Key="missing")
    lister = narrowed(lab, wide, "s3", allow("s3:GetObject*", below), allow("s3:ListBucket", it))
    with refused("NoSuchKey"):
        lister.get_object(Bucket=bucket, Key="missing")
    with refused("404"):
        lister.head_object(Bucket=bucket, Key="missing")


@pytest.mark.statement("s3.public-block")
def test_a_new_bucket_takes_no_policy_for_everybody_unless_it_is_narrowed_to_somebody(lab, s3):
    name = lab.bucket("central")
    block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert block == dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )

    def put(principal="*", effect="Allow", **condition):
        said = allow("s3:GetObject", f"arn:aws:s3:::{name}/*", Principal=principal, Effect=effect)
        policy = document({**said, "Condition": condition} if condition else said)
        s3.put_bucket_policy(Bucket=name, Policy=policy)

    role = f"arn:aws:iam::{lab.account('central')}:role/Analyst"
    for public in (
        {},
        {"principal": {"AWS": "*"}},
        {"principal": {"AWS": ["*"]}},
        {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/Analyst"}},
        {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/${aws:username}"}},
        {"StringEquals": {"s3:prefix": "sales/"}},
        {"StringNotEquals": {"aws:PrincipalAccount": lab.account("central")}},
        {"StringEqualsIfExists": {"aws:PrincipalAccount": lab.account("central")}},
        {"Bool": {"aws:SecureTransport": "true"}},
    ):
        with refused("AccessDenied", message="BlockPublicPolicy"):
            put(**public)
    put(principal={"AWS": lab.account("central")})
    put(effect="Deny")
    put(StringEquals={"aws:PrincipalOrgID": "o-member0001"})
    put(ArnEquals={"aws:PrincipalArn": role})
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration={**block, "BlockPublicPolicy": False, "RestrictPublicBuckets": False},
    )
    put()


@pytest.mark.statement("s3.policy-form")
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({"Action": "sqs:SendMessage"}, "Policy has invalid action"),
        ({"Action": ["s3:GetObject", "iam:PassRole"]}, "Policy has invalid action"),
        ({"Resource": "arn:aws:s3:::another-bucket/*"}, "Policy has invalid resource"),
        ({"Resource": ["arn:aws:s3:::{bucket}/*", "*"]}, "Policy has invalid resource"),
        ({"Principal": None}, "Missing required field Principal"),
    ],
)
def test_a_bucket_policy_is_about_its_bucket_s3s_actions_and_somebody(lab, s3, bucket, statement, said):
    whole = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*", Principal=root(lab, "consumer"))
    broken = document({name: value for name, value in {**whole, **statement}.items() if value is not None})
    with refused("MalformedPolicy", message=said):
        s3.put_bucket_policy(Bucket=bucket, Policy=broken.replace("{bucket}", bucket))


@pytest.mark.statement("s3.policy-form")
def test_a_bucket_policy_is_returned_as_it_was_put_until_it_is_deleted(lab, s3, bucket):
    every = allow("*", [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"], Principal=root(lab, "consumer"))
    spared = {"Effect": "Deny", "NotPrincipal": root(lab, "central"), "NotAction": "s3:Get*",
              "Resource": f"arn:aws:s3:::{bucket}/x"}  # fmt: skip
    policy = document(every, spared)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    s3.delete_bucket_policy(Bucket=bucket)
    with refused("NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=bucket)

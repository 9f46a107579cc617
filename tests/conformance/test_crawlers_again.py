"""Crawls of what was crawled before: schema changes, what is gone, what is new."""

import gzip
import json

import pytest
from crawling import ACTIONS, COMBINE, INHERIT, MERGE, NUMBERS, glue_role, parquet, place
from lab import refused

LOG = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
NEW_FOLDERS = {"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}}
MARK = "DEPRECATED_BY_CRAWLER"


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def names(described):
    return [column["Name"] for column in described["StorageDescriptor"]["Columns"]]


def summary(crawl):
    return {what: json.loads(done) for what, done in json.loads(crawl["Summary"]).items()}


def edited(here, *, columns=None, **changes):
    """Change the table `t` by hand."""
    table = here.table()
    kept = ("Name", "Owner", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    table = {key: table[key] for key in kept}
    if columns:
        table["StorageDescriptor"]["Columns"] = columns
    parameters = {**table["Parameters"], **changes.pop("Parameters", {})}
    here.glue.update_table(DatabaseName=here.database, TableInput={**table, **changes, "Parameters": parameters})


# -- schema changes ------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.unchanged")
@pytest.mark.parametrize("settings", [{}, {"Configuration": MERGE}, {"Configuration": INHERIT}, NEW_FOLDERS])
def test_a_second_crawl_of_the_same_files_changes_nothing(here, settings):
    here.put("t/year=2024/a.csv", NUMBERS)
    crawler = here.crawl("t/", **settings)
    before = here.table()["VersionId"], here.partitions()
    assert summary(here.run(crawler)) == {}
    assert (here.table()["VersionId"], here.partitions()) == before


@pytest.mark.statement("crawlers.update")
def test_columns_come_go_and_change_their_types(here):
    here.put("t/a.csv", "id,gone,x\n1,2,3\n3,4,5\n")
    crawler = here.crawl("t/")
    here.put("t/a.csv", "id,x,added\n1,a,2\n3,b,4\n")
    crawl = here.run(crawler)
    assert here.columns() == {"id": "bigint", "x": "string", "added": "bigint"}
    assert summary(crawl) == {"TABLE": {"UPDATE": {"Details": {"names": ["t"]}, "Count": 1}}}


@pytest.mark.statement("crawlers.update")
def test_a_header_that_goes_and_another_format_change_the_table(here):
    here.put("t/a.csv", NUMBERS)
    crawler = here.crawl("t/")
    here.put("t/a.csv", "1,2\n3,4\n")
    here.run(crawler)
    assert "skip.header.line.count" not in here.table()["Parameters"]
    here.put("t/a.csv", '{"id": 1}')
    here.run(crawler)
    assert (here.table()["Parameters"]["classification"], here.columns()) == ("json", {"id": "int"})


@pytest.mark.statement("crawlers.update")
def test_metadata_that_no_crawler_set_goes_with_an_update_and_not_before(here):
    here.put("t/a.csv", NUMBERS)
    crawler = here.crawl("t/")
    edited(here, Description="mine", Parameters={"team": "a"})
    here.run(crawler)
    assert (here.table()["Description"], here.table()["Parameters"]["team"]) == ("mine", "a")
    here.put("t/a.csv", "id,added\n1,2\n3,4\n")
    here.run(crawler)
    assert "Description" not in here.table()
    assert "team" not in here.table()["Parameters"]


@pytest.mark.statement("crawlers.update", "crawlers.update-log")
@pytest.mark.parametrize("policy", ["UPDATE_IN_DATABASE", "LOG"])
@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"columns": [{"Name": "id", "Type": "string"}]}, lambda table: names(table) == ["id"]),
        ({"Parameters": {"classification": "mine"}}, lambda table: table["Parameters"]["classification"] == "mine"),
    ],
    ids=["columns", "parameter"],
)
def test_a_table_edited_by_hand_is_set_right_unless_changes_are_only_logged(here, policy, change, shown):
    here.put("t/a.csv", NUMBERS)
    crawler = here.crawl("t/", SchemaChangePolicy={"UpdateBehavior": policy})
    edited(here, **change)
    here.run(crawler)
    assert shown(here.table()) is (policy == "LOG")


@pytest.mark.statement("crawlers.update-log", "crawlers.partition-own")
def test_log_leaves_the_table_and_still_adds_partitions_and_tables(here):
    here.put("t/p=1/a.csv", NUMBERS)
    crawler = here.crawl("t/", "u/", SchemaChangePolicy=LOG, Configuration=COMBINE)
    here.put("t/p=1/a.csv", "id,x,more\n1,2,3\n3,4,5\n")
    here.put("t/p=2/a.csv", "id,x,more\n1,2,3\n3,4,5\n")
    here.put("u/a.csv", NUMBERS)
    here.run(crawler)
    assert names(here.table()) == ["id", "x"]
    assert {key: int(each["Parameters"]["sizeKey"]) for key, each in here.partitions().items()} == {
        ("1",): 13,
        ("2",): 22,
    }
    assert set(here.tables()) == {"t", "u"}


@pytest.mark.statement("crawlers.partition-own")
def test_a_partition_has_a_schema_of_its_own_and_follows_its_files(here):
    here.put("t/p=1/a.json", '{"a": 1, "b": 1}')
    here.put("t/p=2/a.json", '{"a": 1, "c": 1}')
    crawler = here.crawl("t/", Configuration=COMBINE)
    assert {key: names(each) for key, each in here.partitions().items()} == {("1",): ["a", "b"], ("2",): ["a", "c"]}
    here.put("t/p=2/a.json", '{"a": "x", "d": 1}')
    crawl = here.run(crawler)
    assert names(here.partitions()["2",]) == ["a", "d"]
    assert summary(crawl)["PARTITION"] == {"UPDATE": {"Count": 1}}


@pytest.mark.statement("crawlers.merge")
@pytest.mark.parametrize("policy", ["UPDATE_IN_DATABASE", "LOG"])
def test_merging_only_adds_columns_and_keeps_the_rest(here, policy):
    here.put("t/p=1/a.csv", "id,gone\n1,2\n3,4\n")
    crawler = here.crawl("t/", Configuration=MERGE, SchemaChangePolicy={"UpdateBehavior": policy})
    edited(here, Description="mine", Parameters={"team": "a"})
    here.put("t/p=1/a.csv", "id,added\nx,1\ny,2\n")
    here.run(crawler)
    assert here.columns() == {"id": "bigint", "gone": "bigint", "added": "bigint"}
    assert names(here.partitions()["1",]) == ["id", "gone", "added"]
    assert (here.table()["Description"], here.table()["Parameters"]["team"]) == ("mine", "a")


@pytest.mark.statement("crawlers.merge", "crawlers.inherit")
def test_merged_columns_reach_partitions_that_inherit(here):
    here.put("t/p=1/a.json", '{"a": 1}')
    both = {"CrawlerOutput": {**MERGE["CrawlerOutput"], **INHERIT["CrawlerOutput"]}, **COMBINE}
    crawler = here.crawl("t/", Configuration=both)
    edited(here, columns=[{"Name": "mine", "Type": "string"}, {"Name": "a", "Type": "int"}])
    here.put("t/p=2/a.json", '{"b": 1}')
    here.run(crawler)
    expected = ["mine", "a", "b"]
    assert {key: names(each) for key, each in here.partitions().items()} == {("1",): expected, ("2",): expected}


@pytest.mark.statement("crawlers.merge-fundamental")
@pytest.mark.parametrize(
    "body",
    ['{"id": 1}', gzip.compress(NUMBERS.encode()), NUMBERS.replace(",", ";")],
    ids=["format", "gzip", "delimiter"],
)
def test_merging_deprecates_a_table_whose_format_changes(here, body):
    here.put("t/a", NUMBERS)
    crawler = here.crawl("t/", Configuration=MERGE)
    here.put("t/a", body)
    here.run(crawler)
    table = here.table()
    assert MARK in table["Parameters"]
    assert (names(table), table["Parameters"]["classification"]) == (["id", "x"], "csv")
    marked = table["Parameters"][MARK]
    here.run(crawler)
    assert here.table()["Parameters"][MARK] == marked
    here.put("t/a", NUMBERS)
    here.run(crawler)
    assert MARK not in here.table()["Parameters"]


@pytest.mark.statement("crawlers.inherit")
@pytest.mark.parametrize("policy", ["UPDATE_IN_DATABASE", "LOG"])
def test_partitions_inherit_the_tables_schema(here, policy):
    here.put("t/p=1/a.json", '{"a": 1}')
    crawler = here.crawl("t/", Configuration={**COMBINE, **INHERIT}, SchemaChangePolicy={"UpdateBehavior": policy})
    here.put("t/p=2/a.json", '{"a": 1, "b": "x"}')
    if policy == "LOG":
        edited(here, columns=[{"Name": "mine", "Type": "string"}])
    here.run(crawler)
    expected = ["mine"] if policy == "LOG" else ["a", "b"]
    assert [names(each) for each in here.partitions().values()] == [expected, expected]


# -- what is gone --------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.delete", "crawlers.deprecated-mark")
@pytest.mark.parametrize("policy", ["DEPRECATE_IN_DATABASE", "DELETE_FROM_DATABASE", "LOG", None])
def test_tables_whose_files_are_gone_are_deprecated_deleted_or_left(here, policy):
    here.put("t/x.csv", NUMBERS)
    crawler = here.crawl("t/", **({"SchemaChangePolicy": {"DeleteBehavior": policy}} if policy else {}))
    here.delete("t/x.csv")
    crawl = here.run(crawler)
    if policy == "DELETE_FROM_DATABASE":
        assert here.tables() == {}
        assert summary(crawl)["TABLE"] == {"DELETE": {"Details": {"names": ["t"]}, "Count": 1}}
        return
    marked = here.table()["Parameters"].get(MARK)
    assert bool(marked) is (policy != "LOG")
    here.run(crawler)
    assert here.table()["Parameters"].get(MARK) == marked
    here.put("t/x.csv", NUMBERS)
    here.run(crawler)
    assert MARK not in here.table()["Parameters"]


@pytest.mark.statement("crawlers.delete", "crawlers.deprecated-mark")
@pytest.mark.parametrize("policy", ["DEPRECATE_IN_DATABASE", "DELETE_FROM_DATABASE", "LOG"])
def test_partitions_whose_files_are_gone_follow_the_policy_too(here, policy):
    for part in ("1", "2"):
        here.put(f"t/p={part}/x.csv", NUMBERS)
    crawler = here.crawl("t/", SchemaChangePolicy={"DeleteBehavior": policy})
    here.delete("t/p=1/x.csv")
    crawl = here.run(crawler)
    expected = {"DEPRECATE_IN_DATABASE": "UPDATE", "DELETE_FROM_DATABASE": "DELETE"}
    done = {expected[policy]: {"Count": 1}} if policy in expected else None
    assert summary(crawl).get("PARTITION") == done
    marks = {key: MARK in each["Parameters"] for key, each in here.partitions().items()}
    assert (
        marks
        == {
            "DEPRECATE_IN_DATABASE": {("1",): True, ("2",): False},
            "DELETE_FROM_DATABASE": {("2",): False},
            "LOG": {("1",): False, ("2",): False},
        }[policy]
    )
    assert "PARTITION" not in summary(here.run(crawler))
    if policy == "DEPRECATE_IN_DATABASE":
        here.put("t/p=1/x.csv", NUMBERS)
        here.run(crawler)
        assert MARK not in here.partitions()["1",]["Parameters"]


@pytest.mark.statement("crawlers.delete-own")
def test_what_another_crawler_wrote_or_lies_elsewhere_stays(here):
    for folder in ("mine/t", "theirs/u", "elsewhere/v"):
        here.put(f"{folder}/x.csv", NUMBERS)
    policy = {"SchemaChangePolicy": {"DeleteBehavior": "DELETE_FROM_DATABASE"}}
    crawler = here.crawl("mine/", "elsewhere/", **policy)
    here.crawl("theirs/u/", **policy)
    assert len(here.tables()) == 3
    targets = {"S3Targets": [{"Path": here.path("mine/")}, {"Path": here.path("theirs/")}]}
    here.glue.update_crawler(Name=crawler, Targets=targets)
    for folder in ("mine/t", "theirs/u", "elsewhere/v"):
        here.delete(f"{folder}/x.csv")
    here.run(crawler)
    assert len(here.tables()) == 2


@pytest.mark.statement("crawlers.delete-own")
def test_a_folder_whose_name_only_begins_alike_is_not_below_a_target(here):
    for folder in ("t", "t2"):
        here.put(f"{folder}/x.csv", NUMBERS)
    crawler = here.crawl("t", "t2", SchemaChangePolicy={"DeleteBehavior": "DELETE_FROM_DATABASE"})
    here.glue.update_crawler(Name=crawler, Targets={"S3Targets": [{"Path": here.path("t")}]})
    for folder in ("t", "t2"):
        here.delete(f"{folder}/x.csv")
    here.run(crawler)
    assert set(here.tables()) == {"t2"}


# -- what is known -------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.no-reclassifying")
def test_a_changed_classifier_is_for_new_data_and_new_crawlers(here):
    here.put("t/a.csv", "first,last\nann,lee\n")
    classifier = here.classifier(Delimiter=",", ContainsHeader="ABSENT")
    crawler = here.crawl("t/", Classifiers=[classifier])
    here.glue.update_classifier(CsvClassifier={"Name": classifier, "ContainsHeader": "PRESENT"})
    here.run(crawler)
    assert list(here.columns()) == ["col1", "col2"]
    here.put("t/a.csv", "first,last\nbob,ray\n")
    here.run(crawler)
    assert list(here.columns()) == ["first", "last"]


@pytest.mark.statement("crawlers.no-reclassifying")
def test_a_new_crawler_classifies_everything(here):
    here.put("t/a.csv", "first,last\nann,lee\n")
    classifier = here.classifier(Delimiter=",", ContainsHeader="ABSENT")
    here.crawl("t/", Classifiers=[classifier])
    here.glue.update_classifier(CsvClassifier={"Name": classifier, "ContainsHeader": "PRESENT"})
    here.crawl("t/", Classifiers=[classifier])
    assert list(here.columns()) == ["first", "last"]


# -- new folders only ----------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.new-folders", "crawlers.new-folders-log")
def test_only_new_folders_are_crawled(here):
    here.put("t/p=1/a.csv", NUMBERS)
    here.put("t/p=3/a.csv", NUMBERS)
    crawler = here.crawl("t/", **NEW_FOLDERS)
    here.put("t/p=1/a.csv", "id,x,changed\n1,2,3\n4,5,6\n")
    here.put("t/p=1/b.json", '{"other": 1}')
    here.delete("t/p=3/a.csv")
    here.put("t/p=2/a.csv", NUMBERS)
    crawl = here.run(crawler)
    assert summary(crawl) == {"PARTITION": {"ADD": {"Count": 1}}}
    assert (names(here.table()), set(here.partitions())) == (["id", "x"], {("1",), ("2",), ("3",)})
    assert names(here.partitions()["1",]) == ["id", "x"]


@pytest.mark.statement("crawlers.new-folders")
def test_a_new_table_is_found_beside_older_ones(here):
    here.put("top/a/p=1/f.csv", NUMBERS)
    here.put("top/b/p=1/f.csv", "other,columns,altogether\nx,y,1\nx,y,1\n")
    crawler = here.crawl("top/", **NEW_FOLDERS)
    here.put("top/a/p=2/f.csv", NUMBERS)
    here.put("top/c/p=1/f.json", '{"new": 1}')
    here.run(crawler)
    assert set(here.tables()) == {"a", "b", "c"}
    assert set(here.partitions("a")) == {("1",), ("2",)}


@pytest.mark.statement("crawlers.new-folders-differing")
def test_new_folders_that_differ_too_much_are_ignored(here):
    here.put("t/p=1/a.csv", NUMBERS)
    crawler = here.crawl("t/", **NEW_FOLDERS)
    here.put("t/p=2/a.json", '{"id": 1}')
    here.put("t/p=3/a.csv", NUMBERS)
    here.put("t/p=4/q=1/a.csv", NUMBERS)
    here.run(crawler)
    assert (set(here.tables()), set(here.partitions())) == ({"t"}, {("1",), ("3",)})


@pytest.mark.statement("crawlers.new-folders", "crawlers.inherit")
def test_older_partitions_are_not_touched_though_they_inherit(here):
    here.put("t/p=1/a.csv", NUMBERS)
    crawler = here.crawl("t/", Configuration=INHERIT, **NEW_FOLDERS)
    edited(here, columns=[{"Name": "mine", "Type": "string"}])
    here.put("t/p=2/a.csv", NUMBERS)
    here.run(crawler)
    assert {key: names(each) == ["mine"] for key, each in here.partitions().items()} == {("1",): False, ("2",): True}


@pytest.mark.statement("crawlers.new-folders")
def test_a_crawl_that_failed_is_no_last_crawl(lab, here):
    here.put("t/p=1/a.csv", NUMBERS)
    crawler = here.crawler("t/", **NEW_FOLDERS, DatabaseName="not_there_yet")
    assert here.run(crawler)["State"] == "FAILED"
    here.glue.update_crawler(Name=crawler, DatabaseName=here.database)
    here.run(crawler)
    assert set(here.tables()) == {"t"}


@pytest.mark.statement("crawlers.new-folders-log")
@pytest.mark.parametrize(
    "policy",
    [
        {"UpdateBehavior": "UPDATE_IN_DATABASE"},
        {"DeleteBehavior": "DEPRECATE_IN_DATABASE"},
        {"UpdateBehavior": "LOG", "DeleteBehavior": "DELETE_FROM_DATABASE"},
    ],
)
def test_other_policies_than_log_are_refused_for_new_folders(here, policy):
    with refused("InvalidInputException", message="can have only LOG DeleteBehavior value and LOG UpdateBehavior"):
        here.crawler("t/", SchemaChangePolicy=policy, **NEW_FOLDERS)
    here.crawler("t/", SchemaChangePolicy=LOG, **NEW_FOLDERS)
    default = here.glue.get_crawler(Name=here.crawler("t/", **NEW_FOLDERS))["Crawler"]
    assert (default["SchemaChangePolicy"], default["RecrawlPolicy"]) == (LOG, NEW_FOLDERS["RecrawlPolicy"])


@pytest.mark.statement("crawlers.new-folders-targets")
def test_the_targets_of_a_crawler_of_new_folders_stay(here):
    crawler, other = here.crawler("t/", **NEW_FOLDERS), {"S3Targets": [{"Path": here.path("u/")}]}
    with refused("InvalidInputException", message="immutable"):
        here.glue.update_crawler(Name=crawler, Targets=other)
    here.glue.update_crawler(Name=crawler, Targets={"S3Targets": [{"Path": here.path("t/")}]}, Description="d")
    everything = {"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"}}
    here.glue.update_crawler(Name=crawler, Targets=other, **everything)
    assert here.glue.get_crawler(Name=crawler)["Crawler"]["Targets"]["S3Targets"] == other["S3Targets"]


# -- formats that widen over time ----------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.update", "files.csv-widening")
def test_a_type_that_widens_over_time_is_read_all_the_same(here):
    here.put("t/a.parquet", parquet(n=[1], gone=["x"]))
    crawler = here.crawl("t/", Configuration=COMBINE)
    here.put("t/b.parquet", parquet(n=[2], more=[1.5]))
    here.run(crawler)
    assert here.columns() == {"n": "bigint", "gone": "string", "more": "double"}
    assert here.rows("SELECT n, gone, more FROM t ORDER BY n") == [("1", "x", None), ("2", None, "1.5")]

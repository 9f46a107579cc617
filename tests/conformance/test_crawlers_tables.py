"""What a crawl makes of a bucket: tables, names, partitions."""

import json
import re

import pytest
from crawling import ACTIONS, COMBINE, NUMBERS, OPEN_CSV, glue_role, parquet, place
from lab import refused


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def locations(here):
    return {table["StorageDescriptor"]["Location"].removeprefix(here.path()) for table in here.tables().values()}


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.named-by-folder", "crawlers.prefix", "crawlers.target-per-table")
def test_tables_are_named_after_their_folders(here):
    for folder in ("shop/Orders-2024", "shop/Größe", "shop/a.b c"):
        here.put(f"{folder}/a.csv", NUMBERS)
    here.crawl("shop/Orders-2024/", "shop/Größe", "shop/a.b c/", TablePrefix="Raw_")
    assert set(here.tables()) == {"raw_orders_2024", "raw_gr__e", "raw_a_b_c"}


@pytest.mark.statement("crawlers.named-by-folder")
def test_the_table_of_a_whole_bucket_has_its_name(here):
    here.put("a.csv", NUMBERS)
    here.crawl("")
    assert set(here.tables()) == {re.sub("[^a-z0-9]", "_", here.bucket)}
    assert locations(here) == {""}


@pytest.mark.statement("crawlers.name-length", "crawlers.name-taken")
def test_long_names_are_cut_and_told_apart(here):
    for parent in "xy":
        here.put(f"{parent}/{'n' * 200}/a.csv", NUMBERS)
    here.crawl(*(f"{parent}/{'n' * 200}/" for parent in "xy"))
    names = sorted(here.tables(), key=lambda name: name.count("n"))
    assert [len(name) for name in names] == [128, 128]
    assert names[1] == "n" * 128
    assert re.fullmatch(r"n{95}_[0-9a-f]{32}", names[0])


@pytest.mark.statement("crawlers.name-taken")
def test_a_taken_name_gets_a_hash_and_stays_with_its_location(here):
    for parent in "xyz":
        here.put(f"{parent}/{'T' if parent == 'y' else 't'}/a.csv", NUMBERS)
    crawler = here.crawl("x/t/", "y/T/", "z/t/")
    first = {table["StorageDescriptor"]["Location"]: name for name, table in here.tables().items()}
    here.run(crawler)
    second = {table["StorageDescriptor"]["Location"]: name for name, table in here.tables().items()}
    assert first == second
    assert sorted(len(name) for name in first.values()) == [1, 34, 34]


@pytest.mark.statement("crawlers.parameters")
def test_a_table_tells_how_it_came_to_be(here):
    here.put("t/a.csv", 'id,note\n1,"x, y"\n2,z\n')
    classifier = here.classifier(ContainsHeader="PRESENT", Delimiter=",", QuoteSymbol='"', Serde="OpenCSVSerDe")
    crawler = here.crawl("t/", Classifiers=[classifier])
    table = here.table()
    descriptor = table["StorageDescriptor"]
    assert (table["TableType"], table["Owner"], table["Retention"]) == ("EXTERNAL_TABLE", "owner", 0)
    assert (descriptor["Location"], descriptor["Compressed"]) == (here.path("t/"), False)
    assert descriptor["SerdeInfo"] == {
        "SerializationLibrary": OPEN_CSV,
        "Parameters": {"separatorChar": ",", "quoteChar": '"'},
    }
    assert table["Parameters"] == {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        "UPDATED_BY_CRAWLER": crawler,
        "areColumnsQuoted": "true",
        "averageRecordSize": "10",
        "classification": "csv",
        "columnsOrdered": "true",
        "compressionType": "none",
        "delimiter": ",",
        "objectCount": "1",
        "recordCount": "2",
        "sizeKey": "21",
        "skip.header.line.count": "1",
        "typeOfData": "file",
    }


# -- grouping ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.grouping", "crawlers.similar", "crawlers.partition-keys")
@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("abcdefghij", "abcdefg", True),  # seven of ten columns
        ("abcdefghij", "abcdef", False),
        ("abc", "abx", True),
        ("ab", "ax", False),
        ("ab", "cd", False),
    ],
)
def test_similar_schemas_are_one_table(here, one, other, together):
    for year, names in ((2017, one), (2018, other)):
        here.put(f"t/year={year}/a.json", json.dumps(dict.fromkeys(names, 1)))
    here.crawl("t/")
    assert set(here.tables()) == ({"t"} if together else {"year_2017", "year_2018"})


@pytest.mark.statement("crawlers.combine", "crawlers.partition-keys")
def test_schemas_that_are_combined_need_not_be_similar(here):
    here.put("t/year=2017/a.json", '{"A": 1, "B": 2}\n')
    here.put("t/year=2018/a.json", '{"C": 3, "D": 4}\n')
    here.crawl("t/", Configuration=COMBINE)
    assert here.columns() == {"a": "int", "b": "int", "c": "int", "d": "int"}
    assert (here.keys(), set(here.partitions())) == (["year"], {("2017",), ("2018",)})


@pytest.mark.statement("crawlers.grouping", "crawlers.combine", "crawlers.mixed-level")
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.csv": NUMBERS, "b.json": '{"id": 1, "x": 2}\n'}, {"t/a.csv", "t/b.json"}),
        ({"a.csv": NUMBERS, "b.csv": NUMBERS.replace(",", ";")}, {"t/a.csv", "t/b.csv"}),
        ({"p=1/a.csv": NUMBERS, "p=2/a.csv": "1,2\n3,4\n"}, {"t/p=1/", "t/p=2/"}),
        ({"a.csv": NUMBERS, "deep/b.csv": NUMBERS}, {"t/a.csv", "t/deep/"}),
        ({"p=1/a.csv": NUMBERS, "p=2/q=1/a.csv": NUMBERS}, {"t/p=1/", "t/p=2/"}),
        ({"a.csv": NUMBERS, "b.csv": NUMBERS}, {"t/"}),
    ],
    ids=["formats", "delimiters", "headers", "file beside folder", "unequal depth", "alike"],
)
def test_files_that_cannot_be_one_table_are_tables_each(here, files, expected):
    for name, body in files.items():
        here.put(f"t/{name}", body)
    here.crawl("t/", Configuration=COMBINE)
    assert locations(here) == expected


@pytest.mark.statement("crawlers.grouping")
def test_packed_and_plain_files_are_not_one_table(here):
    import gzip

    here.put("t/a.csv", NUMBERS)
    here.put("t/b.csv.gz", gzip.compress(NUMBERS.encode()))
    here.crawl("t/", Configuration=COMBINE)
    assert {name: each["Parameters"]["compressionType"] for name, each in here.tables().items()} == {
        "a_csv": "none",
        "b_csv_gz": "gzip",
    }


@pytest.mark.statement("crawlers.target-per-table")
def test_tables_below_one_target_become_partitions_unless_each_is_a_target(here):
    for table in ("one", "two"):
        here.put(f"top/{table}/a.csv", NUMBERS)
    here.crawl("top/")
    assert (here.keys("top"), set(here.partitions("top"))) == (["partition_0"], {("one",), ("two",)})
    here.crawl("top/one/", "top/two/")
    assert set(here.tables()) == {"top", "one", "two"}


# -- partitions ----------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.partition-keys", "crawlers.partition-numbers", "crawlers.partition-empty")
@pytest.mark.parametrize(
    ("folders", "keys", "values"),
    [
        (["Year=2023/month=12", "year=2024/month=1"], ["year", "month"], {("2023", "12"), ("2024", "1")}),
        (["2023/12", "2024/1"], ["partition_0", "partition_1"], {("2023", "12"), ("2024", "1")}),
        (["2023/m=12", "2024/m=1"], ["partition_0", "m"], {("2023", "12"), ("2024", "1")}),
        (["a=1", "b=2"], ["partition_0"], {("a=1",), ("b=2",)}),
        (["a=1", "2"], ["partition_0"], {("a=1",), ("2",)}),
        (["=1", "=2"], ["partition_0"], {("=1",), ("=2",)}),
        (["d=x=y", "d="], ["d"], {("x=y",), ("__HIVE_DEFAULT_PARTITION__",)}),
        (["day=2024 01+02%3A", "day=ü"], ["day"], {("2024 01+02%3A",), ("ü",)}),
    ],
)
def test_folders_are_partitions_named_by_their_keys_or_numbered(here, folders, keys, values):
    for folder in folders:
        here.put(f"t/{folder}/a b.csv", NUMBERS)
    here.crawl("t/")
    assert (here.keys(), set(here.partitions())) == (keys, values)
    assert {each["StorageDescriptor"]["Location"] for each in here.partitions().values()} == {
        here.path(f"t/{folder}/") for folder in folders
    }


@pytest.mark.statement("crawlers.partition-keys", "crawlers.inherit")
def test_many_partitions_are_all_added(here):
    for day in range(105):
        here.put(f"t/day={day:03d}/a.csv", NUMBERS)
    crawler = here.crawl("t/")
    assert len(here.partitions()) == 105
    summary = json.loads(here.glue.list_crawls(CrawlerName=crawler)["Crawls"][0]["Summary"])
    assert json.loads(summary["PARTITION"]) == {"ADD": {"Count": 105}}


@pytest.mark.statement("crawlers.partition-twice")
def test_of_two_folders_with_the_same_values_the_first_is_the_partition(here):
    for folder in ("Day=1", "day=1"):
        here.put(f"t/{folder}/a.csv", NUMBERS)
    crawler = here.crawl("t/")
    assert here.partitions()["1",]["StorageDescriptor"]["Location"] == here.path("t/Day=1/")
    assert json.loads(here.run(crawler)["Summary"]) == {}


@pytest.mark.statement("crawlers.partition-key-column")
def test_a_column_named_like_a_partition_key_gives_way(here):
    here.put("csv/year=2024/a.csv", "year,id\n1,2\n3,4\n")
    here.put("json/year=2024/a.json", '{"year": 1, "id": 2}\n')
    here.crawl("csv/", "json/")
    assert list(here.columns("csv")) == ["year_2", "id"]
    assert list(here.columns("json")) == ["id"]
    assert here.rows("SELECT year, year_2, id FROM csv ORDER BY id") == [("2024", "1", "2"), ("2024", "3", "4")]


# -- levels and thresholds -----------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.table-level", "crawlers.table-level-applies")
@pytest.mark.parametrize(
    ("level", "expected"),
    [(1, {"top/"}), (2, {"top/a/", "top/b/"}), (3, {f"top/{t}/year={y}/" for t in "ab" for y in (1, 2)})],
)
def test_the_table_level_says_which_folders_are_tables(here, level, expected):
    for table in "ab":
        for year in (1, 2):
            here.put(f"top/{table}/year={year}/f.csv", NUMBERS)
    here.crawl("top/", Configuration={"Grouping": {"TableLevelConfiguration": level, **COMBINE["Grouping"]}})
    assert locations(here) == expected


@pytest.mark.statement("crawlers.threshold")
@pytest.mark.parametrize(("threshold", "state"), [(1, "FAILED"), (2, "COMPLETED")])
def test_more_tables_than_the_threshold_fail_the_crawl_without_a_write(here, threshold, state):
    for folder in "ab":
        here.put(f"{folder}/x.csv", NUMBERS)
    crawl = here.run(
        here.crawler("a/", "b/", Configuration={"CrawlerOutput": {"Tables": {"TableThreshold": threshold}}})
    )
    assert crawl["State"] == state
    assert len(here.tables()) == (0 if state == "FAILED" else 2)
    if state == "FAILED":
        assert "greater than the table threshold value provided: 1" in crawl["ErrorMessage"]


# -- which files ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.hidden")
def test_hidden_and_empty_files_do_not_count(here):
    here.put("t/a.csv", NUMBERS)
    for key in ("t/_SUCCESS", "t/.tmp/b.csv", "t/_tmp/b.csv", "t/.c.csv"):
        here.put(key, '{"other": 1}')
    here.put("t/empty.csv", "")
    here.put("t/folder/", '{"other": 1}')
    here.put("nothing/empty.csv", "")
    here.crawl("t/", "nothing/")
    assert (set(here.tables()), here.columns()) == ({"t"}, {"id": "bigint", "x": "bigint"})
    assert here.table()["Parameters"]["objectCount"] == "1"


@pytest.mark.statement("crawlers.hidden")
def test_a_target_that_is_itself_hidden_is_crawled(here):
    here.put("_raw/t/a.csv", NUMBERS)
    here.crawl("_raw/t/")
    assert set(here.tables()) == {"t"}


TREE = [
    "departments/finance.json",
    "departments/market-us.json",
    "employees/hr.json",
    "employees/john.csv",
    "employees/deep/jane.csv",
    "top.csv",
    "a[b].x",
    "file-1.txt",
    "file-5.txt",
    "{x}.txt",
    "a,b.txt",
]


@pytest.mark.statement("crawlers.exclusions")
@pytest.mark.parametrize(
    "excluded",
    [
        {"departments/**": {"departments/finance.json", "departments/market-us.json"}, "top?csv": {"top.csv"}},
        {
            "departments/market*": {"departments/market-us.json"},
            "*.csv": {"top.csv"},
            "employees/*/*": {"employees/deep/jane.csv"},
            "a\\[b\\].x": {"a[b].x"},
            "file-[!0-3].txt": {"file-5.txt"},
            "\\{x\\}.txt": {"{x}.txt"},
        },
        {
            "**.{csv,x}": {"employees/john.csv", "employees/deep/jane.csv", "top.csv", "a[b].x"},
            "employees/*": {"employees/hr.json", "employees/john.csv"},
            "?x}.txt": {"{x}.txt"},
            "a,b.txt": {"a,b.txt"},
            "file[-x][1].txt": {"file-1.txt"},
        },
        {
            "employees**": {"employees/hr.json", "employees/john.csv", "employees/deep/jane.csv"},
            "file-[0-3].txt": {"file-1.txt"},
        },
        {
            "departments?finance.json": set(),
            "employees[/]hr.json": set(),
            "a[b].x": set(),
            "TOP.csv": set(),
            "top": set(),
        },
    ],
    ids=["folders", "escaped", "groups", "crossing", "nothing"],
)
def test_exclude_patterns_are_globs_below_the_include_path(here, excluded):
    for key in TREE:
        here.put(f"base/{key}", NUMBERS)
    here.crawl(
        {"Path": here.path("base/"), "Exclusions": list(excluded)},
        Configuration={"Grouping": {"TableLevelConfiguration": 9}},
    )
    assert {f"base/{key}" for key in TREE} - locations(here) == {
        f"base/{key}" for keys in excluded.values() for key in keys
    }


@pytest.mark.statement("crawlers.exclusions")
def test_the_patterns_are_kept_with_the_table(here):
    here.put("t/a.csv", NUMBERS)
    here.put("t/b.txt", "words")
    here.crawl({"Path": here.path("t/"), "Exclusions": ["**.txt", "**.md"]})
    assert json.loads(here.table()["Parameters"]["exclusions"]) == ["**.txt", "**.md"]


@pytest.mark.statement("crawlers.exclusions-broken")
@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a[b", "the bracket of"),
        ("a[]", "the bracket of"),
        ("{a,b", "the brace of"),
        ("{a,{b,c}}", "groups cannot be nested"),
        ("[z-a]", "bad character range"),
    ],
)
def test_a_broken_pattern_is_refused(here, pattern, reason):
    with refused("InvalidInputException", message="exclude pattern") as caught:
        here.crawler({"Path": here.path("t/"), "Exclusions": [pattern]})
    assert reason in str(caught.value)


@pytest.mark.statement("crawlers.sample-size")
def test_so_many_files_of_each_leaf_folder_are_looked_into(here):
    for folder in ("p=1", "p=2"):
        here.put(f"t/{folder}/a.json", f'{{"all": 1, "{folder[0]}{folder[2]}": 1}}')
        here.put(f"t/{folder}/b.json", '{"unseen": 1}')
    here.crawl({"Path": here.path("t/"), "SampleSize": 1}, Configuration=COMBINE)
    assert list(here.columns()) == ["all", "p1", "p2"]
    assert here.table()["Parameters"]["objectCount"] == "4"


@pytest.mark.statement("crawlers.sample-size")
@pytest.mark.parametrize("size", [0, 250])
def test_the_sample_size_has_limits(here, size):
    with refused("InvalidInputException", "ValidationException", message="SampleSize"):
        here.crawler({"Path": here.path("t/"), "SampleSize": size})


@pytest.mark.statement("crawlers.sample-size")
def test_the_largest_sample_size_is_taken(here):
    here.crawler({"Path": here.path("t/"), "SampleSize": 249})


@pytest.mark.local_only("lowers the limit")
@pytest.mark.statement("crawlers.large", "crawlers.partition-own")
def test_of_many_files_an_even_sample_is_opened(here, monkeypatch):
    from local_aws.crawlers import crawl_read

    monkeypatch.setattr(crawl_read, "SAMPLED_FILES", 2)
    for n in range(4):
        here.put(f"t/p={n}/a.parquet", parquet(**{"all": [1], f"c{n}": [1]}))
    here.crawl("t/", Configuration=COMBINE)
    assert list(here.columns()) == ["all", "c0", "c2"]
    unopened = here.partitions()["1",]["StorageDescriptor"]["Columns"]
    assert [column["Name"] for column in unopened] == ["all", "c0", "c2"]
    assert here.table()["Parameters"]["recordCount"] == "4"


@pytest.mark.statement("crawlers.default-database")
def test_a_crawler_without_a_database_writes_to_default(lab, here):
    here.put("t/a.csv", NUMBERS)
    asked = here.asked("t/", TablePrefix=lab.name("p") + "_")
    del asked["DatabaseName"]
    name = lab.name("crawler")
    here.glue.create_crawler(Name=name, **asked)
    lab.at_end(here.glue.delete_crawler, Name=name)
    if lab.is_local:
        here.glue.create_database(DatabaseInput={"Name": "default"})
    assert here.run(name)["State"] == "COMPLETED"
    assert here.glue.get_table(DatabaseName="default", Name=f"{asked['TablePrefix']}t")
    lab.at_end(here.glue.delete_table, DatabaseName="default", Name=f"{asked['TablePrefix']}t")


# -- other people's tables -----------------------------------------------------------------------------------------


@pytest.mark.statement("crawlers.not-mine", "crawlers.name-taken")
def test_a_table_that_a_person_made_is_never_touched(here):
    mine = {"Name": "t", "StorageDescriptor": {"Columns": [], "Location": here.path("t/")}}
    here.glue.create_table(DatabaseName=here.database, TableInput=mine)
    here.put("t/a.csv", NUMBERS)
    here.crawl("t/")
    assert here.columns() == {}
    assert sorted(len(name) for name in here.tables()) == [1, 34]

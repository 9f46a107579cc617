"""CSV files, as Glue's classifiers see them."""

import pytest
from crawling import ACTIONS, LAZY_SIMPLE, OPEN_CSV, glue_role, place
from lab import refused

STRINGS = {"col1": "string", "col2": "string"}
ALL_STRING = "first,last\nann,lee\nbob,ray\n"


@pytest.fixture(scope="module")
def role(lab):
    return glue_role(lab, "producer", *ACTIONS)


@pytest.fixture
def here(lab, role):
    return place(lab, role)


def crawled(here, body, **classifier):
    """Crawl one file, with a custom classifier if one is given: the table that it is."""
    here.put("t/a.csv", body)
    names = [here.classifier(**classifier)] if classifier else []
    here.crawl("t/", Classifiers=names)
    return here.table()


def columns(table):
    return {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}


def serde(table):
    return table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"]


# -- the built-in classifier ---------------------------------------------------------------------------------------


@pytest.mark.statement("files.csv-delimiters", "files.csv-lazy-simple", "files.csv-parameters")
def test_five_delimiters_are_found_and_no_other(here):
    delimiters = {f"d{n}": delimiter for n, delimiter in enumerate(",|\t;\x01:")}
    rows = (["id", "x"], ["1", "ann"], ["2", "bob"])
    found = here.each({name: "\n".join(each.join(row) for row in rows) for name, each in delimiters.items()})
    assert found.pop("d5")["Parameters"]["classification"] == "UNKNOWN"
    for name, table in found.items():
        assert columns(table) == {"id": "bigint", "x": "string"}
        assert serde(table) == LAZY_SIMPLE
        assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"field.delim": delimiters[name]}
        shown = {"classification": "csv", "delimiter": delimiters[name], "skip.header.line.count": "1"}
        assert shown.items() <= table["Parameters"].items()


@pytest.mark.statement("files.csv-delimiter-chosen")
def test_the_delimiter_that_most_rows_agree_on_is_taken(here):
    expected = {
        "commas_part_fewer_rows_alike": ("a;b\n1,5;2\n3;4,5\n6;7\n", ";"),
        "alike_and_as_many_columns": ("1,2;3\n4,5;6\n7,8;9\n", ","),
        "more_columns": ("1,2,3;4\n5,6,7;8\n", ","),
        "more_columns_again": ("1;2,3,4\n5;6,7,8\n", ","),
        "one_row_of_three": ("a,b\nonly words\nmore words\n", None),
        "one_of_ten": ("words\n" * 9 + "a,b\n", None),
        "three_of_five": ("1,2\n" * 3 + "words\n" * 2, None),
    }
    found = here.each({name: body for name, (body, _) in expected.items()})
    assert {name: table["Parameters"].get("delimiter") for name, table in found.items()} == {
        name: delimiter for name, (_, delimiter) in expected.items()
    }


@pytest.mark.statement("files.csv-two-columns")
def test_two_columns_and_two_rows_of_data_are_needed(here):
    expected = {
        "two_rows": ("1,2\n3,4\n", "csv"),
        "one_row": ("1,2\n", "UNKNOWN"),
        "header_and_row": ("id,x\n1,2\n", "UNKNOWN"),
        "header_and_two": ("id,x\n1,2\n3,4\n", "csv"),
        "one_column": ("1\n2\n3\n", "UNKNOWN"),
    }
    found = here.each({name: body for name, (body, _) in expected.items()})
    assert {name: (table["Parameters"]["classification"]) for name, table in found.items()} == {
        name: classification for name, (_, classification) in expected.items()
    }


@pytest.mark.statement("files.csv-header-inferred")
def test_a_header_is_inferred_by_the_documented_rules(here):
    expected = {
        "strings": ("id,name", True),
        "a_number": ("id,2024", False),
        "a_double": ("id,2.5", False),
        "last_is_long": (f"id,{'n' * 150}", True),
        "first_is_long": (f"{'n' * 150},name", False),
        "just_short_enough": (f"{'n' * 149},name", True),
        "first_is_empty": (",name", False),
        "last_is_empty": ("id,", True),
        "no_legal_name": ("i\vd,name", False),
    }
    found = here.each({name: f"{header}\n1,ann\n2,bob\n" for name, (header, _) in expected.items()})
    assert {name: "skip.header.line.count" in table["Parameters"] for name, table in found.items()} == {
        name: is_header for name, (_, is_header) in expected.items()
    }
    assert {name for name, table in found.items() if list(columns(table))[0] == "col1"} == {
        name for name, (_, is_header) in expected.items() if not is_header
    }


@pytest.mark.statement("files.csv-header-inferred", "files.csv-ragged")
def test_a_first_row_longer_than_the_others_is_no_header(here):
    assert list(columns(crawled(here, "a,b,c\n1,2\n3,4\n5,6\n7,8\n9,10\n"))) == ["col1", "col2"]


@pytest.mark.statement("files.csv-all-strings")
def test_a_file_of_strings_alone_has_no_header(here):
    table = crawled(here, ALL_STRING)
    assert columns(table) == STRINGS
    assert "skip.header.line.count" not in table["Parameters"]
    assert table["Parameters"]["recordCount"] == "3"


@pytest.mark.statement("files.csv-lazy-simple", "files.csv-quoted")
def test_quoted_values_do_not_make_the_built_in_classifier_choose_another_serde(here):
    table = crawled(here, 'id,note\n1,"a, b"\n2,"c, d"\n')
    assert columns(table) == {"id": "bigint", "note": "string"}
    assert (serde(table), table["Parameters"]["areColumnsQuoted"]) == (LAZY_SIMPLE, "true")


# -- custom classifiers --------------------------------------------------------------------------------------------


@pytest.mark.statement("files.csv-contains-header", "files.custom-first")
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("PRESENT", {"strings": {"first": "string", "last": "string"}, "numbers": {"1": "bigint", "2": "bigint"}}),
        ("ABSENT", {"strings": STRINGS, "numbers": {"col1": "bigint", "col2": "bigint"}, "named": STRINGS}),
        ("UNKNOWN", {"strings": STRINGS, "named": {"id": "bigint", "x": "bigint"}}),
    ],
)
def test_a_custom_classifier_says_whether_there_is_a_header(here, header, expected):
    bodies = {"strings": ALL_STRING, "numbers": "1,2\n3,4\n", "named": "id,x\n1,2\n"}
    found = here.each({name: bodies[name] for name in expected}, Delimiter=",", ContainsHeader=header)
    assert {name: columns(table) for name, table in found.items()} == expected
    skipping = {name for name, table in found.items() if "skip.header.line.count" in table["Parameters"]}
    assert skipping == {name for name, kinds in expected.items() if "col1" not in kinds}


@pytest.mark.statement("files.csv-header-list")
def test_a_custom_classifier_names_the_columns(here):
    table = crawled(here, "1|ann\n2|bob\n", Delimiter="|", ContainsHeader="ABSENT", Header=["Id", "Name"])
    assert columns(table) == {"id": "bigint", "name": "string"}


@pytest.mark.statement("files.csv-custom-delimiter", "files.custom-first", "files.unknown")
def test_classifiers_are_asked_in_their_order_and_only_one_that_fits_counts(here):
    pipes = here.classifier(Delimiter="|", ContainsHeader="PRESENT")
    colons = here.classifier(Delimiter=":", ContainsHeader="PRESENT")
    absent = here.classifier(Delimiter=":", ContainsHeader="ABSENT")
    expected = {
        "one": ([pipes], {}),
        "two": ([pipes, colons, absent], {"id": "bigint", "x": "bigint"}),
        "three": ([absent, colons], STRINGS),
    }
    for folder, (classifiers, _) in expected.items():
        here.put(f"{folder}/a.csv", "id:x\n1:2\n")
        here.crawl(f"{folder}/", Classifiers=classifiers)
    assert {folder: here.columns(folder) for folder in expected} == {f: found for f, (_, found) in expected.items()}


@pytest.mark.statement("files.csv-custom-delimiter")
def test_without_a_delimiter_of_its_own_a_custom_classifier_finds_it(here):
    assert list(columns(crawled(here, "id;x\nann;2\n", ContainsHeader="PRESENT"))) == ["id", "x"]


@pytest.mark.statement("files.csv-custom-delimiter")
def test_a_custom_quote_symbol_holds_values_together(here):
    table = crawled(here, "id,note\n1,'a, b'\n", Delimiter=",", QuoteSymbol="'", ContainsHeader="PRESENT")
    assert columns(table) == {"id": "bigint", "note": "string"}
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"separatorChar": ",", "quoteChar": "'"}


@pytest.mark.statement("files.csv-custom-delimiter")
def test_delimiter_and_quote_symbol_must_differ(here):
    with refused("InvalidInputException", message="differ"):
        here.classifier(Delimiter=",", QuoteSymbol=",")


@pytest.mark.statement("files.csv-single-column", "files.csv-only-header", "files.unknown")
@pytest.mark.parametrize(("single", "classification"), [(True, "csv"), (False, "UNKNOWN")])
def test_one_column_must_be_allowed_and_a_header_is_not_enough(here, single, classification):
    bodies = {"one": "email\na@x.org\n", "header": "email\n", "two": "id,x\n"}
    found = here.each(bodies, Delimiter=",", ContainsHeader="PRESENT", AllowSingleColumn=single)
    assert {name: table["Parameters"]["classification"] for name, table in found.items()} == {
        "one": classification,
        "header": "UNKNOWN",
        "two": "UNKNOWN",
    }


@pytest.mark.statement("files.csv-serde", "files.csv-serde-none")
@pytest.mark.parametrize(
    ("settings", "body", "expected"),
    [
        ({"Serde": "OpenCSVSerDe"}, "id,x\n1,2\n", OPEN_CSV),
        ({"Serde": "LazySimpleSerDe", "QuoteSymbol": '"'}, 'id,x\n1,"2"\n', LAZY_SIMPLE),
        ({"Serde": "None"}, "id,x\n1,2\n", LAZY_SIMPLE),
        ({"Serde": "None"}, 'id,x\n1,"2"\n', OPEN_CSV),
        ({"QuoteSymbol": '"'}, "id,x\n1,2\n", OPEN_CSV),
    ],
)
def test_the_serde_is_the_classifiers_or_found(here, settings, body, expected):
    assert serde(crawled(here, body, Delimiter=",", ContainsHeader="PRESENT", **settings)) == expected


@pytest.mark.statement("files.csv-trimming")
@pytest.mark.parametrize(("settings", "kind"), [({}, "string"), ({"DisableValueTrimming": False}, "bigint")])
def test_values_are_trimmed_only_on_request(here, settings, kind):
    table = crawled(here, "id,x\n 5 ,a\n", Delimiter=",", ContainsHeader="PRESENT", **settings)
    assert columns(table)["id"] == kind


# -- awkward files -------------------------------------------------------------------------------------------------


@pytest.mark.statement("files.csv-types", "files.csv-widening")
def test_types_of_columns(here):
    expected = {
        "bigint": [["1", "-2", ""], ["007", "+1"], ["9223372036854775807"]],
        "double": [["1", "2.5", "1e3"], [".5"], ["9", "-0.5"]],
        "string": [
            ["1", "x"],
            ["2024-01-01"],
            ["true"],
            ["9223372036854775808"],
            ["-9223372036854775809"],
            ["12345678901234567890123"],
            ["NaN"],
            ["1e999"],
            ["", ""],
            ["2.5", "99999999999999999999"],
        ],
    }
    columns_ = [(kind, values) for kind, each in expected.items() for values in each]
    height = max(len(values) for _, values in columns_)
    padded = [values + [""] * (height - len(values)) for _, values in columns_]
    header = ",".join(f"c{n}" for n in range(len(columns_)))
    table = crawled(
        here,
        "\n".join([header, *(",".join(row) for row in zip(*padded, strict=True))]),
        Delimiter=",",
        ContainsHeader="PRESENT",
    )
    assert list(columns(table).values()) == [kind for kind, _ in columns_]


@pytest.mark.statement("files.csv-quoted", "files.csv-parameters")
def test_quoted_values_hold_delimiters_quotes_and_line_breaks(here):
    body = 'id,note\r\n1,"a, ""b""\r\nc"\r\n2,plain\r\n'
    table = crawled(here, body, Delimiter=",", QuoteSymbol='"', ContainsHeader="PRESENT")
    assert columns(table) == {"id": "bigint", "note": "string"}
    assert table["Parameters"]["recordCount"] == "2"


@pytest.mark.statement("files.csv-ragged")
@pytest.mark.parametrize(
    ("header", "body", "names"),
    [
        ("PRESENT", "a,b,c\n1,2\n1,2,3,4\n", ["a", "b", "c"]),
        ("ABSENT", "1,2\n1,2,3,4\n", ["col1", "col2", "col3", "col4"]),
        ("PRESENT", "a,b,\n1,2,\n", ["a", "b", "col3"]),
    ],
)
def test_ragged_rows_do_not_spoil_a_table(here, header, body, names):
    table = crawled(here, body, Delimiter=",", ContainsHeader=header)
    assert list(columns(table)) == names


@pytest.mark.statement("files.csv-header-inferred", "files.csv-single-column")
def test_a_first_row_with_nothing_in_it_is_no_header(here):
    table = crawled(here, '""\n1\n2\n', Delimiter=",", ContainsHeader="UNKNOWN", AllowSingleColumn=True)
    assert columns(table) == {"col1": "bigint"}
    assert "skip.header.line.count" not in table["Parameters"]


@pytest.mark.statement("files.csv-blank")
def test_blank_lines_are_no_rows(here):
    assert crawled(here, "id,x\n\n1,2\n\n\n3,4\n\n")["Parameters"]["recordCount"] == "2"


@pytest.mark.statement("files.csv-ragged")
def test_most_rows_say_how_many_columns_the_built_in_classifier_sees(here):
    body = "id,x\n" + "1,2\n" * 8 + "1,2,3\n"
    assert list(columns(crawled(here, body))) == ["id", "x"]


@pytest.mark.statement("files.csv-names")
def test_names_of_columns_are_folded_and_told_apart(here):
    body = "Id, Näme ,,ID,id_2,价格\n1,2,3,4,5,6\n"
    table = crawled(here, body, Delimiter=",", ContainsHeader="PRESENT")
    assert list(columns(table)) == ["id", "näme", "col3", "id_2", "id_2_2", "价格"]


@pytest.mark.statement("files.encoding", "files.unknown")
def test_text_is_utf_8_and_has_no_zero_bytes(here):
    text = "id,näme\n1,ü\n2,ö\n"
    known = {"utf_8": text.encode(), "utf_8_sig": text.encode("utf-8-sig")}
    unknown = {name.replace("-", "_"): text.encode(name) for name in ("latin-1", "utf-16", "utf-16-le")}
    unknown |= {"lines": b"\n\n", "blanks": b"   ", "zero": b"a,\0b\n1,2\n3,4\n"}
    found = here.each(known | unknown)
    assert {name for name, table in found.items() if table["Parameters"]["classification"] == "UNKNOWN"} == set(unknown)
    for name in known:
        assert columns(found[name]) == {"id": "bigint", "näme": "string"}


@pytest.mark.statement("files.long")
def test_a_long_file_is_sampled_and_its_records_estimated(here):
    rows = 200_000
    table = crawled(here, "id,text\n" + '1,"价\nü"\n' * rows)  # two megabytes end within a character
    assert columns(table) == {"id": "bigint", "text": "string"}
    assert int(table["Parameters"]["recordCount"]) == pytest.approx(rows, rel=0.01)


@pytest.mark.statement("files.wide")
def test_a_thousand_columns_are_a_thousand_columns(here):
    names = [f"c{n}" for n in range(1000)]
    table = crawled(here, "\n".join([",".join(names), ",".join("1" * 1000), ",".join("2" * 1000)]))
    assert columns(table) == dict.fromkeys(names, "bigint")

"""CloudFormation: Lake Formation's settings, and the types of the lake that are not built."""

import pytest
from lab import refused
from stacks import body, make

LISTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")


@pytest.fixture
def governed(lab):
    """An account whose settings are as before at the end."""
    lab.lake("central")
    return lab.client("lakeformation", "central")


def settings(**properties):
    return {"Resources": {"S": {"Type": "AWS::LakeFormation::DataLakeSettings", "Properties": properties}}}


def principals(*arns):
    return [{"DataLakePrincipalIdentifier": each} for each in arns]


def admins(lakeformation, member="DataLakeAdmins"):
    found = lakeformation.get_data_lake_settings()["DataLakeSettings"].get(member, [])
    return [each["DataLakePrincipalIdentifier"] for each in found]


@pytest.fixture
def two(lab):
    return lab.role("central", "admin").arn, lab.role("central", "admin").arn


@pytest.mark.statement("cloudformation.settings-append")
def test_appended_administrators_join_those_there_are_and_leave_with_the_template(lab, governed, two):
    before = admins(governed)
    appended = {"Admins": principals(two[0], before[0]), "ReadOnlyAdmins": principals(two[1])}
    stack = make(lab, settings(MutationType="APPEND", **appended))
    assert two[1] in admins(governed, "ReadOnlyAdmins")
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    assert sorted(admins(governed)) == sorted([*before, two[0]])
    by_hand = lab.role("central", "admin").arn
    now = governed.get_data_lake_settings()["DataLakeSettings"]
    governed.put_data_lake_settings(
        DataLakeSettings={**now, "DataLakeAdmins": [*now["DataLakeAdmins"], *principals(by_hand)]}
    )
    assert stack.update(settings(MutationType="APPEND", Admins=principals(two[1], before[0]))) == "UPDATE_COMPLETE"
    assert sorted(admins(governed)) == sorted([*before, by_hand, two[1]])


@pytest.mark.statement("cloudformation.settings-replace")
def test_replacing_leaves_only_the_administrators_of_the_template(lab, governed, two):
    me = admins(governed)[0]
    now = governed.get_data_lake_settings()["DataLakeSettings"]
    governed.put_data_lake_settings(
        DataLakeSettings={
            **now,
            "DataLakeAdmins": principals(me, two[0]),
            "ReadOnlyAdmins": principals(two[0]),
        }
    )
    stack = make(lab, settings(MutationType="REPLACE", Admins=principals(me, two[1])))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    assert sorted(admins(governed)) == sorted([me, two[1]])
    assert admins(governed, "ReadOnlyAdmins") == []


@pytest.mark.statement("cloudformation.settings-defaults")
def test_an_empty_list_of_default_permissions_changes_nothing_one_with_entries_does(lab, governed):
    default = [{"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}]
    now = governed.get_data_lake_settings()["DataLakeSettings"]
    governed.put_data_lake_settings(DataLakeSettings={**now, **dict.fromkeys(LISTS, default)})
    me = principals(*admins(governed))
    stack = make(lab, settings(Admins=me, MutationType="APPEND", **{each: [] for each in LISTS}))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    seen = governed.get_data_lake_settings()["DataLakeSettings"]
    assert [seen[each] for each in LISTS] == [default, default]
    assert stack.delete() == "DELETE_COMPLETE"
    governed.put_data_lake_settings(DataLakeSettings={**now, **dict.fromkeys(LISTS, [])})
    make(lab, settings(Admins=me, MutationType="APPEND", CreateTableDefaultPermissions=default))
    assert governed.get_data_lake_settings()["DataLakeSettings"]["CreateTableDefaultPermissions"] == default


@pytest.mark.statement("cloudformation.settings-version")
def test_the_cross_account_version_is_a_parameter(lab, governed):
    me = principals(*admins(governed))
    parameters = {"CROSS_ACCOUNT_VERSION": 3}
    stack = make(lab, settings(Admins=me, MutationType="APPEND", Parameters=parameters))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    seen = governed.get_data_lake_settings()["DataLakeSettings"]["Parameters"]
    assert seen["CROSS_ACCOUNT_VERSION"] == "3"
    wrong = make(lab, settings(Admins=me, MutationType="APPEND", Parameters={"CrossAccountVersion": "4"}))
    assert wrong.status == "ROLLBACK_COMPLETE"


@pytest.mark.statement("cloudformation.settings-deletion")
@pytest.mark.local_only("what AWS does to the settings when the resource goes is documented nowhere")
def test_deleting_the_resource_takes_its_administrators_away(lab, governed, two):
    before = admins(governed)
    stack = make(lab, settings(MutationType="APPEND", Admins=principals(two[0])))
    assert stack.delete() == "DELETE_COMPLETE"
    assert admins(governed) == before


@pytest.mark.statement("cloudformation.lake-types")
@pytest.mark.local_only("what is not built is refused here only")
@pytest.mark.parametrize(
    "kind",
    [
        "AWS::LakeFormation::Resource",
        "AWS::LakeFormation::Tag",
        "AWS::LakeFormation::TagAssociation",
        "AWS::LakeFormation::PrincipalPermissions",
        "AWS::LakeFormation::Permissions",
        "AWS::LakeFormation::DataCellsFilter",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::Glue::Crawler",
        "AWS::RAM::ResourceShare",
        "AWS::ServiceCatalog::Portfolio",
    ],
)
def test_a_type_of_the_lake_that_is_not_built_is_refused_by_name(lab, kind):
    with refused("ValidationError", message=f"resource type {kind} is not supported"):
        lab.client("cloudformation", "central").create_stack(
            StackName=lab.name("lake", "-"), TemplateBody=body({"Resources": {"X": {"Type": kind}}})
        )

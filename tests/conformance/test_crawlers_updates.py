"""Updates of crawlers and classifiers: what was given at creation can be changed."""

import pytest
from crawling import ACTIONS, glue_role, place

OPEN_CSV = {
    "Delimiter": ";",
    "QuoteSymbol": "'",
    "Header": ["a", "b"],
    "DisableValueTrimming": False,
    "AllowSingleColumn": True,
    "Serde": "OpenCSVSerDe",
}


@pytest.fixture
def here(lab):
    return place(lab, glue_role(lab, "central", *ACTIONS))


@pytest.mark.statement("crawlers.updated")
def test_exclusions_samples_and_credentials_of_a_crawler_are_changed(here):
    crawler = here.crawler("t/")
    target = {"Path": here.path("t/"), "Exclusions": ["**.tmp"], "SampleSize": 3}
    here.glue.update_crawler(
        Name=crawler,
        Targets={"S3Targets": [target]},
        LakeFormationConfiguration={"UseLakeFormationCredentials": False},
    )
    kept = here.glue.get_crawler(Name=crawler)["Crawler"]
    assert kept["Targets"]["S3Targets"] == [target]
    assert kept["LakeFormationConfiguration"]["UseLakeFormationCredentials"] is False


@pytest.mark.statement("crawlers.updated")
def test_every_setting_of_a_classifier_is_changed(here):
    name = here.lab.name("classifier")
    here.glue.create_classifier(CsvClassifier={"Name": name, "Delimiter": ","})
    here.lab.at_end(here.glue.delete_classifier, Name=name)
    here.glue.update_classifier(CsvClassifier={"Name": name, "ContainsHeader": "PRESENT", **OPEN_CSV})
    kept = here.glue.get_classifier(Name=name)["Classifier"]["CsvClassifier"]
    assert {key: kept[key] for key in OPEN_CSV} == OPEN_CSV

"""The transform AWS::Serverless-2016-10-31, by the translator that AWS itself publishes."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from typing import Any

import boto3

from local_aws.cloudformation.cfn_intrinsics import TemplateError

NAME = "AWS::Serverless-2016-10-31"

logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns that nobody publishes its metrics

# the translator keeps its Region and its metrics in class attributes
_one_at_a_time = threading.Lock()


def preload() -> None:
    """Import the translator, which takes most of a second, before it is needed."""
    import samtranslator.translator.translator  # noqa: F401


def transform(template: Mapping[str, Any], parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """`template` with its serverless resources translated to CloudFormation's.

    `parameters` are the texts of the stack's parameters. Names of managed policies are those that the translator
    ships. Raises TemplateError with the translator's message, in the words of CloudFormation.
    """
    from samtranslator.model.exceptions import InvalidDocumentException
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator
    from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template

    document = json.loads(json.dumps(template))
    values = dict(parameters)
    with _one_at_a_time:
        try:
            to_py27_compatible_template(document, values)
            translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=region))
            translated = translator.translate(document, parameter_values=values, get_managed_policy_map=dict)
        except InvalidDocumentException as error:
            causes = " ".join(cause.message for cause in error.causes)
            raise TemplateError(
                f"Transform {NAME} failed with: Invalid Serverless Application Specification document. "
                f"Number of errors found: {len(error.causes)}. {causes}"
            ) from None
    plain = undo_mark_unicode_str_in_template(translated)
    plain.pop("Globals", None)
    return json.loads(json.dumps(plain))

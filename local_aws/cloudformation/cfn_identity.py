"""CloudFormation resource types of IAM and KMS."""

from __future__ import annotations

import json
from typing import Any

from local_aws.cloudformation.cfn_resources import (
    Made,
    Properties,
    ResourceType,
    Site,
    changed,
    given,
    tag_changes,
    tag_list,
    tag_map,
    tolerating,
)

MISSING = "NoSuchEntity"


def _document(value: Any) -> str:
    """A policy as text. SAM's policy templates have no Version: IAM takes them so, moto's IAM does not."""
    return value if isinstance(value, str) else json.dumps({"Version": "2012-10-17", **value})


# -- AWS::IAM::Role --------------------------------------------------------------------------------------------------


def _create_role(site: Site, properties: Properties) -> Made:
    iam = site.client("iam")
    name = properties.get("RoleName") or site.generated_name(64)
    role = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=_document(properties["AssumeRolePolicyDocument"]),
        **given(
            Path=properties.get("Path"),
            Description=properties.get("Description"),
            MaxSessionDuration=properties.get("MaxSessionDuration"),
            PermissionsBoundary=properties.get("PermissionsBoundary"),
            Tags=properties.get("Tags"),
        ),
    )["Role"]
    site.created(name)
    for arn in properties.get("ManagedPolicyArns", ()):
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in properties.get("Policies", ()):
        iam.put_role_policy(
            RoleName=name, PolicyName=policy["PolicyName"], PolicyDocument=_document(policy["PolicyDocument"])
        )
    return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


def _update_role(site: Site, name: str, old: Properties, new: Properties) -> Made:
    iam = site.client("iam")
    if changed(old, new, "AssumeRolePolicyDocument"):
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=_document(new["AssumeRolePolicyDocument"]))
    if changed(old, new, "Description", "MaxSessionDuration"):
        iam.update_role(
            RoleName=name,
            Description=new.get("Description", ""),
            MaxSessionDuration=new.get("MaxSessionDuration", 3600),
        )
    if changed(old, new, "PermissionsBoundary"):
        if new.get("PermissionsBoundary"):
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=new["PermissionsBoundary"])
        else:
            iam.delete_role_permissions_boundary(RoleName=name)
    before, after = set(old.get("ManagedPolicyArns", ())), set(new.get("ManagedPolicyArns", ()))
    for arn in sorted(after - before):
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in sorted(before - after):
        with tolerating(MISSING):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    inline_before = {policy["PolicyName"]: policy["PolicyDocument"] for policy in old.get("Policies", ())}
    inline_after = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies", ())}
    for policy_name, document in inline_after.items():
        if inline_before.get(policy_name) != document:
            iam.put_role_policy(RoleName=name, PolicyName=policy_name, PolicyDocument=_document(document))
    for policy_name in inline_before.keys() - inline_after.keys():
        with tolerating(MISSING):
            iam.delete_role_policy(RoleName=name, PolicyName=policy_name)
    to_set, to_remove = tag_changes(old, new)
    if to_remove:
        iam.untag_role(RoleName=name, TagKeys=to_remove)
    if to_set:
        iam.tag_role(RoleName=name, Tags=tag_list(to_set))
    role = iam.get_role(RoleName=name)["Role"]
    return Made(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


def _delete_role(site: Site, name: str, properties: Properties) -> None:
    iam = site.client("iam")
    for arn in properties.get("ManagedPolicyArns", ()):
        with tolerating(MISSING):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for policy in properties.get("Policies", ()):
        with tolerating(MISSING):
            iam.delete_role_policy(RoleName=name, PolicyName=policy["PolicyName"])
    with tolerating(MISSING):
        iam.delete_role(RoleName=name)


# -- AWS::IAM::Policy, AWS::IAM::ManagedPolicy -----------------------------------------------------------------------

_HOLDERS = {"Roles": ("role", "RoleName"), "Users": ("user", "UserName"), "Groups": ("group", "GroupName")}


def _holders(properties: Properties) -> set[tuple[str, str]]:
    return {(kind, holder) for kind in _HOLDERS for holder in properties.get(kind, ())}


def _put_inline(site: Site, holder: tuple[str, str], properties: Properties) -> None:
    kind, parameter = _HOLDERS[holder[0]]
    getattr(site.client("iam"), f"put_{kind}_policy")(
        PolicyName=properties["PolicyName"],
        PolicyDocument=_document(properties["PolicyDocument"]),
        **{parameter: holder[1]},
    )


def _delete_inline(site: Site, holder: tuple[str, str], properties: Properties) -> None:
    kind, parameter = _HOLDERS[holder[0]]
    with tolerating(MISSING):
        getattr(site.client("iam"), f"delete_{kind}_policy")(
            PolicyName=properties["PolicyName"], **{parameter: holder[1]}
        )


def _create_policy(site: Site, properties: Properties) -> Made:
    name = site.generated_name(128)
    for holder in sorted(_holders(properties)):
        _put_inline(site, holder, properties)
        site.created(name)
    return Made(name, {"Id": name})


def _update_policy(site: Site, policy_id: str, old: Properties, new: Properties) -> Made:
    for holder in sorted(_holders(new)):
        _put_inline(site, holder, new)
    renamed = changed(old, new, "PolicyName")
    for holder in sorted(_holders(old) if renamed else _holders(old) - _holders(new)):
        _delete_inline(site, holder, old)
    return Made(policy_id, {"Id": policy_id})


def _delete_policy(site: Site, _policy_id: str, properties: Properties) -> None:
    for holder in sorted(_holders(properties)):
        _delete_inline(site, holder, properties)


def _attach(site: Site, arn: str, holder: tuple[str, str]) -> None:
    kind, parameter = _HOLDERS[holder[0]]
    getattr(site.client("iam"), f"attach_{kind}_policy")(PolicyArn=arn, **{parameter: holder[1]})


def _detach(site: Site, arn: str, holder: tuple[str, str]) -> None:
    kind, parameter = _HOLDERS[holder[0]]
    with tolerating(MISSING):
        getattr(site.client("iam"), f"detach_{kind}_policy")(PolicyArn=arn, **{parameter: holder[1]})


def _create_managed_policy(site: Site, properties: Properties) -> Made:
    policy = site.client("iam").create_policy(
        PolicyName=properties.get("ManagedPolicyName") or site.generated_name(128),
        PolicyDocument=_document(properties["PolicyDocument"]),
        **given(Path=properties.get("Path"), Description=properties.get("Description")),
    )["Policy"]
    site.created(policy["Arn"])
    for holder in sorted(_holders(properties)):
        _attach(site, policy["Arn"], holder)
    return Made(policy["Arn"], {"PolicyArn": policy["Arn"], "PolicyId": policy["PolicyId"]})


def _update_managed_policy(site: Site, arn: str, old: Properties, new: Properties) -> Made:
    iam = site.client("iam")
    if changed(old, new, "PolicyDocument"):
        versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
        if len(versions) >= 5:  # IAM keeps five
            oldest = min(
                (each for each in versions if not each["IsDefaultVersion"]), key=lambda each: each["CreateDate"]
            )
            iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=_document(new["PolicyDocument"]), SetAsDefault=True)
    for holder in sorted(_holders(new) - _holders(old)):
        _attach(site, arn, holder)
    for holder in sorted(_holders(old) - _holders(new)):
        _detach(site, arn, holder)
    return Made(arn, {"PolicyArn": arn, "PolicyId": iam.get_policy(PolicyArn=arn)["Policy"]["PolicyId"]})


def _delete_managed_policy(site: Site, arn: str, properties: Properties) -> None:
    iam = site.client("iam")
    for holder in sorted(_holders(properties)):
        _detach(site, arn, holder)
    with tolerating(MISSING):
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=arn)


# -- AWS::KMS::Key, AWS::KMS::Alias ----------------------------------------------------------------------------------


def _create_key(site: Site, properties: Properties) -> Made:
    kms = site.client("kms")
    tags = tag_list(tag_map(properties), "TagKey", "TagValue") or None
    key = kms.create_key(
        **given(
            Policy=_document(properties["KeyPolicy"]) if "KeyPolicy" in properties else None,
            Description=properties.get("Description"),
            KeySpec=properties.get("KeySpec"),
            KeyUsage=properties.get("KeyUsage"),
            MultiRegion=properties.get("MultiRegion"),
            Tags=tags,
        )
    )["KeyMetadata"]
    site.created(key["KeyId"])
    if properties.get("EnableKeyRotation"):
        kms.enable_key_rotation(KeyId=key["KeyId"])
    if properties.get("Enabled") is False:
        kms.disable_key(KeyId=key["KeyId"])
    return Made(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


def _update_key(site: Site, key_id: str, old: Properties, new: Properties) -> Made:
    kms = site.client("kms")
    if changed(old, new, "KeyPolicy") and "KeyPolicy" in new:
        kms.put_key_policy(KeyId=key_id, PolicyName="default", Policy=_document(new["KeyPolicy"]))
    if changed(old, new, "Description"):
        kms.update_key_description(KeyId=key_id, Description=new.get("Description", ""))
    if changed(old, new, "Enabled"):
        (kms.disable_key if new.get("Enabled") is False else kms.enable_key)(KeyId=key_id)
    if changed(old, new, "EnableKeyRotation"):
        rotate = kms.enable_key_rotation if new.get("EnableKeyRotation") else kms.disable_key_rotation
        rotate(KeyId=key_id)
    to_set, to_remove = tag_changes(old, new)
    if to_remove:
        kms.untag_resource(KeyId=key_id, TagKeys=to_remove)
    if to_set:
        kms.tag_resource(KeyId=key_id, Tags=tag_list(to_set, "TagKey", "TagValue"))
    return Made(key_id, {"Arn": site.arn("kms", f"key/{key_id}"), "KeyId": key_id})


def _delete_key(site: Site, key_id: str, properties: Properties) -> None:
    with tolerating("NotFoundException", "KMSInvalidStateException"):
        site.client("kms").schedule_key_deletion(
            KeyId=key_id, PendingWindowInDays=properties.get("PendingWindowInDays", 30)
        )


def _create_alias(site: Site, properties: Properties) -> Made:
    site.client("kms").create_alias(AliasName=properties["AliasName"], TargetKeyId=properties["TargetKeyId"])
    return Made(properties["AliasName"])


def _update_alias(site: Site, alias: str, _old: Properties, new: Properties) -> Made:
    site.client("kms").update_alias(AliasName=alias, TargetKeyId=new["TargetKeyId"])
    return Made(alias)


def _delete_alias(site: Site, alias: str, _properties: Properties) -> None:
    with tolerating("NotFoundException"):
        site.client("kms").delete_alias(AliasName=alias)


TYPES = {
    "AWS::IAM::Role": ResourceType(
        _create_role, _update_role, _delete_role, frozenset({"Arn", "RoleId"}), named_by="RoleName"
    ),
    "AWS::IAM::Policy": ResourceType(_create_policy, _update_policy, _delete_policy, frozenset({"Id"})),
    "AWS::IAM::ManagedPolicy": ResourceType(
        _create_managed_policy,
        _update_managed_policy,
        _delete_managed_policy,
        frozenset({"PolicyArn", "PolicyId"}),
        named_by="ManagedPolicyName",
    ),
    "AWS::KMS::Key": ResourceType(
        _create_key,
        _update_key,
        _delete_key,
        frozenset({"Arn", "KeyId"}),
        also_replaced_by=frozenset({"KeySpec", "KeyUsage", "MultiRegion"}),
    ),
    "AWS::KMS::Alias": ResourceType(_create_alias, _update_alias, _delete_alias, named_by="AliasName"),
}

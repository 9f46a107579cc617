"""The least number of calls for the work that the benchmarks do: the writes, and the reads that they need.

A write is needed where what it makes is not there. A read is needed where without it a write could not be made, or
could be a wrong one: open what is to be closed, or close for a moment what is open. What would only tell that there is
nothing to do, what a call that is made anyway would answer with, and what our own ledger knows, is not needed.
README.md says the same in a table.
"""

from __future__ import annotations

import math

PAGE = 100  # tables, or LF-Tagged tables
OBJECTS = 1000  # a page of ListObjectsV2
BATCH = 20  # entries of BatchGrantPermissions


def pages(count: int, a_page: int = PAGE) -> int:
    return max(1, math.ceil(count / a_page))


def new_table(tables: int, tag_calls: int) -> int:
    """One more table in a data product that then has so many."""
    reads = (
        pages(tables, OBJECTS)  # ListObjectsV2: which folders there are
        + 1  # GetDatabase: it is still ours, and new tables get no default permissions
        + 1  # GetResourceLFTags: its database is still closed, before something is crawled into it
        + 1  # GetCrawler: whether the crawl succeeded; its event is not believed
        + pages(tables)  # GetTables: what the columns are
        + 1  # GetResourceLFTags: what they carry
    )
    writes = 1 + 1 + tag_calls  # UpdateCrawler, StartCrawler, AddLFTagsToResource
    return reads + writes


def new_data_product(tables: int, tag_calls: int) -> int:
    """A data product with so many tables, from nothing."""
    reads = (
        pages(tables, OBJECTS)  # ListObjectsV2
        + 1  # GetCrawler
        + pages(tables)  # GetTables
        + tables  # GetResourceLFTags
    )
    # RegisterResource, CreateDatabase, its tags before the crawl, the crawler's grants, CreateCrawler, StartCrawler,
    # and its own tags, last
    writes = 1 + 1 + 1 + 1 + 1 + 1 + 1 + tables * tag_calls
    return reads + writes


def new_consumer(databases: int, principals: int, keys: int) -> int:
    """A consumer with one subscription that reaches so many databases, for so many principals; which databases hold
    something for it is known from their publishing. Accounts are of one organization: there is no invitation."""
    reads = (
        1  # AssumeRole
        + 1  # GetResourceShareInvitations
        + principals  # GetRole: their ARNs
        + 1  # GetDatabases: which names are taken, and whether there is `default`
        + 1  # GetDataLakeSettings: below cross-account version 3 a grant reaches no other account
        + 1  # GetResourcePolicy: one that does not let RAM share breaks the share that a grant makes
    )
    writes = (
        pages(keys + 2, BATCH)  # LF-Tags, DATABASE and TABLE policy, with grant option
        + databases  # CreateDatabase: the links
        + pages(2 * principals, BATCH)  # both policies again, for each principal
        + pages(databases * principals, BATCH)  # DESCRIBE on the links
    )
    return reads + writes


def whole_mesh(databases: int, tables: int, tag_calls: int, consumers: int, principals: int, keys: int) -> int:
    """All of it from nothing; `tables` of each database."""
    lf_tags = 1 + keys  # ListLFTags: whose they are, and CreateLFTag
    return (
        lf_tags
        + databases * new_data_product(tables, tag_calls)
        + consumers * new_consumer(databases, principals, keys)
    )

"""National ids of persons: numbers that a state gives and that can be told from others, mostly by their check digits.

Each country's own test is python-stdnum's, behind a shape that is as narrow as the numbers allow. A number without
check digits is among them only where so much else is fixed that it matches little by chance: the United Kingdom's
National Insurance number, Indonesia's NIK (a place and a birthday), and those of the United States, Malaysia and
Pakistan as they are written, with hyphens. Left out, since they would match any number: Danish numbers that fail the
old check digit, Czech and Slovak ones of nine digits, numbers of passports, licences and identity cards, India's PAN,
Singapore's NRIC.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from stdnum.dk import cpr

#: country, module of stdnum, and what the number looks like without spaces, dots, slashes and hyphens.
_COMPACT = r"""
    AR ar.cuit          2[0347]\d{9}
    AT at.vnr           [1-9]\d{9}
    AU au.tfn           \d{9}
    BE be.nn            \d{11}
    BG bg.egn           \d{10}
    BR br.cpf           \d{11}
    CA ca.sin           \d{9}
    CH ch.ssn           756\d{10}
    CL cl.rut           \d{7,8}[\dK]
    CN cn.ric           \d{17}[\dX]
    CZ cz.rc            \d{10}
    DE de.idnr          [1-9]\d{10}
    DK dk.cpr           \d{10}
    DO do.cedula        \d{11}
    EC ec.ci            [0-35]\d{9}
    EE ee.ik            [1-8]\d{10}
    ES es.dni           \d{8}[A-Z]
    ES es.nie           [XYZ]\d{7}[A-Z]
    FR fr.nir           [12378]\d{4}(?:\d\d|2[AB])\d{8}
    GB gb.nhs           [467]\d{9}
    GR gr.amka          \d{11}
    HR hr.oib           \d{11}
    ID id.nik           \d{16}
    IE ie.pps           \d{7}[A-W][ABHTWX]?
    IL il.idnr          \d{9}
    IN in_.aadhaar      [2-9]\d{11}
    IS is_.kennitala    [0-3]\d{9}
    IT it.codicefiscale [A-Z]{6}[0-9A-Z]{10}
    JP jp.in_           \d{12}
    KR kr.rrn           \d{13}
    LT lt.asmens        [1-9]\d{10}
    LV lv.pvn           [0-3]\d{10}
    MX mx.curp          [A-Z]{4}\d{6}[A-Z]{6}[0-9A-Z]\d
    NL nl.bsn           \d{9}
    NO no.fodselsnummer \d{11}
    NZ nz.ird           \d{8,9}
    PE pe.cui           \d{9}
    PL pl.pesel         \d{11}
    PT pt.nif           [123]\d{8}
    PT pt.cc            \d{9}[A-Z0-9]{2}\d
    RO ro.cnp           [1-8]\d{12}
    RU ru.inn           \d{12}
    SE se.personnummer  \d{10}|\d{12}
    SI si.emso          \d{13}
    SK sk.rc            \d{10}
    TH th.pin           [1-8]\d{12}
    TR tr.tckimlik      [1-9]\d{10}
    UA ua.rntrc         \d{10}
    ZA za.idnr          \d{13}
"""
#: The same, of numbers whose written form is part of what they are known by.
_AS_WRITTEN = r"""
    FI fi.hetu          \d{6}[-+A-FU-Y]\d{3}[0-9A-Z]
    GB -                [A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\s?\d\d\s?\d\d\s?\d\d\s?[A-D]
    MY my.nric          \d{6}-\d\d-\d{4}
    PK pk.cnic          \d{5}-\d{7}-\d
    US us.ssn           \d{3}-\d\d-\d{4}
"""
_SEPARATORS = re.compile(r"[ ./-]")
_LONGEST = 24


class _Number(NamedTuple):
    country: str
    module: str
    shape: re.Pattern[str]
    compact: bool


def _rows(table: str, compact: bool) -> list[_Number]:
    rows = (line.split() for line in table.splitlines() if line.strip())
    return [_Number(country, module, re.compile(shape), compact) for country, module, shape in rows]


_NUMBERS = [*_rows(_COMPACT, True), *_rows(_AS_WRITTEN, False)]
COUNTRIES = frozenset(number.country for number in _NUMBERS)


def countries_of(text: str) -> set[str]:
    """The countries (`GB`) of which a text is a valid national id."""
    if not 8 <= len(text) <= _LONGEST or not any(map(str.isdigit, text)):
        return set()
    written = text.upper()
    compact = _SEPARATORS.sub("", written)
    found = set()
    for number in _NUMBERS:
        form = compact if number.compact else written
        if number.country not in found and number.shape.fullmatch(form) and _is_valid(number, form):
            found.add(number.country)
    return found


def _is_valid(number: _Number, text: str) -> bool:
    if number.module == "-":
        return True
    if not text.isascii():  # digits of other scripts
        return False
    if number.module == "dk.cpr" and cpr.checksum(text) != 0:  # which those given since 2007 may fail
        return False
    try:
        return bool(_module(number.module).is_valid(text))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False  # some raise at numbers that are wrong in a way that they do not expect


@cache
def _module(name: str) -> Any:
    return import_module(f"stdnum.{name}")

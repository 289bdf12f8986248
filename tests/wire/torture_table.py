"""What RFC 4475 wants of each of its 50 messages, for the parser's tests and for those of the user agent.

A value's name is a path into the message: attributes, keys and places joined by dots; `header.Name` is the field's
first value as written and `headers.Name` all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

FOLDER = Path(__file__).parent / "rfc4475"


class Fate(Enum):
    """What becomes of a message."""

    REFUSED = "a request that parse() or validate() refuses, to be answered with one of `answers`"
    ANSWERED = "a request in order, that the user agent answers with one of `answers` by itself"
    INVITED = "an INVITE in order, that is handed on to whoever takes calls"
    TAKEN = "a response in order: it belongs to its transaction, if there is one"
    DROPPED = "a response that is refused, and dropped without a word"


@dataclass(frozen=True, slots=True)
class Torture:
    """One message: file name, section of the RFC, fate, statuses of which one is the answer, values in it."""

    name: str
    section: str
    fate: Fate
    answers: tuple[int, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return (FOLDER / f"{self.name}.dat").read_bytes()


def _refused(name: str, section: str, status: int = 400, **values: object) -> Torture:
    return Torture(name, section, Fate.REFUSED, (status,), {_path(name): value for name, value in values.items()})


def _path(name: str) -> str:
    return name.replace("___", "_.").replace("__", ".")


TABLE = (
    # 3.1.1: syntactically valid, however odd.
    Torture(
        "wsinv",
        "3.1.1.1",
        Fate.INVITED,
        values={
            "method": "INVITE",
            "uri.user": "vivekg",
            "uri.host": "chair-dnrc.example.com",
            "uri.params": {"unknownparam": None},
            "to.uri.user": "vivekg",
            "to.uri.params": {},
            "to.tag": "1918181833n",
            "from_.display": 'J Rosenberg \\"',
            "from_.tag": "98asjd8",
            "max_forwards": 68,
            "cseq.number": 9,
            "cseq.method": "INVITE",
            "call_id": "wsinv.ndaksdj@192.0.2.1",
            "vias.0.transport": "UDP",
            "vias.0.host": "192.0.2.2",
            "vias.0.branch": "390skdjuw",
            "vias.1.transport": "TCP",
            "vias.1.host": "spindle.example.com",
            "vias.1.branch": "z9hG4bK9ikj8",
            "vias.2.transport": "UDP",
            "vias.2.host": "192.168.255.111",
            "vias.2.branch": "z9hG4bK30239",
            "header.Subject": "",
            "header.NewFangledHeader": "newfangled value continued newfangled value",
            "header.UnknownHeaderWithUnusualValue": ";;,,;;,;",
            "content_type": "application/sdp",
            "routes.0.uri.params": {"lr": None, "unknownwith": "value", "unknown-no-value": None},
            "contact.display": 'Quoted string ""',
            "contact.params": {"newparam": "newvalue", "secondparam": None, "q": "0.33"},
            "length": 150,
        },
    ),
    Torture(
        "intmeth",
        "3.1.1.2",
        Fate.ANSWERED,
        (405, 501),
        {
            "method": "!interesting-Method0123456789_*+`.%indeed'~",
            "cseq.method": "!interesting-Method0123456789_*+`.%indeed'~",
            "uri.user": "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            "uri.password": "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)",
            "uri.host": "example.com",
            "via.branch": "z9hG4bK-.!%66*_+`'~",
            "to.display": "BEL:\x07 NUL:\x00 DEL:\x7f",
            "from_.display": "token1~` token2'+_ token3*%!.-",
            "from_.params.fromparam''~+*_!.-%": "работающий",
            "from_.tag": "_token~1'+`*%!-.",
            "call_id": "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
            "max_forwards": 255,
            "header.extensionHeader-!.%*+_`'~": "\ufeff大停電",
        },
    ),
    Torture(
        "esc01",
        "3.1.1.3",
        Fate.INVITED,
        values={
            "uri.scheme": "sip",
            "uri.user": "sips:user@example.com",
            "uri.host": "example.net",
            "to.uri.user": "user",
            "from_.uri.user": "I have spaces",
            "contact.uri.user": "caller",
            "contact.uri.params": {"lr": None, "name": "value%41"},
        },
    ),
    Torture(
        "escnull",
        "3.1.1.4",
        Fate.ANSWERED,
        (405,),
        {
            "method": "REGISTER",
            "to.uri.user": "null-\0-null",
            "from_.uri.user": "null-\0-null",
            "contacts.0.uri.user": "\0",
            "contacts.1.uri.user": "\0\0",
        },
    ),
    Torture(
        "esc02",
        "3.1.1.5",
        Fate.ANSWERED,
        (405, 501),
        {
            "method": "RE%47IST%45R",
            "cseq.method": "RE%47IST%45R",
            "to.display": "%Z%45",
            "from_.display": "%Z%45",
            "via.branch": "z9hG4bK209%fzsnel234",
            "contacts.0.uri.user": "alias1",
            "contacts.1.uri.user": "alias3",
            "headers.Contact": ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"],
        },
    ),
    Torture(
        "lwsdisp",
        "3.1.1.6",
        Fate.ANSWERED,
        (200,),
        {"from_.display": "caller", "from_.uri.user": "caller", "from_.tag": "323"},
    ),
    Torture(
        "longreq",
        "3.1.1.7",
        Fate.INVITED,
        values={
            "to.uri.port": 6000,
            "to.display": f"I have a user name of {'extreme' * 10} proportion",
            "from_.uri.user": "amazinglylongcallername" * 5,
            "from_.tag": f"12{'982' * 50}424",
            "call_id": f"longreq.one{'really' * 20}longcallid",
            "via.host": "sip33.example.com",
            "vias.33.branch": f"very{'long' * 50}branchvalue",
            "cseq.number": 3882340,
            "contact.uri.host": "host5.example.net",
            "length": 150,
        },
    ),
    Torture(
        "dblreq",
        "3.1.1.8",
        Fate.ANSWERED,
        (405,),
        {"method": "REGISTER", "call_id": "dblreq.0ha0isndaksdj99sdfafnl3lk233412", "cseq.number": 8, "length": 0},
    ),
    Torture(
        "semiuri",
        "3.1.1.9",
        Fate.ANSWERED,
        (200,),
        {
            "uri.user": "user;par=u@example.net",
            "uri.host": "example.com",
            "uri.params": {},
            "headers.Accept": [
                "application/sdp",
                "application/pkcs7-mime",
                "multipart/mixed",
                "multipart/signed",
                "message/sip",
                "message/sipfrag",
            ],
        },
    ),
    Torture(
        "transports",
        "3.1.1.10",
        Fate.ANSWERED,
        (200,),
        {
            "vias.0.transport": "UDP",
            "vias.1.transport": "SCTP",
            "vias.2.transport": "TLS",
            "vias.3.transport": "UNKNOWN",
            "vias.3.host": "t4.example.com",
            "vias.4.transport": "TCP",
        },
    ),
    Torture(
        "mpart01",
        "3.1.1.11",
        Fate.ANSWERED,
        (405,),
        {
            "method": "MESSAGE",
            "via.host": "127.0.0.1",
            "via.port": 5070,
            "via.wants_rport": True,
            "via.rport": None,
            "content_type": "multipart/mixed",
            "header.Content-Type": "multipart/mixed;boundary=7a9cbec02ceef655",
            "routes.0.uri.port": 5080,
            "length": 553,
        },
    ),
    Torture(
        "unreason",
        "3.1.1.12",
        Fate.TAKEN,
        values={
            "status": 200,
            "reason": "= 2**3 * 5**2 но сто девяносто девять - простое",
            "cseq.method": "INVITE",
            "contact.uri.host": "host198.example.com",
            "length": 154,
        },
    ),
    Torture("noreason", "3.1.1.13", Fate.TAKEN, values={"status": 100, "reason": "", "to.tag": "902jndnke3"}),
    # 3.1.2: invalid.
    _refused("badinv01", "3.1.2.1", method="INVITE", call_id="badinv01.0ha0isndaksdjasdf3234nas"),
    _refused("clerr", "3.1.2.2", method="INVITE", to__uri__user="j.user", cseq__number=8),
    _refused("ncl", "3.1.2.3", method="INVITE", via__host="192.0.2.53", cseq__number=0),
    _refused("scalar02", "3.1.2.4", method="REGISTER", contact__params__expires="280297596632815"),
    Torture("scalarlg", "3.1.2.5", Fate.DROPPED),
    _refused("quotbal", "3.1.2.6", header__To='"Mr. J. User <sip:j.user@example.com>'),
    _refused("ltgtruri", "3.1.2.7", method="INVITE", via__host="192.0.2.5"),
    _refused("lwsruri", "3.1.2.8", method="INVITE", cseq__number=2130706432),
    _refused("lwsstart", "3.1.2.9", method="INVITE", cseq__number=1893884),
    _refused("trws", "3.1.2.10", method="OPTIONS", via__host="host1.examle.com"),
    _refused("escruri", "3.1.2.11", uri__headers={"Route": "<sip:example.com>"}),
    # The RFC lets a receiver refuse this one that needs the date. Nothing here does.
    Torture(
        "baddate",
        "3.1.2.12",
        Fate.INVITED,
        values={"header.Date": "Fri, 01 Jan 2010 16:00:00 EST", "contact.uri.host": "host5.example.net"},
    ),
    _refused("regbadct", "3.1.2.13", method="REGISTER", to__uri__host="example.com"),
    _refused("badaspec", "3.1.2.14", method="OPTIONS", from___display="Bell, Alexander"),
    # Besides its display names, the file lacks the empty line at its end.
    _refused("baddn", "3.1.2.15", method="OPTIONS", cseq__number=3923239),
    _refused("badvers", "3.1.2.16", 505, method="OPTIONS", call_id="badvers.31417@c.example.com"),
    _refused("mismatch01", "3.1.2.17", method="OPTIONS", cseq__method="INVITE"),
    _refused("mismatch02", "3.1.2.18", 501, method="NEWMETHOD", cseq__method="INVITE"),
    Torture("bigcode", "3.1.2.19", Fate.DROPPED),
    # 3.2: for the transaction layer. The cookie alone identifies nothing: as of RFC 2543.
    Torture("badbranch", "3.2.1", Fate.ANSWERED, (200,), {"via.branch": "z9hG4bK", "via.host": "192.0.2.1"}),
    # 3.3: for the application.
    _refused("insuf", "3.3.1", method="INVITE", cseq__number=193942),
    Torture(
        "unkscm",
        "3.3.2",
        Fate.ANSWERED,
        (416,),
        {"uri.scheme": "nobodyknowsthisscheme", "uri.opaque": "totallyopaquecontent", "uri.is_sip": False},
    ),
    Torture(
        "novelsc",
        "3.3.3",
        Fate.ANSWERED,
        (416,),
        {"uri.scheme": "soap.beep", "uri.opaque": "//192.0.2.103:3002", "uri.is_sip": False},
    ),
    Torture(
        "unksm2",
        "3.3.4",
        Fate.ANSWERED,
        (405,),
        {
            "to.uri.scheme": "isbn",
            "to.uri.opaque": "2983792873",
            "from_.uri.scheme": "http",
            "contact.uri.scheme": "name",
            "from_.tag": "3234233",
        },
    ),
    Torture(
        "bext01",
        "3.3.5",
        Fate.ANSWERED,
        (420,),
        {
            "headers.Require": ["nothingSupportsThis", "nothingSupportsThisEither"],
            "headers.Proxy-Require": ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"],
        },
    ),
    Torture(
        "invut",
        "3.3.6",
        Fate.ANSWERED,
        (415,),
        {"method": "INVITE", "content_type": "application/unknownformat", "length": 40},
    ),
    Torture(
        "regaut01",
        "3.3.7",
        Fate.ANSWERED,
        (405,),
        {"method": "REGISTER", "header.Authorization": "NoOneKnowsThisScheme opaque-data=here"},
    ),
    _refused("multi01", "3.3.8", method="INVITE", via__branch="z9hG4bKkdjuw"),
    _refused("mcl01", "3.3.9", method="OPTIONS", content_type="text/plain"),
    Torture("bcast", "3.3.10", Fate.TAKEN, values={"status": 200, "vias.1.host": "255.255.255.255"}),
    Torture("zeromf", "3.3.11", Fate.ANSWERED, (200,), {"method": "OPTIONS", "max_forwards": 0}),
    Torture(
        "cparam01",
        "3.3.12",
        Fate.ANSWERED,
        (405,),
        {"contact.uri.params": {}, "contact.params": {"unknownparam": None}, "contact.uri.user": "+19725552222"},
    ),
    Torture(
        "cparam02",
        "3.3.13",
        Fate.ANSWERED,
        (405,),
        {"contact.uri.params": {"unknownparam": None}, "contact.params": {}, "contact.uri.user": "+19725552222"},
    ),
    Torture(
        "regescrt",
        "3.3.14",
        Fate.ANSWERED,
        (405,),
        {"contact.uri.headers": {"Route": "<sip:sip.example.com>"}, "contact.uri.user": "user"},
    ),
    Torture(
        "sdp01",
        "3.3.15",
        Fate.ANSWERED,
        (406,),
        {"headers.Accept": ["text/nobodyKnowsThis"], "content_type": "application/sdp"},
    ),
    # 3.4: from before RFC 3261: no branch, tag, Contact, Content-Length or Max-Forwards.
    Torture(
        "inv2543",
        "3.4.1",
        Fate.INVITED,
        values={
            "via.host": "iftgw.example.com",
            "via.branch": None,
            "from_.tag": None,
            "from_.uri.params": {"user": "phone"},
            "to.uri.params": {},
            "to.params": {"user": "phone"},
            "record_routes.0.uri.params": {"maddr": "ss1.example.com"},
            "contact": None,
            "max_forwards": None,
            "length": 105,
        },
    ),
    # In the archive, not in the text: no version, no Via, no CSeq, addresses without a scheme, a line without a colon.
    _refused("test", "-", method="INVITE", call_id="test.0ha0isndaksdj@192.0.2.1", max_forwards=68),
)

"""The four transaction machines of RFC 3261 section 17, as RFC 6026 corrects them, as literal tables.

Each entry reads: in this state, when this comes, go to that state and do these things. What has no entry has no
arrow in the RFC's figure either, and is passed over. Entering a state starts its timers (`starts`) and stops those of
the state before, unless it is in `keeps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class _Key(Enum):
    """Looked up in a table with each message: the hash of `Enum` is a function of Python's, a tenth as fast."""

    __hash__ = object.__hash__


class State(_Key):
    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()  # RFC 6026: a 2xx has passed
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Input(_Key):
    """What a machine sees: responses (from the network for a client, from its user for a server), requests, timers."""

    PROVISIONAL = auto()  # 1xx; of a server's user: 101-199, and the 100 at once
    SUCCESS = auto()  # 2xx
    FAILURE = auto()  # 300-699
    REQUEST = auto()  # the request again
    ACK = auto()
    TRANSPORT_ERROR = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_K = auto()
    TIMER_L = auto()
    TIMER_M = auto()


class Action(Enum):
    SEND = auto()  # the request of a client; the latest response of a server
    ACKNOWLEDGE = auto()  # send the ACK of 17.1.1.3
    DELIVER = auto()  # hand the message to the user
    REPORT = auto()  # tell the user that it failed: timeout or transport


Table = Mapping[tuple[State, Input], tuple[State, tuple[Action, ...]]]

_CALLING, _TRYING, _PROCEEDING = State.CALLING, State.TRYING, State.PROCEEDING
_ACCEPTED, _COMPLETED, _CONFIRMED, _TERMINATED = State.ACCEPTED, State.COMPLETED, State.CONFIRMED, State.TERMINATED
_SEND, _ACKNOWLEDGE, _DELIVER, _REPORT = Action.SEND, Action.ACKNOWLEDGE, Action.DELIVER, Action.REPORT

# RFC 3261 figure 5 with RFC 6026 section 8.4: a 2xx does not end the transaction, so that all 2xx of forks and their
# retransmissions reach the user, who acknowledges them.
INVITE_CLIENT: Table = {
    (_CALLING, Input.TIMER_A): (_CALLING, (_SEND,)),
    (_CALLING, Input.TIMER_B): (_TERMINATED, (_REPORT,)),
    (_CALLING, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_CALLING, Input.PROVISIONAL): (_PROCEEDING, (_DELIVER,)),
    (_CALLING, Input.SUCCESS): (_ACCEPTED, (_DELIVER,)),
    (_CALLING, Input.FAILURE): (_COMPLETED, (_ACKNOWLEDGE, _DELIVER)),
    (_PROCEEDING, Input.PROVISIONAL): (_PROCEEDING, (_DELIVER,)),
    (_PROCEEDING, Input.SUCCESS): (_ACCEPTED, (_DELIVER,)),
    (_PROCEEDING, Input.FAILURE): (_COMPLETED, (_ACKNOWLEDGE, _DELIVER)),
    (_ACCEPTED, Input.SUCCESS): (_ACCEPTED, (_DELIVER,)),
    (_ACCEPTED, Input.TIMER_M): (_TERMINATED, ()),
    (_COMPLETED, Input.FAILURE): (_COMPLETED, (_ACKNOWLEDGE,)),
    (_COMPLETED, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_COMPLETED, Input.TIMER_D): (_TERMINATED, ()),
}

# RFC 3261 figure 6.
CLIENT: Table = {
    (_TRYING, Input.TIMER_E): (_TRYING, (_SEND,)),
    (_TRYING, Input.TIMER_F): (_TERMINATED, (_REPORT,)),
    (_TRYING, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_TRYING, Input.PROVISIONAL): (_PROCEEDING, (_DELIVER,)),
    (_TRYING, Input.SUCCESS): (_COMPLETED, (_DELIVER,)),
    (_TRYING, Input.FAILURE): (_COMPLETED, (_DELIVER,)),
    (_PROCEEDING, Input.TIMER_E): (_PROCEEDING, (_SEND,)),
    (_PROCEEDING, Input.TIMER_F): (_TERMINATED, (_REPORT,)),
    (_PROCEEDING, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_PROCEEDING, Input.PROVISIONAL): (_PROCEEDING, (_DELIVER,)),
    (_PROCEEDING, Input.SUCCESS): (_COMPLETED, (_DELIVER,)),
    (_PROCEEDING, Input.FAILURE): (_COMPLETED, (_DELIVER,)),
    (_COMPLETED, Input.TIMER_K): (_TERMINATED, ()),
}

# RFC 3261 figure 7 with RFC 6026 section 8.5: after a 2xx retransmitted INVITEs are absorbed, and a transport error
# does not end the transaction.
INVITE_SERVER: Table = {
    (_PROCEEDING, Input.REQUEST): (_PROCEEDING, (_SEND,)),
    (_PROCEEDING, Input.PROVISIONAL): (_PROCEEDING, (_SEND,)),
    (_PROCEEDING, Input.SUCCESS): (_ACCEPTED, (_SEND,)),
    (_PROCEEDING, Input.FAILURE): (_COMPLETED, (_SEND,)),
    (_PROCEEDING, Input.TRANSPORT_ERROR): (_PROCEEDING, (_REPORT,)),
    (_ACCEPTED, Input.REQUEST): (_ACCEPTED, ()),
    (_ACCEPTED, Input.SUCCESS): (_ACCEPTED, (_SEND,)),
    (_ACCEPTED, Input.ACK): (_ACCEPTED, (_DELIVER,)),
    (_ACCEPTED, Input.TRANSPORT_ERROR): (_ACCEPTED, (_REPORT,)),
    (_ACCEPTED, Input.TIMER_L): (_TERMINATED, ()),
    (_COMPLETED, Input.REQUEST): (_COMPLETED, (_SEND,)),
    (_COMPLETED, Input.TIMER_G): (_COMPLETED, (_SEND,)),
    (_COMPLETED, Input.ACK): (_CONFIRMED, ()),
    (_COMPLETED, Input.TRANSPORT_ERROR): (_COMPLETED, (_REPORT,)),
    (_COMPLETED, Input.TIMER_H): (_TERMINATED, ()),
    (_CONFIRMED, Input.TIMER_I): (_TERMINATED, ()),
}

# RFC 3261 figure 8.
SERVER: Table = {
    (_TRYING, Input.PROVISIONAL): (_PROCEEDING, (_SEND,)),
    (_TRYING, Input.SUCCESS): (_COMPLETED, (_SEND,)),
    (_TRYING, Input.FAILURE): (_COMPLETED, (_SEND,)),
    (_PROCEEDING, Input.REQUEST): (_PROCEEDING, (_SEND,)),
    (_PROCEEDING, Input.PROVISIONAL): (_PROCEEDING, (_SEND,)),
    (_PROCEEDING, Input.SUCCESS): (_COMPLETED, (_SEND,)),
    (_PROCEEDING, Input.FAILURE): (_COMPLETED, (_SEND,)),
    (_PROCEEDING, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_COMPLETED, Input.REQUEST): (_COMPLETED, (_SEND,)),
    (_COMPLETED, Input.TRANSPORT_ERROR): (_TERMINATED, (_REPORT,)),
    (_COMPLETED, Input.TIMER_J): (_TERMINATED, ()),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """One of the four. The first timer of a state that has two is the retransmission's."""

    initial: State
    table: Table
    starts: Mapping[State, tuple[Input, ...]]
    keeps: frozenset[State] = frozenset()


INVITE_CLIENT_MACHINE = Machine(
    _CALLING,
    INVITE_CLIENT,
    {_CALLING: (Input.TIMER_A, Input.TIMER_B), _COMPLETED: (Input.TIMER_D,), _ACCEPTED: (Input.TIMER_M,)},
)
CLIENT_MACHINE = Machine(
    _TRYING,
    CLIENT,
    {_TRYING: (Input.TIMER_E, Input.TIMER_F), _COMPLETED: (Input.TIMER_K,)},
    frozenset({_PROCEEDING}),
)
INVITE_SERVER_MACHINE = Machine(
    _PROCEEDING,
    INVITE_SERVER,
    {
        _ACCEPTED: (Input.TIMER_L,),
        _COMPLETED: (Input.TIMER_G, Input.TIMER_H),
        _CONFIRMED: (Input.TIMER_I,),
    },
)
SERVER_MACHINE = Machine(_TRYING, SERVER, {_COMPLETED: (Input.TIMER_J,)})

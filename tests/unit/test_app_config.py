"""The configuration: what is shipped works, and what is wrong is refused with its place and the remedy."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xconf.app import cli, config
from xconf.app.paths import CONFIG
from xconf.app.problems import ConfigError
from xconf.app.summary import how_to_dial
from xconf.app.trunks import trunks_of

# Lines count from 1: the tests put one fault into this file and expect its line.
GOOD = r"""node: {name: a}
sip:
  listen: [udp://127.0.0.1:5060]
  allow: [127.0.0.0/8]
rtp: {address: 127.0.0.1, ports: 16384-16639}
control: {listen: unix:xconf.sock}
dialplan:
  - {number: '(30\d\d)', conference: '\1', flags: +speaker}
profiles:
  default:
    vad: {level: 300}
  pin: {inherit: default, pin_auth: true, user_pin: '456'}
controls:
  default:
    '#': hangup
    '9': 'vad-level:+100'
"""


def faults(folder: Path, text: str) -> list[str]:
    """The lines that refuse this configuration, without the name of its folder."""
    file = folder / "x.yaml"
    file.write_text(text)
    try:
        config.load(file)
    except ConfigError as error:
        return str(error).replace(f"{folder}/", "").splitlines()
    return []


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD) == []


def test_the_shipped_one_is_good() -> None:
    assert config.load(CONFIG).settings.node.name == "a"


# what is replaced in GOOD, by what, and the line that refuses it
REFUSED = [
    ("node:", "nodes:", "x.yaml:1: nodes: unknown key; did you mean node?"),
    ("{name: a}", "{name: 1}", "x.yaml:1: node.name: must be text, not 1; put it in quotes"),
    ("{name: a}", "{name: ''}", "x.yaml:1: node.name: '' is not 1 to 64 characters"),
    ("{name: a}", "[a]", "x.yaml:1: node: must be keys with values, not a list"),
    ("  allow", "  alow", "x.yaml:4: sip.alow: unknown key; did you mean allow?"),
    ("udp://", "sctp://", "x.yaml:3: sip.listen[0]: 'sctp://127.0.0.1:5060' is not like udp://127.0.0.1:5060, tcp://127.0.0.1:5060 or tls://127.0.0.1:5061"),
    ("udp://127.0.0.1:5060", "udp://127.0.0.1", "x.yaml:3: sip.listen[0]: 'udp://127.0.0.1' is not like udp://127.0.0.1:5060"),
    ("udp://127.0.0.1:5060", "udp://127.0.0.1:70000", "x.yaml:3: sip.listen[0]: 'udp://127.0.0.1:70000': port out of range 0-65535"),
    ("udp://127.0.0.1", "udp://pbx.local", "x.yaml:3: sip.listen[0]: 'pbx.local' is not an IP address"),
    ("[udp://127.0.0.1:5060]", "[udp://127.0.0.1:5060, udp://127.0.0.1:5060]", "x.yaml:2: sip: listen has udp://127.0.0.1:5060 twice; keep one"),
    ("[udp://127.0.0.1:5060]", "[]", "x.yaml:2: sip: listen is empty; give at least one address, like udp://127.0.0.1:5060"),
    ("[udp://127.0.0.1:5060]", "5060", "x.yaml:3: sip.listen: must be a list, not 5060"),
    ("[127.0.0.0/8]", "[]", "x.yaml:2: sip: nobody may call; give allow, trunks or users"),
    ("127.0.0.0/8", "127.0.0.0/33", "x.yaml:4: sip.allow[0]: '127.0.0.0/33' is not a network like 10.0.0.0/8 or an address"),
    ("127.0.0.0/8", "127.0.0.1/8", "x.yaml:4: sip.allow[0]: '127.0.0.1/8' is an address within a network; the network is 127.0.0.0/8"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  limits: {calls: 0}", "x.yaml:5: sip.limits.calls: 0 is not in 1..100000"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  limits: {calls: many}", "x.yaml:5: sip.limits.calls: must be a whole number, not 'many'"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  users: {ann: 1234}", "x.yaml:5: sip.users.ann: must be text, not the value given; put it in quotes"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  users: {ann: !file no}", "x.yaml:5: sip.users.ann: the file no cannot be read: No such file or directory"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  users: {ann: !env XCONF_NO}", "x.yaml:5: sip.users.ann: the environment has no variable XCONF_NO; set it before the start"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {}}', 'x.yaml:5: sip.trunks.x: nothing tells its calls from others; give address, registrar, allow, users or certificate_name'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {address: 192.0.2.300}}', "x.yaml:5: sip.trunks.x.address: '192.0.2.300' is not like sip.example.com, 192.0.2.10 or sip.example.com:5080"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {address: 192.0.2.1/24}}', "x.yaml:5: sip.trunks.x.address: '192.0.2.1/24' is an address within a network; the network is 192.0.2.0/24"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {address: 192.0.2.0/24, register: true, username: u}}', 'x.yaml:5: sip.trunks.x: register is true, but there is no registrar; give registrar: HOST'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {registrar: a.example, register: true}}', 'x.yaml:5: sip.trunks.x: register is true, but there is no username; give username and password'),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  trunks: {x: {registrar: 'a.example:99999'}}", "x.yaml:5: sip.trunks.x.registrar: 'a.example:99999': port out of range 0-65535"),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  trunks: {x: {registrar: 'sip:a.example'}}", "x.yaml:5: sip.trunks.x.registrar: 'sip:a.example': port could not be cast to integer value as 'a.example'"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {registrar: a.example, password: secret}}', 'x.yaml:5: sip.trunks.x: password is given without a username; add username'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {registrar: a.example, username: u, password: 12}}', 'x.yaml:5: sip.trunks.x.password: must be text, not the value given; put it in quotes'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {registrar: a.example, transport: sctp}}', "x.yaml:5: sip.trunks.x.transport: 'sctp' is not one of auto, udp, tcp, tls"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {registrar: a.example, expires: 5}}', 'x.yaml:5: sip.trunks.x.expires: 5 is not in 10..86400'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {allow: [192.0.2.0/24], options_interval: 30}}', 'x.yaml:5: sip.trunks.x: options_interval is given, but nobody to ask; give address or registrar as HOST'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {allow: [192.0.2.0/24], backups: [b.example]}}', 'x.yaml:5: sip.trunks.x: backups are given, but no registrar that they stand in for; give registrar: HOST'),
    ("[127.0.0.0/8]", "[127.0.0.0/8]\n  trunks: {x: {address: 192.0.2.1, dialplan: [{number: '1', conference: c, profile: vip}]}}", "x.yaml:5: sip.trunks.x.dialplan[0].profile: no profile 'vip'; there is default, pin"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {certificate: no.pem, key: no.key}', 'x.yaml:5: sip.tls.certificate: no.pem cannot be read: No such file or directory'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {certificate: no.pem}', 'x.yaml:5: sip.tls: certificate is given without a key; add key: FILE'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {key: no.pem}', 'x.yaml:5: sip.tls: key is given without a certificate; add certificate: FILE'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {ca: x.yaml}', 'x.yaml:5: sip.tls.ca: x.yaml has no certificate in PEM form (-----BEGIN CERTIFICATE-----)'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {verify_client: maybe}', "x.yaml:5: sip.tls.verify_client: 'maybe' is not true, false or optional"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  tls: {verify_client: optional}', 'x.yaml:2: sip: tls.verify_client needs tls.ca: the file of the authorities whose certificates count'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  trunks: {x: {certificate_name: a.example}}', 'x.yaml:2: sip: trunks.x is known by certificate_name alone, but nobody is asked for a certificate; set tls.verify_client: optional, and tls.ca'),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  users: {u: a}\n  trunks: {x: {users: {u: b}}}', "x.yaml:2: sip: trunks.x.users: 'u' is in users too; a user is one or the other"),
    ("[127.0.0.0/8]", '[127.0.0.0/8]\n  nameservers: [a_b!]', "x.yaml:5: sip.nameservers[0]: 'a_b!' is not like sip.example.com, 192.0.2.10 or sip.example.com:5080"),
    ("[udp://127.0.0.1:5060]", "[tls://127.0.0.1:5061]", "x.yaml:2: sip: listen has tls://127.0.0.1:5061, but there is no certificate; give tls: {certificate, key}"),
    ("[udp://127.0.0.1:5060]", "[tcp://127.0.0.1:5060]\n  trunks: {x: {address: 192.0.2.1, transport: udp}}", "x.yaml:2: sip: trunks.x.transport is udp, but listen has no udp:// address; add one"),
    ("address: 127.0.0.1, ", "", "x.yaml:5: rtp.address: is missing"),
    ("address: 127.0.0.1", "address: '::1'", "x.yaml:5: rtp.address: ::1 is IPv6; give it as address6, and an IPv4 address here"),
    ("address: 127.0.0.1", "address: 127.0.0.1, address6: 127.0.0.2", "x.yaml:5: rtp.address6: 127.0.0.2 is IPv4; give it as address"),
    ("16384-16639", "16384", "x.yaml:5: rtp.ports: must be text, not 16384; put it in quotes"),
    ("16384-16639", "16384..16639", "x.yaml:5: rtp.ports: '16384..16639' is not like 16384-16639"),
    ("16384-16639", "16384-16387", "x.yaml:5: rtp.ports: '16384-16387' is too small; at least 8 ports are needed, like 16384-16391"),
    ("16384-16639", "16385-16639", "x.yaml:5: rtp.ports: '16385-16639' must begin even and end odd (RTP and RTCP in pairs), like 16386-16639"),
    ("16384-16639", "80-99", "x.yaml:5: rtp.ports: '80-99' must go upwards, within 1024-65535"),
    ("16384-16639}", "16384-16639, relatch: maybe}", "x.yaml:5: rtp.relatch: must be true or false, not 'maybe'"),
    ("16384-16639}", "16384-16639, media_timeout: -1}", "x.yaml:5: rtp.media_timeout: -1 is not in 0..86400"),
    ("control: {listen: unix:xconf.sock}", "history: {file: no/h.db}", "x.yaml:6: history.file: the folder no does not exist or is not writable"),
    ("control: {listen: unix:xconf.sock}", "history: {keep_days: 0}", "x.yaml:6: history.keep_days: 0 is not in 1..3650"),
    ("control: {listen: unix:xconf.sock}", "sounds: {speech: {a: [espeak-ng]}}", "x.yaml:6: sounds: speech.a must be a program and its arguments, one of them with {file}, which it writes to"),
    ("control: {listen: unix:xconf.sock}", "sounds: {urls: [file:///etc]}", "x.yaml:6: sounds.urls[0]: must be like https://example.com/path"),
    ("control: {listen: unix:xconf.sock}", "invite: {schedule: {a: {conference: '1', call: '1', at: 18:30}}}", "x.yaml:6: invite.schedule.a.at: must be text, not 1110; put it in quotes"),
    ("control: {listen: unix:xconf.sock}", "invite: {schedule: {a: {conference: '1', call: '1', at: '25:00'}}}", "x.yaml:6: invite.schedule.a.at: '25:00' is not a time of day like '09:00' or '18:30', in quotes"),
    ("control: {listen: unix:xconf.sock}", "invite: {schedule: {a: {conference: '1', call: '1', at: '9:00', timezone: Mars}}}", "x.yaml:6: invite.schedule.a.timezone: no time zone 'Mars'; they are like Europe/Berlin (package tzdata has them)"),
    ("control: {listen: unix:xconf.sock}", "invite: {schedule: {a: {conference: '1', call: '@b', at: '9:00'}}}", "x.yaml:6: invite: schedule.a: no list 'b' in invite.lists"),
    ("control: {listen: unix:xconf.sock}", "invite: {schedule: {a: {conference: '1', call: '1', at: '9:00', days: [mon], date: '2026-12-24'}}}", "x.yaml:6: invite.schedule.a: has days and a date; leave one of them out"),
    ("control: {listen: unix:xconf.sock}", "recording: {folder: no/such}", "x.yaml:6: recording.folder: the folder no/such cannot be written to; make it, or give another"),
    ("control: {listen: unix:xconf.sock}", "webhook: {url: https://x.example/h}", "x.yaml:6: webhook: secret is missing; whoever is told knows by it that it was this server"),
    ("control: {listen: unix:xconf.sock}", "webhook: {url: ftp://x.example}", "x.yaml:6: webhook.url: must be like https://example.com/path"),
    ("control: {listen: unix:xconf.sock}", "webhook: {url: https://u:p@x.example}", "x.yaml:6: webhook.url: a user and password in it are not sent; leave them out"),
    ("control: {listen: unix:xconf.sock}", "webhook: {secret: short}", "x.yaml:6: webhook.secret: the value given is not 16 to 256 characters"),
    ("control: {listen: unix:xconf.sock}", "webhook: {only: [member-join]}", "x.yaml:6: webhook.only[0]: no event 'member-join'; did you mean member-joined or member-left?"),
    ("unix:xconf.sock", "tcp:9000", "x.yaml:6: control.listen: 'tcp:9000' is not like unix:xconf.sock"),
    (r"(30\d\d)", r"(30\d", r"x.yaml:8: dialplan[0].number: '(30\d' is not a regular expression: missing ), unterminated subpattern at position 0"),
    (r"'\1'", r"'\2'", r"x.yaml:8: dialplan[0]: conference '\2' does not fit the number: invalid group reference 2 at position 1"),
    ("flags: +speaker", "flags: +speeker", "x.yaml:8: dialplan[0].flags: no flag 'speeker'; did you mean speaker?"),
    ("flags: +speaker", "flags: speaker", "x.yaml:8: dialplan[0].flags: 'speaker' needs a + or a - before it"),
    ("flags: +speaker", "profile: pins", "x.yaml:8: dialplan[0].profile: no profile 'pins'; did you mean pin?"),
    ("conference: '\\1', ", "", "x.yaml:8: dialplan[0].conference: is missing"),
    ("{level: 300}", "{level: 5000}", "x.yaml:11: profiles.default.vad.level: 5000 is not in 0..1800"),
    ("{level: 300}", "{levle: 300}", "x.yaml:11: profiles.default.vad.levle: unknown key; did you mean level?"),
    ("vad: {level: 300}", "sample_rate: 44100", "x.yaml:11: profiles.default.sample_rate: 44100 is not one of 8000, 16000, 32000, 48000"),
    ("vad: {level: 300}", "codecs: [pcmu, pcmx]", "x.yaml:11: profiles.default.codecs: no codec 'pcmx'; did you mean pcmu or pcma?"),
    ("vad: {level: 300}", "codecs: [pcmu, pcma, pcmu]", "x.yaml:11: profiles.default.codecs: pcmu is there twice; keep one"),
    ("vad: {level: 300}", "codecs: pcmu", "x.yaml:11: profiles.default.codecs: must be a list, not 'pcmu'"),
    ("vad: {level: 300}", "moh: none.wav", "x.yaml:11: profiles.default.moh: sound 'none.wav' is not in {sounds}"),
    ("vad: {level: 300}", "user_controls: users", "x.yaml:11: profiles.default.user_controls: no controls 'users'; there is default"),
    ("inherit: default", "inherit: defualt", "x.yaml:12: profiles.pin.inherit: no profile 'defualt'; did you mean default?"),
    ("inherit: default", "inherit: pin", "x.yaml:12: profiles.pin.inherit: goes in a circle: pin -> pin"),
    ("'456'", "456", "x.yaml:12: profiles.pin.user_pin: must be text, not the value given; put it in quotes"),
    ("'456'", "'45x6'", "x.yaml:12: profiles.pin.user_pin: the value given is not 1 to 10 digits"),
    (", user_pin: '456'", "", "x.yaml:12: profiles.pin.pin_auth: is true, but there is no PIN; give admin_pin or user_pin"),
    ("'9': 'vad", "'#': 'vad", "x.yaml:16: controls.default.#: given twice, first in line 15; keep one"),
    ("'9': 'vad", "'12345678901': 'vad", "x.yaml:16: controls.default.12345678901: must be 1 to 10 of 0-9, *, #, A-D"),
    ("hangup", "hangpu", "x.yaml:15: controls.default.#: no action 'hangpu'; did you mean hangup?"),
    ("vad-level:+100", "vad-level:loud", "x.yaml:16: controls.default.9: vad-level: 'loud' is not like +1, -1 or 0"),
    ("hangup", "5", "x.yaml:15: controls.default.#: must be an action like 'mute' or 'vol-talk:+1'"),
    ("node: {name: a}", "invite: {allow: [10.0.0.1/8]}", "x.yaml:1: invite.allow[0]: '10.0.0.1/8' is an address within a network; the network is 10.0.0.0/8"),
    ("node: {name: a}", "invite: {numbers: '(1'}", "x.yaml:1: invite.numbers: '(1' is not a regular expression: missing ), unterminated subpattern at position 0"),
    ("node: {name: a}", "invite: {lists: {board: ['tel:1']}}", "x.yaml:1: invite: lists.board: 'tel:1' is not a SIP URI like sip:1001@192.0.2.10"),
    ("node: {name: a}", "invite: {rate: 0}", "x.yaml:1: invite.rate: 0 is not in 0.1..1000"),
    ("node: {name: a}", "invite: {profile: pim}", "x.yaml:1: invite.profile: no profile 'pim'; did you mean pin?"),
    ("node: {name: a}", "invite: {trunk: carrier}", "x.yaml:1: invite.trunk: no trunk 'carrier'"),
    ("node: {name: a}", "invite: {caller_id: 'a@b'}", "x.yaml:1: invite.caller_id: 'a@b' is not a number or a name with a number, like Board <3000>"),
    ("node: {name: a}", "invite: {retry_on: [answered]}", "x.yaml:1: invite.retry_on[0]: 'answered' is not one of busy, no-answer, unreachable, rejected, not-confirmed"),
    ("node: {name: a}", "cluster: {enable: true}", "x.yaml:1: cluster: secret is missing; give all nodes the same one: secret: !file cluster.key"),
    ("node: {name: a}", "cluster: {enable: true, secret: short}", "x.yaml:1: cluster.secret: the value given is not 16 to 256 characters"),
    ("node: {name: a}", "cluster: {enable: true, secret: 0123456789abcdef}", "x.yaml:1: cluster: peers is empty; give the other nodes' addresses, like [192.0.2.10:65021]"),
    ("node: {name: a}", "cluster: {enable: true, secret: 0123456789abcdef, peers: [127.0.0.1:65021]}", "x.yaml:1: cluster: peers has 127.0.0.1:65021, which is this node's own listen; leave it out"),
    ("node: {name: a}", "cluster: {enable: true, secret: 0123456789abcdef, peers: ['[::1]:65021']}", "x.yaml:1: cluster: peers has [::1]:65021, which cannot be reached from 127.0.0.1:65021; give both as IPv4 or IPv6"),
    ("node: {name: a}", "cluster: {peers: [b.example.com:65021]}", "x.yaml:1: cluster.peers[0]: 'b.example.com:65021' is not an IP address and a port like 192.0.2.10:65021"),
    ("node: {name: a}", "cluster: {peers: [127.0.0.2]}", "x.yaml:1: cluster.peers[0]: '127.0.0.2' is not an IP address and a port like 192.0.2.10:65021"),
    ("node: {name: a}", "cluster: {multicast_group: 10.0.0.1}", "x.yaml:1: cluster.multicast_group: '10.0.0.1' is not a multicast address, 224.0.0.0 to 239.255.255.255"),
    ("node: {name: a}", "cluster: {enable: true, mode: multicast, listen: '[::1]:65021', secret: 0123456789abcdef}", "x.yaml:1: cluster: listen is [::1]:65021, but multicast is for IPv4; give the address of an interface"),
    ("node: {name: a}", "cluster: {secret: 0123456789abcdef, previous_secret: 0123456789abcdef}", "x.yaml:1: cluster: previous_secret is the same as secret; leave it out"),
    ("node: {name: a}", "cluster: {bus: 'amqps://x', bus_ca: no.pem}", "x.yaml:1: cluster.bus_ca: no.pem cannot be read: No such file or directory"),
    ("node: {name: a}", "cluster: {bus: 'amqps://x', bus_ca: x.yaml}", "x.yaml:1: cluster.bus_ca: x.yaml has no certificate in PEM form (-----BEGIN CERTIFICATE-----)"),
    ("node: {name: a}", "cluster: {bus: 'amqp://x', bus_ca: x.yaml}", "x.yaml:1: cluster: bus_ca is for a broker that is reached by TLS; give bus as amqps://HOST, or leave it out"),
    ("node: {name: a}", "cluster: {bus: 'http://u:hidden@x'}", "x.yaml:1: cluster.bus: must be like amqp://127.0.0.1:5672 or amqps://user:password@host"),
    ("node: {name: a}", "cluster: {ttl: 256}", "x.yaml:1: cluster.ttl: 256 is not in 0..255"),
    ("node: {name: a}", "cluster: {payload: mp3}", "x.yaml:1: cluster.payload: 'mp3' is not one of pcm, opus"),
    ("node: {name: a}", "cluster: {router: {enable: true}}", "x.yaml:1: cluster: router.enable is true, but there is no other node; set enable, secret and peers, too"),
    ("node: {name: a}", "cluster: {router: {sip: '192.0.2.20:5060'}}", "x.yaml:1: cluster.router.sip: '192.0.2.20:5060' is not a node's SIP URI, without a number, like sip:192.0.2.11:5060"),
    ("node: {name: a}", "cluster: {router: {sip: 'sip:3000@192.0.2.20'}}", "x.yaml:1: cluster.router.sip: 'sip:3000@192.0.2.20' is not a node's SIP URI, without a number, like sip:192.0.2.11:5060"),
    ("node: {name: a}", f"cluster: {{router: {{sip: 'sip:{'x' * 100}'}}}}", f"x.yaml:1: cluster.router.sip: 'sip:{'x' * 100}' must be of 100 ASCII characters at most, for other nodes to be told"),
    ("node: {name: a}", f"cluster: {{router: {{region: {'x' * 101}}}}}", "x.yaml:1: cluster.router: region has to be printable and of 100 octets at most"),
    ("node: {name: a}", "cluster: {router: {takes: some}}", "x.yaml:1: cluster.router.takes: 'some' is not one of all, speakers, listeners"),
    ("node: {name: a}", "cluster: {router: {forward: [192.0.2.1/24]}}", "x.yaml:1: cluster.router.forward[0]: '192.0.2.1/24' is an address within a network; the network is 192.0.2.0/24"),
    ("node: {name: a}", "cluster: {router: {forward: [carrier]}}", "x.yaml:1: cluster.router.forward has 'carrier', which is no network like 10.0.0.0/8, no address, and no trunk of sip.trunks"),
    ("node: {name: a}", "cluster: {enable: true, listen: 192.0.2.20:65021, secret: 0123456789abcdef, peers: [192.0.2.21:65021], router: {enable: true}}", "x.yaml:1: cluster.router.sip is missing, and sip.listen has no address that other machines reach; give it, like sip:192.0.2.20:5060"),
    ("node: {name: a}", "x: 1", "x.yaml:1: x: unknown key; there is cluster, control, controls, dialplan, dtmf, history, invite, log, node, profiles, recording, rtp, sip, sounds, webhook"),
    ("node: {name: a}", "sounds: {path: none}", "x.yaml:1: sounds.path: there is no folder none"),
    ("node: {name: a}", "dtmf: {folders: [none]}", "x.yaml:1: dtmf.folders[0]: none: no such folder of keypad commands"),
    ("node: {name: a}", "dtmf: {api: [loc]}", "x.yaml:1: dtmf.api[0]: no command 'loc'; did you mean lock or unlock?"),
    ("node: {name: a}", "a: [", "x.yaml:3: not YAML: expected ',' or ']', but got ':'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), REFUSED, ids=[line for *_, line in REFUSED])
def test_a_fault_is_refused_in_one_line(old: str, new: str, line: str, tmp_path: Path) -> None:
    from xconf.app.paths import SOUNDS

    assert old in GOOD
    assert faults(tmp_path, GOOD.replace(old, new, 1)) == [line.replace("{sounds}", str(SOUNDS))]


@pytest.mark.parametrize(
    ("tunnel", "listen", "uri"),
    [
        ("192.0.2.20", "udp://0.0.0.0:5060, udp://127.0.0.1:5061, tcp://192.0.2.20:5062", "sip:192.0.2.20:5062;transport=tcp"),
        ("127.0.0.1", "udp://0.0.0.0:5060, udp://127.0.0.1:5061, udp://192.0.2.20:5062", "sip:127.0.0.1:5061"),
        ("'[2001:db8::1]", "udp://[::]:5060, udp://[2001:db8::1]:5060", "sip:[2001:db8::1]:5060"),
    ],
)  # fmt: skip
def test_other_nodes_send_callers_to_the_first_address_that_those_reach(
    tunnel: str, listen: str, uri: str, tmp_path: Path
) -> None:
    peer, quote = ("[2001:db8::2]", "'") if "[" in tunnel else ("192.0.2.21" if "192" in tunnel else "127.0.0.2", "")
    cluster = (
        f"cluster: {{enable: true, secret: 0123456789abcdef, listen: {tunnel}:65021{quote}, "
        f"peers: ['{peer}:65021'], router: {{enable: true}}}}"
    )
    listens = ", ".join(f"'{one}'" for one in listen.split(", "))
    text = GOOD.replace("node: {name: a}", cluster).replace("[udp://127.0.0.1:5060]", f"[{listens}]")
    (tmp_path / "x.yaml").write_text(text)
    settings = config.load(tmp_path / "x.yaml").settings
    assert settings.cluster.own_uri(settings.sip.listen) == uri


def test_all_faults_are_shown_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("300}", "5000}").replace("127.0.0.0/8", "x").replace("hangup", "hang")
    assert [line.split(": ")[1] for line in faults(tmp_path, text)] == [
        "sip.allow[0]",
        "profiles.default.vad.level",
        "controls.default.#",
    ]


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("9876x\n")
    text = GOOD.replace("'456'", "!file pin").replace("{name: a}", "{name: !file pin}")
    assert "9876" not in "".join(faults(tmp_path, text))


def test_a_socket_path_too_long_for_the_kernel_is_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, GOOD.replace("xconf.sock", "x" * 120))
    assert line.startswith("x.yaml:6: control.listen: ")
    assert line.endswith("a socket's path at most 107; name a shorter one")


def test_a_keypad_command_that_does_not_load_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine.py").write_text("x = 1\ny = z\n")
    text = GOOD.replace("node: {name: a}", "dtmf: {folders: [more]}")
    assert faults(tmp_path, text) == [
        "x.yaml:1: dtmf.folders[0]: more/mine.py:2: NameError: name 'z' is not defined",
    ]


def test_what_is_not_among_those_that_keys_may_run_is_refused_with_its_place(tmp_path: Path) -> None:
    text = GOOD.replace("node: {name: a}", "dtmf: {api: [lock]}")
    assert faults(tmp_path, text.replace("hangup", "'api:{conference} lock'")) == []
    (fault,) = faults(tmp_path, text.replace("hangup", "'api:{conference} term'"))
    assert fault.endswith("controls.default.#: api: 'term' is not among dtmf.api")


def test_a_keypad_command_of_ones_own_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "mine.py").write_text(
        "from xconf.conference.commands import command\n\n\n"
        "@command('wave')\ndef wave(member):\n    '''Wave to all.'''\n"
    )
    text = GOOD.replace("node: {name: a}", "dtmf: {folders: [more]}").replace("hangup", "wave")
    assert faults(tmp_path, text) == []


def test_paths_are_relative_to_the_file_not_to_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    monkeypatch.chdir("/")
    assert config.load(tmp_path / "x.yaml").socket == tmp_path / "xconf.sock"
    assert config.socket_path(tmp_path / "x.yaml") == tmp_path / "xconf.sock"


def test_the_socket_is_found_in_a_file_with_faults_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("300}", "5000}").replace("'456'", "!env XCONF_NO"))
    assert config.socket_path(tmp_path / "x.yaml") == tmp_path / "xconf.sock"


def test_the_first_rule_that_takes_the_whole_number_counts(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("profiles:", "  - {number: '.*', conference: lobby}\nprofiles:"))
    rules = config.load(tmp_path / "x.yaml").settings
    assert [rules.route(number)[1] for number in ("3000", "30001", "x")] == ["3000", "lobby", "lobby"]  # type: ignore[index]


def test_named_brackets_and_letters_of_either_case(tmp_path: Path) -> None:
    rule = r"  - {number: '(?i)team-(?P<who>\w+)', conference: 'x-\g<who>'}"
    (tmp_path / "x.yaml").write_text(GOOD.replace("profiles:", rule + "\nprofiles:"))
    found = config.load(tmp_path / "x.yaml").settings.route("TEAM-red")
    assert found is not None
    assert found[1] == "x-red"


def test_a_number_that_no_one_dials_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("profiles:", "  - {number: '(1|1)*2', conference: c}\nprofiles:"))
    assert config.load(tmp_path / "x.yaml").settings.route("1" * 10_000) is None


def test_who_may_call_without_a_password(tmp_path: Path) -> None:
    text = GOOD.replace(
        "[127.0.0.0/8]", "['2001:db8::/32']\n  trunks: {carrier: {address: 192.0.2.10:5070, allow: [198.51.100.0/24]}}"
    )
    (tmp_path / "x.yaml").write_text(text)
    settings = config.load(tmp_path / "x.yaml").settings
    allowed = {host: settings.sip.allows(host) for host in ("192.0.2.10", "127.0.0.1", "2001:db8::5")}
    assert allowed == {"192.0.2.10": False, "127.0.0.1": False, "2001:db8::5": True}
    (trunk,) = trunks_of(settings)
    assert trunk.servers == (("192.0.2.10", 5070),)
    assert [str(network) for network in trunk.networks] == ["192.0.2.10/32", "198.51.100.0/24"]


def test_it_says_what_to_dial() -> None:
    assert list(how_to_dial(config.load(CONFIG).settings)) == [
        "sip:3000@127.0.0.1  conference 3000, profile default, +speaker",
        "sip:4000@127.0.0.1  conference 3000, profile default",
        "sip:5000@127.0.0.1  conference 5000, profile pin",
    ]


def test_check_config_says_ok(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", str(CONFIG)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{CONFIG}: ok\n")
    assert "dial     sip:3000@127.0.0.1" in out
    assert err == ""


def test_check_config_prints_the_faults_and_exits_non_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("300}", "5000}"))
    assert cli.main(["check-config", str(tmp_path / "x.yaml")]) == 1
    assert capsys.readouterr() == (
        "",
        f"{tmp_path}/x.yaml:11: profiles.default.vad.level: 5000 is not in 0..1800\n",
    )


WORDS = st.sampled_from(
    "sip rtp dialplan profiles controls control dtmf sounds log node listen allow trunks users limits calls address ports "
    "number conference profile flags default pin inherit vad level moh pin_auth user_pin sample_rate folders path name # 9 "
    "hangup +speaker (30) \\1 127.0.0.1 16384-16639 udp://127.0.0.1:5060 unix:x [ ( \x00 ☎".split()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(WORDS, VALUES, max_size=8))
def test_whatever_is_in_the_file_it_is_used_or_refused(tmp_path: Path, data: dict[str, object]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(data | {"sounds": {"path": str(tmp_path)}}, allow_unicode=True), encoding="utf-8")
    with suppress(ConfigError):
        config.load(file)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(alphabet="{}[]:,-!&*'\"#|> \na1", max_size=40).map(str.encode))
def test_whatever_the_file_is_it_is_refused_with_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="x.yaml"):
        config.load(tmp_path / "x.yaml")

"""kamailio as a carrier: registrar and proxy over UDP, TCP and TLS, with accounts, and numbers that lead to one of them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from bed_phones import end_process, need, own_address, wait_for

from xconf.sip.tls.files import Files

MODULES = next(Path("/usr/lib").glob("*/kamailio/modules"), Path())
PROGRAM = shutil.which("kamailio", path=f"{os.environ['PATH']}:/usr/sbin") or "kamailio"
DOMAIN = "carrier.example"
PASSWORD = "secret"

CONFIG = """\
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=1
disable_tcp=no
auto_aliases=no
alias="{domain}"
{tls}
listen=udp:{address}:5060
listen=tcp:{address}:5060
{listen_tls}
{listen_six}
mpath="{modules}/"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "auth.so"
{load_tls}
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", {expires})
modparam("registrar", "min_expires", {least})
modparam("auth", "algorithm", "{algorithm}")

request_route {{
    xlog("L_INFO", "HEARD $rm $proto $si:$sp $ru to $tU auth=$au\\n");
    if (has_totag()) {{
        if (loose_route()) {{ t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) {{ t_relay(); }} exit; }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "Here"); exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{domain}", "{password}", "0")) {{ www_challenge("{domain}", "0"); exit; }}
        if (!save("location")) {{ sl_reply_error(); }}
        exit;
    }}
    if (is_method("INVITE")) {{
        record_route();
        if ($rU =~ "^\\+4930") {{
            append_hf("P-Asserted-Identity: \\"Ann Asserted\\" <sip:+49301111@{domain}>\\r\\n");
            $rU = "{account}";
        }}
        $rd = "{domain}";
        if (!lookup("location")) {{ sl_send_reply("404", "Not registered"); exit; }}
        t_relay();
        exit;
    }}
    sl_send_reply("405", "Method Not Allowed");
}}
"""

TLS = """\
enable_tls=yes
"""
LOAD_TLS = """\
loadmodule "tls.so"
modparam("tls", "config", "{file}")
"""
TLS_CONFIG = """\
[server:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
ca_list = {ca}
verify_certificate = {verify}
require_certificate = {verify}
[client:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
ca_list = {ca}
verify_certificate = yes
require_certificate = yes
"""


def answers_options(address: str, host: str) -> bool:
    """Whether a SIP server is there: it says 200."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        probe.settimeout(0.3)
        name, port = probe.getsockname()
        try:
            probe.sendto(
                f"OPTIONS sip:probe@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {name}:{port};branch=z9hG4bK{port};rport\r\n"
                f"From: <sip:probe@{name}>;tag=1\r\nTo: <sip:{name}>\r\nCall-ID: {port}@{name}\r\n"
                "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode(),
                (address, 5060),
            )
            return probe.recv(65536).startswith(b"SIP/2.0 200")
        except OSError:
            return False


class Kamailio:
    """`start` and `stop` as often as wanted. Whoever registers gives PASSWORD; numbers +4930… lead to `account`.

    files: its certificate, for TLS at port 5061; verify: it wants one of its clients, too; six: a port of ::1, for UDP.
    """

    def __init__(
        self,
        folder: Path,
        *,
        account: str = "conf",
        files: Files | None = None,
        verify: bool = False,
        expires: int = 600,
        least: int = 10,
        algorithm: str = "MD5",
        address: str | None = None,
        six: int | None = None,
    ) -> None:
        need(PROGRAM, "kamailio")
        if files is not None:
            need(str(PROGRAM if (MODULES / "tls.so").exists() else MODULES / "tls.so"), "kamailio-tls-modules")
        self.folder = folder
        folder.mkdir(parents=True)
        self.address = address or own_address()
        tls = {"tls": "", "listen_tls": "", "load_tls": ""}
        if files is not None:
            names = {"certificate": files.certificate, "key": files.key, "ca": files.ca}
            (folder / "tls.cfg").write_text(TLS_CONFIG.format(**names, verify="yes" if verify else "no"))
            tls = {
                "tls": TLS,
                "listen_tls": f"listen=tls:{self.address}:5061",
                "load_tls": LOAD_TLS.format(file=folder / "tls.cfg"),
            }
        (folder / "kamailio.cfg").write_text(
            CONFIG.format(
                **tls,
                address=self.address,
                listen_six=f"listen=udp:[::1]:{six}" if six else "",
                modules=MODULES,
                domain=DOMAIN,
                password=PASSWORD,
                account=account,
                expires=expires,
                least=least,
                algorithm=algorithm,
            )
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        before = self.log().count("HEARD")
        with (self.folder / "log").open("ab") as log:
            command = [PROGRAM, "-f", str(self.folder / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "4"]
            command += ["-Y", str(self.folder), "-P", str(self.folder / "pid")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._await(before)

    def _await(self, before: int) -> None:
        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"kamailio ended at start:\n{self.log()[-3000:]}"
            return answers_options(self.address, DOMAIN)

        wait_for(answers, 15, "kamailio answers")

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def heard(self, method: str, transport: str = r"\w+") -> int:
        """How many such requests came in."""
        return len(re.findall(rf"HEARD {method} {transport} ", self.log()))

    def stop(self) -> None:
        if self.process is not None:
            end_process(self.process, 5)
            self.process = None

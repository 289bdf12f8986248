from twisted.application.service import ServiceMaker

xconf = ServiceMaker("xconf", "xconf.app.service", "A SIP/RTP conference server for telephones.", "xconf")

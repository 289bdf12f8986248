from twisted.application.service import ServiceMaker

xconf = ServiceMaker("xconf", "xconf.app.service", "A SIP/RTP conference server for telephones.", "xconf")
relay = ServiceMaker("xconf-relay", "xconf.app.relay", "Clones datagrams between xconf's nodes.", "xconf-relay")

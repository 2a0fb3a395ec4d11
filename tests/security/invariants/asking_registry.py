#!/usr/bin/env python3
"""A registry that asks for a password and has no image.

asking_registry.py USER:PASSWORD STEM writes its port to STEM.port, and for
each request with a password "right" or "wrong" to STEM.seen.
"""

import base64
import http.server
import sys

WANTED = "Basic " + base64.b64encode(sys.argv[1].encode()).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        given = self.headers.get("Authorization")
        if given is not None:
            with open(sys.argv[2] + ".seen", "a", encoding="utf-8") as file:
                file.write("right\n" if given == WANTED else "wrong\n")
        self.send_response(404 if given == WANTED else 401)
        if given != WANTED:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        # Whoever shows the answer shows this.
        body = f"you sent {given}".encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[2] + ".port", "w", encoding="utf-8") as port:
    port.write(f"{server.server_port}\n")
server.serve_forever()

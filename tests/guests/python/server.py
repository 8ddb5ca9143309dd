# An HTTP service: who answers, what was asked, and by whom.
import http.server, signal, sys, threading
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        length = int(self.headers.get('content-length') or 0)
        body = self.rfile.read(length)
        print(self.command, self.path, len(body), 'from', self.client_address[0], flush=True)
        text = ('the guest answers %s %s (%d bytes) to %s\n' % (self.command, self.path, len(body), self.client_address[0])).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(text))); self.end_headers(); self.wfile.write(text)
    do_POST = do_GET
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size, daemon_threads = 128, False
server = Server(('0.0.0.0', int(sys.argv[1])), Answer)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print('listening', flush=True)
server.serve_forever(0.05)
server.server_close()

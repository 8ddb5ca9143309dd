# What some stories need in the pod beside its own services: HTTP over TLS, with chunks; its certificate is in /data/tls.
import http.server, os, ssl, subprocess
os.makedirs('/data/tls', exist_ok=True); C, K = '/data/tls/cert.pem', '/data/tls/key.pem'
subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', K, '-out', C, '-days', '2', '-subj', '/CN=web.shop', '-addext', 'subjectAltName=DNS:web.shop'], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get('content-length') or 0))
        if self.headers.get('transfer-encoding') == 'chunked':
            while n := int(self.rfile.readline(), 16): body += self.rfile.read(n); self.rfile.readline()
            self.rfile.readline()
        what, _, n = self.path.lstrip('/').partition('/')
        if what == 'chunked':
            self.send_response(200); self.send_header('Transfer-Encoding', 'chunked'); self.end_headers()
            for k in range(int(n)): piece = b'piece %03d\n' % k; self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
            return self.wfile.write(b'0\r\n\r\n')
        text = bytes(k % 251 for k in range(int(n))) if what == 'bytes' else ('%s %s (%d bytes)\n' % (self.command, self.path, len(body))).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(text))); self.end_headers(); self.wfile.write(text)
    do_POST = do_PUT = do_GET
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def handle_error(self, *words): pass
server = Server(('10.77.0.2', 443), Answer); context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); context.load_cert_chain(C, K)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print('ready', flush=True); server.serve_forever()

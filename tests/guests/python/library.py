# Python's own library for networks, files and children, as programs use it.
import asyncio, concurrent.futures, hashlib, http.client, mmap, os, pathlib, shutil, socket, socketserver, ssl, subprocess, sys, tempfile, threading, urllib.request
def show(name, deed):
    try: print(name, '->', deed(), flush=True)
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'reason', None) or getattr(e, 'errno', e), flush=True)
C = '/data/tls/cert.pem'; context = ssl.create_default_context(cafile=C)
def kept():
    c = http.client.HTTPConnection('web.shop'); out = []
    for n in range(3): c.request('GET', '/%d' % n); r = c.getresponse(); out.append((r.status, r.read()[-20:]))
    s = c.sock.getpeername(); c.request('POST', '/body', b'x' * 70000); out.append(c.getresponse().read()); return out, s
show('kept alive', kept)
def secure(host='web.shop', ctx=context): c = http.client.HTTPSConnection(host, context=ctx); c.request('GET', '/chunked/20'); r = c.getresponse(); return r.status, len(r.read()), c.sock.version(), c.sock.getpeercert()['subject']
show('https', secure)
show('wrong name', lambda: secure('db.shop'))
show('not trusted', lambda: secure(ctx=ssl.create_default_context()))
def chunks(): c = http.client.HTTPSConnection('web.shop', context=context); c.request('POST', '/up', (b'z' * 1000 for _ in range(100)), {'Transfer-Encoding': 'chunked'}, encode_chunked=True); return c.getresponse().read()
show('chunks to there', chunks)
show('urllib', lambda: hashlib.md5(urllib.request.urlopen('https://web.shop/bytes/3000000', context=context).read()).hexdigest())
def unready():
    s = socket.create_connection(('web.shop', 443)); s.setblocking(False); t = context.wrap_socket(s, server_hostname='web.shop', do_handshake_on_connect=False); import select
    while True:
        try: t.do_handshake(); break
        except ssl.SSLWantReadError: select.select([t], [], [], 5)
        except ssl.SSLWantWriteError: select.select([], [t], [], 5)
    t.setblocking(True); t.sendall(b'GET /x HTTP/1.1\r\nConnection: close\r\n\r\n'); return t.recv(9), t.unwrap() and 1
show('handshake without waiting', unready)
show('refused', lambda: http.client.HTTPConnection('10.77.0.2', 81).request('GET', '/'))
show('time-out', lambda: http.client.HTTPConnection('10.77.0.2', 7005, timeout=.3).request('GET', '/'))
async def secure_streams(): r, w = await asyncio.open_connection('web.shop', 443, ssl=context); w.write(b'GET /bytes/200000 HTTP/1.1\r\nConnection: close\r\n\r\n'); d = await r.read(); w.close(); return len(d.partition(b'\r\n\r\n')[2]), w.get_extra_info('peername')
show('asyncio with ssl', lambda: asyncio.run(secure_streams()))
async def own():
    async def answer(r, w): w.write((await r.readline()).upper()); await w.drain(); w.close()
    s = await asyncio.start_server(answer, '127.0.0.1', 0); port = s.sockets[0].getsockname()[1]
    async def ask(n): r, w = await asyncio.open_connection('127.0.0.1', port); w.write(b'w%d\n' % n); d = await r.read(); w.close(); return d
    got = await asyncio.gather(*(ask(n) for n in range(20))); s.close(); return b''.join(got)
show('asyncio server', lambda: asyncio.run(own()))
async def child(): p = await asyncio.create_subprocess_exec('tr', 'a-z', 'A-Z', stdin=-1, stdout=-1); out, _ = await p.communicate(open('/app/config.toml', 'rb').read()); return out, p.returncode
show('asyncio child', lambda: asyncio.run(child()))
async def datagrams():
    loop, got = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    class P(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr): got.done() or got.set_result((data, addr))
        def error_received(self, e): got.done() or got.set_exception(e)
    t, _ = await loop.create_datagram_endpoint(P, remote_addr=('10.77.0.2', 7)); t.sendto(b'by asyncio'); out = await asyncio.wait_for(got, 5); t.close(); return out
show('asyncio datagrams', lambda: asyncio.run(datagrams()))
async def names(): loop = asyncio.get_running_loop(); return await asyncio.gather(*(loop.getaddrinfo(n, 80, family=socket.AF_INET, type=socket.SOCK_STREAM) for n in ('web.shop', 'db', 'only-in-hosts.pod')))
show('asyncio names', lambda: asyncio.run(names()))
class Upper(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(self.rfile.readline().upper())
class Datagram(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(self.request[0][::-1], self.client_address)
def serve(kind, handler, address, ask):
    with kind(address, handler) as s:
        t = threading.Thread(target=s.serve_forever, args=(.02,)); t.start()
        try: return [ask(s.server_address) for _ in range(5)]
        finally: s.shutdown(); t.join()
def stream(a): s = socket.socket(socket.AF_UNIX if isinstance(a, str) else socket.AF_INET); s.settimeout(5); s.connect(a); s.sendall(b'line\n'); return s.makefile().read()
def datagram(a): s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5); s.sendto(b'abc', a); return s.recv(9)
show('threads serve', lambda: serve(socketserver.ThreadingTCPServer, Upper, ('127.0.0.1', 0), stream))
show('children serve', lambda: serve(socketserver.ForkingTCPServer, Upper, ('127.0.0.1', 0), stream))
show('datagrams are served', lambda: serve(socketserver.ThreadingUDPServer, Datagram, ('127.0.0.1', 0), datagram))
show('unix', lambda: serve(socketserver.ThreadingUnixStreamServer, Upper, '/tmp/parity-%d' % os.getpid(), stream))
show('pipes', lambda: (lambda p: (hashlib.md5(p.communicate(b'q' * 1000000)[0]).hexdigest(), p.returncode))(subprocess.Popen(['cat'], stdin=-1, stdout=-1)))
show('a pipeline', lambda: subprocess.run('cat /data/orders.txt | sort -r | head -n 2; exit 4', shell=True, capture_output=True))
def slow():
    try: subprocess.run(['sleep', '9'], timeout=.1)
    except subprocess.TimeoutExpired as e: return e.cmd
show('a time-out', slow)
show('a folder there', lambda: subprocess.check_output(['cat', 'still/yet/leaf'], cwd='/data/deep/er'))
show('output to there', lambda: (lambda p: (subprocess.call(['echo', 'by a child'], stdout=open(p, 'w')), open(p).read(), os.unlink(p))[1])('/data/out/py-child'))
P = pathlib.Path
show('paths', lambda: (P('/data/link').resolve(), P('/data/dangling').exists(), P('/data/odd').is_dir(), sorted(p.name for p in P('/data').glob('*-dir')), P('/data/orders.txt').owner(), P('/data/hard-link').samefile('/data/orders.txt'), len(list(P('/data/many').rglob('*1*')))))
def tree():
    b = P('/data/out/py-tree'); (b / 'x/y').mkdir(parents=True); (b / 'x/f').write_text('one'); (b / 'x/f').rename(b / 'x/y/g'); (b / 'l').symlink_to('x/y/g'); (b / 'h').hardlink_to(b / 'l'); (b / 'x/y/g').chmod(0o600); (b / 't').touch()
    out = (b / 'l').read_text(), (b / 'l').readlink(), sorted(str(p.relative_to(b)) for p in b.rglob('*')), oct((b / 'l').stat().st_mode), (b / 't').stat().st_size; shutil.rmtree(b); return out, b.exists()
show('a tree', tree)
def temporary():
    with tempfile.TemporaryDirectory(dir='/data/out') as d:
        with tempfile.NamedTemporaryFile(dir=d) as f: f.write(b'named'); f.flush(); a = open(f.name, 'rb').read()
        with tempfile.TemporaryFile(dir=d) as f: f.write(b'no name'); f.seek(3); b = f.read(), os.fstat(f.fileno()).st_nlink
        return a, b, os.listdir(d)
show('temporary', temporary)
def mapped():
    with open('/data/big', 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m: a = len(m), hashlib.md5(m).hexdigest(), m[-4:].hex(), m.find(m[30000000:30000016])
    with open('/data/out/py-map', 'w+b') as f:
        f.truncate(8192)
        with mmap.mmap(f.fileno(), 8192, flags=mmap.MAP_PRIVATE) as m: m[:5] = b'hello'; b = m[:5]
        f.seek(0); c = f.read(5)
    os.unlink('/data/out/py-map'); return a, b, c
show('mmap', mapped)
def shared():
    with open('/data/out/py-shared', 'w+b') as f:
        f.write(b'.' * 8192); f.flush(); m = mmap.mmap(f.fileno(), 0); m[4096:4100] = b'seen'; m.flush(); pid = os.fork()
        if not pid: m[0:5] = b'child'; m.flush(); os._exit(0)
        os.wait(); f.seek(0); a = f.read(5); b = open('/data/out/py-shared', 'rb').read()[4094:4102]; m.close()
    os.unlink('/data/out/py-shared'); return a, b
show('mmap, shared', shared)
with concurrent.futures.ThreadPoolExecutor(8) as pool: show('at once', lambda: sum(pool.map(lambda n: len(urllib.request.urlopen('http://web.shop/bytes/%d' % n).read()), range(100))))
with concurrent.futures.ProcessPoolExecutor(2) as pool: show('by children', lambda: list(pool.map(os.path.getsize, ['/data/orders.txt', '/data/big', '/data/empty'])))

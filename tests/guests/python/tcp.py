# TCP, in the ways of Python: blocking, not blocking, and everything that fails.
import asyncio, errno, os, select, socket, struct, threading, urllib.request
H = '10.77.0.2'
def show(name, deed):
    try: print(name, '->', deed())
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'errno', None) or e)
def all_of(s):
    out = b''
    while True:
        b = s.recv(65536)
        if not b: return out
        out += b
def connect(port, host=H, timeout=None): return socket.create_connection((host, port), timeout)
def peer():
    s = connect(7001); t = all_of(s); here = s.getsockname(); return t.split(b',')[0], s.getpeername(), here[0], t.split(b' ')[2].strip(b',').decode() == here[0]
show('peer and own address', peer)
def echo(family, address):
    s = socket.socket(family); s.connect(address); far = s.getpeername()[:2]; s.sendall(b'x' * 1000); got = b''
    while len(got) < 1000: got += s.recv(4096)
    s.shutdown(socket.SHUT_WR); return len(got), s.recv(1), far
show('echo 4', lambda: echo(socket.AF_INET, (H, 7)))
show('echo 6', lambda: echo(socket.AF_INET6, ('fd77::2', 7)))
show('echo mapped', lambda: echo(socket.AF_INET6, ('::ffff:10.77.0.2', 7)))
show('localhost', lambda: echo(socket.AF_INET, ('127.0.0.1', 7)))
show('refused', lambda: connect(81))
show('unreachable', lambda: connect(80, '203.0.113.1'))
show('timeout', lambda: connect(7005, timeout=0.3))
show('no name', lambda: connect(80, 'nowhere.shop'))
def half_close():
    s = connect(7003); a = s.recv(100); s.sendall(b'abc'); s.shutdown(socket.SHUT_WR); return a, all_of(s)
show('half close', half_close)
def reset():
    s = connect(7002); s.sendall(b'xyz'); return s.recv(10)
show('reset', reset)
def closed():
    s = connect(7004); return s.recv(10)
show('closed at once', closed)
def non_blocking(address, poller):
    s = socket.socket(); s.setblocking(False); code = s.connect_ex(address)
    poller(s); late = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR); return errno.errorcode.get(code, code), errno.errorcode.get(late, late), s
def by_select(s): select.select([], [s], [], 5)
def by_poll(s): p = select.poll(); p.register(s, select.POLLOUT); p.poll(5000)
def by_epoll(s): e = select.epoll(); e.register(s, select.EPOLLOUT | select.EPOLLIN); e.poll(5)
for poller in (by_select, by_poll, by_epoll):
    show(poller.__name__, lambda: non_blocking((H, 7), poller)[:2])
    show(poller.__name__ + ' refused', lambda: non_blocking((H, 81), poller)[:2])
def early_epoll():
    s = socket.socket(); s.setblocking(False); e = select.epoll(); e.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    try: s.connect((H, 7))
    except BlockingIOError: pass
    seen = 0
    while not seen & select.EPOLLOUT or s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR): seen = e.poll(5)[0][1]
    s.send(b'hello')
    while True:
        for _, ev in e.poll(5):
            if ev & select.EPOLLIN: return s.recv(100)
show('epoll before connect', early_epoll)
def twice():
    s = socket.socket(); s.setblocking(False); a = s.connect_ex((H, 7)); by_poll(s); b = s.connect_ex((H, 7)); return errno.errorcode[a], errno.errorcode.get(b, b)
show('connect twice', twice)
def connected_again():
    s = connect(7); return errno.errorcode[s.connect_ex((H, 7))]
show('connect when connected', connected_again)
def options():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', 0, 200000)); s.connect((H, 7)); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    a = s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    try: s.recv(1)
    except OSError as e: return a, errno.errorcode[e.errno]
show('options', options)
def peek():
    s = connect(7); s.sendall(b'hello'); a = s.recv(5, socket.MSG_PEEK); return a, s.recv(3, socket.MSG_WAITALL), s.recv_into(bytearray(10))
show('peek', peek)
def vectors():
    s = connect(7); s.sendmsg([b'ab', b'cd']); s.settimeout(5); b = [bytearray(1), bytearray(3)]; n = s.recvmsg_into(b)[0]; return n, b[0] + b[1] if n == 4 else 'short'
show('vectors', vectors)
def dup():
    s = connect(7); t = s.dup(); s.close(); t.sendall(b'dup'); return t.recv(9), t.getpeername()
show('dup', dup)
def forked():
    s = connect(7); pid = os.fork()
    if not pid: s.sendall(b'from a child'); os._exit(0)
    os.waitpid(pid, 0); return s.recv(100)
show('fork', forked)
def many():
    out = []
    def one(n): s = connect(7); s.sendall(b'%d' % n); out.append(int(s.recv(10)))
    ts = [threading.Thread(target=one, args=(n,)) for n in range(50)]; [t.start() for t in ts]; [t.join() for t in ts]; return sum(out)
show('fifty threads', many)
async def streams():
    r, w = await asyncio.open_connection('web.shop', 7003); a = await r.readline(); w.write(b'12345'); w.write_eof(); b = await r.read(); w.close(); return a, b, w.get_extra_info('peername')[1]
show('asyncio', lambda: asyncio.run(streams()))
async def gather():
    async def one(n): r, w = await asyncio.open_connection(H, 7); w.write(b'%03d' % n); d = await r.readexactly(3); w.close(); return int(d)
    return sum(await asyncio.gather(*(one(n) for n in range(40))))
show('asyncio, forty', lambda: asyncio.run(gather()))
async def refused(): await asyncio.open_connection(H, 81)
show('asyncio refused', lambda: asyncio.run(refused()))
async def impatient(): await asyncio.wait_for(asyncio.open_connection(H, 7005), 0.3)
show('asyncio timeout', lambda: asyncio.run(impatient()))
show('urllib', lambda: urllib.request.urlopen('http://web.shop/py').read())
show('urllib post', lambda: urllib.request.urlopen('http://web.shop/py', data=b'z' * 300000).read())
def unix():
    s = socket.socket(socket.AF_UNIX); s.connect('/run/shop.sock'); a = s.recv(100); s.sendall(b'u'); return a, s.recv(1)
show('unix', unix)
show('unix none', lambda: socket.socket(socket.AF_UNIX).connect('/run/none.sock'))
show('bound first', lambda: socket.create_connection((H, 7001), source_address=('0.0.0.0', 0)).recv(11))
show('not connected', lambda: socket.socket().getpeername())
show('send unconnected', lambda: socket.socket().send(b'x'))
def local_server():
    l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(); out = []
    def client(): c = socket.create_connection(l.getsockname()); out.append(c.recv(10)); c.close()
    t = threading.Thread(target=client); t.start(); s, a = l.accept(); s.sendall(b'own'); s.close(); t.join(); return out, a[0]
show('own listener', local_server)
def pair(): a, b = socket.socketpair(); a.sendall(b'pair'); return b.recv(9)
show('socketpair', pair)

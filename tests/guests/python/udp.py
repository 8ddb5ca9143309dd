# UDP, connected and not.
import asyncio, select, socket
H = '10.77.0.2'
def show(name, deed):
    try: print(name, '->', deed())
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'errno', None) or e)
def udp(family=socket.AF_INET): s = socket.socket(family, socket.SOCK_DGRAM); s.settimeout(3); return s
def sendto(): s = udp(); s.sendto(b'hello', (H, 7)); return s.recvfrom(100)
show('sendto', sendto)
def connected(): s = udp(); s.connect((H, 7)); s.send(b'again'); return s.recv(100), s.getpeername(), s.getsockname()[0]
show('connected', connected)
def six(): s = udp(socket.AF_INET6); s.sendto(b'six', ('fd77::2', 7)); return s.recvfrom(100)[0], 
show('six', six)
def who(): s = udp(); s.sendto(b'?', (H, 7001)); return s.recv(100)
show('who', who)
def two(): s = udp(); s.sendto(b'1', (H, 7)); a = s.recvfrom(9); s.sendto(b'2', ('10.77.0.3', 7)); return a, s.recvfrom(9)
show('two peers', two)
def other_port(): s = udp(); s.sendto(b'elsewhere', (H, 7002)); d, a = s.recvfrom(100); return d, a[0], a[1] != 7002
show('answer from another port', other_port)
def other_connected(): s = udp(); s.settimeout(0.3); s.connect((H, 7002)); s.send(b'x'); return s.recv(9)
show('answer from another port, connected', other_connected)
def refused(): s = udp(); s.connect((H, 81)); s.send(b'x'); return s.recv(9)
show('refused', refused)
def silent(): s = udp(); s.settimeout(0.2); s.sendto(b'x', (H, 9)); return s.recvfrom(9)
show('silence', silent)
def large(): s = udp(); s.sendto(b'L' * 9000, (H, 7)); return len(s.recvfrom(65536)[0])
show('large', large)
def too_large(): return udp().sendto(b'L' * 70000, (H, 7))
show('too large', too_large)
def cut(): s = udp(); s.sendto(b'0123456789', (H, 7)); return s.recvfrom(4)[0]
show('cut', cut)
def empty(): s = udp(); s.sendto(b'', (H, 7)); return s.recvfrom(4)
show('empty', empty)
def poll():
    s = udp(); s.setblocking(False); s.sendto(b'p', (H, 7)); r = select.select([s], [], [], 3)[0]; return len(r), s.recvfrom(9)
show('not blocking', poll)
def would_block(): s = udp(); s.setblocking(False); s.sendto(b'p', (H, 9)); return s.recv(1)
show('would block', would_block)
def msg(): s = udp(); s.sendmsg([b'a', b'b'], [], 0, (H, 7)); d, _, _, a = s.recvmsg(10); return d, a
show('sendmsg', msg)
def resolver():
    q = bytes.fromhex('123401000001000000000000') + b'\x05redis\x04shop\x00\x00\x01\x00\x01'
    s = udp(); s.sendto(q, ('10.77.0.53', 53)); d, a = s.recvfrom(512); return d.hex(), a
show('a question by hand', resolver)
async def datagrams():
    loop = asyncio.get_running_loop(); got = loop.create_future()
    class P(asyncio.DatagramProtocol):
        def connection_made(self, t): t.sendto(b'async')
        def datagram_received(self, d, a): got.set_result((d, a))
    t, _ = await loop.create_datagram_endpoint(P, remote_addr=(H, 7)); r = await asyncio.wait_for(got, 3); t.close(); return r
show('asyncio', lambda: asyncio.run(datagrams()))
def own(): a = udp(); a.bind(('127.0.0.1', 0)); b = udp(); b.sendto(b'own', a.getsockname()); return a.recv(9)
show('own', own)

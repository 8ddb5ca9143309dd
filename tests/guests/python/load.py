# A client that never rests: one connection for each request, until it is told to stop.
import os, socket, sys, collections
port, stop, seen = int(sys.argv[1]), sys.argv[2], collections.Counter()
n = 0
while not os.path.exists(stop):
    n += 1
    try:
        s = socket.create_connection(('10.77.0.2', port), 5); s.settimeout(10)
        s.sendall(b'GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' % n)
        got = b''
        while b'answers' not in got:
            data = s.recv(4096)
            if not data: raise OSError('ended early: %r' % got[:60])
            got += data
        who = 'guest' if b'the guest' in got else 'shop' if b'the shop' in got else repr(got[:60])
        if b'/%d ' % n not in got: who = 'another answer'
        seen[who] += 1
    except OSError as e:
        seen['%s: %s' % (type(e).__name__, e)] += 1
for who in sorted(seen): print(who, seen[who])

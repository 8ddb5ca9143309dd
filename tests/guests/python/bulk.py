# Bytes, very many of them, each way: by partial writes, and read slowly.
import random, socket, sys, threading, time
size, slow = int(sys.argv[1]), sys.argv[2] == 'slow'
random.seed(7)
state, out = 0x9e3779b97f4a7c15, bytearray()
while len(out) < 1 << 20:
    state ^= state << 13 & (1 << 64) - 1; state ^= state >> 7; state ^= state << 17 & (1 << 64) - 1
    out += state.to_bytes(8, 'little')
block = bytes(out[:1 << 20])
def up():
    s = socket.create_connection(('10.77.0.2', 9)); sent = 0
    if slow: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    while sent < size:
        at = sent % (1 << 20)
        piece = block[at:at + (random.randrange(1, 200000) if slow else 1 << 20)][:size - sent]
        sent += s.send(piece)
    s.shutdown(socket.SHUT_WR); answer = b''
    while data := s.recv(100): answer += data
    return answer.decode().strip()
def down():
    s = socket.socket()
    if slow: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    s.connect(('10.77.0.2', 19)); s.sendall(b'%d\n' % size); got = 0; naps = 40
    while True:
        data = s.recv(random.randrange(1, 300000) if slow else 1 << 20)
        if not data: return got
        at, left = got % (1 << 20), data
        while left:
            n = min(len(left), (1 << 20) - at)
            if left[:n] != block[at:at + n]: return 'wrong after %d' % got
            left, at = left[n:], 0
        got += len(data)
        if slow and naps and random.random() < 0.02: naps -= 1; time.sleep(0.01)
out = {}
threads = [threading.Thread(target=lambda n, f: out.__setitem__(n, f()), args=a) for a in (('up', up), ('down', down))]
[t.start() for t in threads]; [t.join() for t in threads]
print('up', out['up'], 'down', out['down'])

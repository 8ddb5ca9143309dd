# Queries for names, asked of the server there by each of the ways of a resolver.
import errno, os, select, signal, socket, struct, subprocess
signal.alarm(60)
server = next(line.split()[1] for line in open('/etc/resolv.conf') if line.startswith('nameserver')), 53
names = 'web.shop', 'only.here', 'none.here', 'big.shop', 'large.here'
def query(name):
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.'))
    return struct.pack('>6H', names.index(name), 0x100, 1, 0, 0, 0) + labels + b'\0\0\1\0\1'
def told(answer):
    if answer[2] & 2: return 'cut'
    return 'not found' if answer[3] & 15 else socket.inet_ntoa(answer[-4:])
def send(stream, message): stream.sendall(struct.pack('>H', len(message)) + message)
def read(stream):
    length, = struct.unpack('>H', stream.recv(2, socket.MSG_WAITALL))
    return stream.recv(length, socket.MSG_WAITALL)
def connected(name):
    with socket.socket(type=socket.SOCK_DGRAM) as it:
        it.connect(server)
        assert it.getpeername() == server, it.getpeername()
        it.send(query(name))
        return told(it.recv(512))
def sent(name):
    with socket.socket(type=socket.SOCK_DGRAM) as it:
        it.sendto(query(name), server)
        answer, source = it.recvfrom(512)
        assert source == server, source
        return told(answer)
def stream(name):
    with socket.create_connection(server) as it:
        assert it.getpeername() == server, it.getpeername()
        send(it, query(name))
        return told(read(it))
def finish(it):
    assert select.select([], [it], [], 30)[1] and it.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    it.setblocking(True)
def patient(name):
    with socket.socket() as it:
        it.setblocking(False)
        assert it.connect_ex(server) == errno.EINPROGRESS
        finish(it)
        send(it, query(name))
        return told(read(it))
def opened(name):
    with socket.socket() as it:
        it.setblocking(False)
        message = query(name)
        message = struct.pack('>H', len(message)) + message
        try: n_sent = it.sendto(message, socket.MSG_FASTOPEN, server)
        except BlockingIOError: n_sent = 0
        finish(it)
        it.sendall(message[n_sent:])
        return told(read(it))
def say(way, answers): print(way + ':', *answers, flush=True)
say('connected', map(connected, names))
say('sent', map(sent, names))
with socket.socket(type=socket.SOCK_DGRAM) as it:
    it.bind(('', 0))
    for name in names: it.sendto(query(name), server)
    answers = {}
    for _ in names:
        answer, source = it.recvfrom(512)
        assert source == server, source
        answers[answer[1]] = told(answer)
say('many sent', (answers[number] for number in sorted(answers)))
say('stream', map(stream, names))
say('patient stream', map(patient, names))
with socket.create_connection(server) as it:
    for name in names: send(it, query(name))
    answers = [read(it) for _ in names]
say('at once', map(told, sorted(answers, key=lambda answer: answer[1])))
say('opened by a send', map(opened, names))
def dig(*words): return subprocess.run(['dig', '+short', '+tries=1', *words], capture_output=True, text=True).stdout.strip()
say('dig', [dig('+tcp', 'web.shop'), dig('+tcp', 'only.here')])
assert dig('only.here') == dig('+tcp', 'only.here')

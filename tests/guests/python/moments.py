# Reads and writes files, has connections open, serves, and starts children, all at once, until it is told to stop
# (SIGUSR1). Then it tells every outcome that it has seen, and ends with 7. A call that does not come back is told as
# well: nothing here waits for ever but the calls themselves.
import errno, http.server, os, select, signal, socket, subprocess, sys, threading, time

PORT, NAME = int(sys.argv[1]), sys.argv[2]
PATIENCE = 20
stop, seen, guard = threading.Event(), {}, threading.Lock()


def told(word):
    with guard:
        seen[word] = seen.get(word, 0) + 1


def attempt(name, deed):
    try:
        deed()
        told(name + ' well')
    except EOFError:
        told(f'{name} WRONG: an end that nobody has sent')
    except socket.gaierror as error:
        told(f'{name} {error.args[1]}')
    except OSError as error:
        told(f'{name} {errno.errorcode.get(error.errno, error)}')


def check(what, has, wanted):
    if has != wanted:
        told(f'{what} WRONG: {has[:60]!r} of {len(has)}')


SECRET, ORDERS = b'only the pod has this\n', b'order 1: 7 apples\n'


def opened(path, flags):
    file = os.open(path, flags, 0o644)
    # Nobody here has closed any of the first three.
    if file < 3:
        raise OSError(errno.EBADF, 'a number that is taken')
    return file


def read_small():
    file = opened('/app/secret.key', os.O_RDONLY)
    check('small', os.read(file, 100), SECRET)
    os.close(file)


def read_big():
    file = opened('/data/big', os.O_RDONLY)
    try:
        length = len(os.pread(file, 70000, 20 << 20))
        if length != 70000:
            told(f'big WRONG: {length} bytes')
        os.fstat(file)
    finally:
        os.close(file)


def look():
    os.stat('/data/orders.txt')
    if len(os.listdir('/data/many')) != 300:
        told('list WRONG: entries are missing')


def write():
    path = f'/data/out/{NAME}-{threading.get_ident()}'
    file = opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        if os.write(file, b'w' * 5000) != 5000:
            told('write WRONG: short')
        os.fsync(file)
        check('written', os.pread(file, 6000, 0), b'w' * 5000)
        os.rename(path, path + '.new')
    finally:
        os.close(file)
        for leftover in (path, path + '.new'):
            try:
                os.unlink(leftover)
            except FileNotFoundError:
                pass


def receive(connection, length):
    got = b''
    while len(got) < length:
        piece = connection.recv(length - len(got))
        if not piece:
            raise EOFError
        got += piece
    return got


def connect():
    with socket.create_connection(('10.77.0.2', 7)) as connection:
        connection.sendall(b'c' * 3000)
        check('echo', receive(connection, 3000), b'c' * 3000)


class Kept:
    connection = None

    def talk(self):
        try:
            # Opened once and kept, as long as it lasts.
            if self.connection is None:
                self.connection = socket.create_connection(('10.77.0.2', 7))
            self.connection.sendall(b'k' * 20000)
            check('kept', receive(self.connection, 20000), b'k' * 20000)
        except (OSError, EOFError):
            if self.connection is not None:
                self.connection.close()
            self.connection = None
            raise


def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as it:
        it.connect(('10.77.0.2', 7))
        it.send(b'datagram')
        # What is sent may be lost, but never be something else.
        if select.select([it], [], [], 0.2)[0]:
            check('datagram', it.recv(100), b'datagram')


def name():
    try:
        address = socket.getaddrinfo('redis.shop', 6379, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    except socket.gaierror:
        raise
    except OSError:
        # EAI_SYSTEM: where `socket` or `open` fails within, glibc leaves errno as it was before, whatever that is.
        raise socket.gaierror(socket.EAI_SYSTEM, 'System error')
    if not address.startswith('10.77.0.'):
        told(f'name WRONG: {address}')


def child():
    ended = subprocess.run(['cat', '/data/orders.txt'], capture_output=True)
    if ended.returncode == 0:
        check('child', ended.stdout[:len(ORDERS)], ORDERS)
    else:
        words = ended.stderr.decode().strip().splitlines()
        told(f'child {ended.returncode} {words[-1].split(": ")[-1] if words else ""}')


def shell():
    ended = subprocess.run(['sh', '-c', '(exit 5); test $? = 5 && exit 6'], stderr=subprocess.DEVNULL)
    if ended.returncode != 6:
        told(f'shell {ended.returncode}')


class Answer(http.server.BaseHTTPRequestHandler):
    timeout = 1

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'the guest')

    def log_message(self, *words):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client):
        told(f'serve {errno.errorcode.get(getattr(sys.exc_info()[1], "errno", None), sys.exc_info()[1])}')


def repeat(deed):
    def run():
        while not stop.is_set():
            attempt(deed.__name__, deed)
    return run


def serve(server):
    server.timeout = 0.1
    while not stop.is_set():
        server.handle_request()


signal.signal(signal.SIGUSR1, lambda *_: stop.set())
deeds = [read_small, read_big, look, write, connect, Kept().talk, Kept().talk, datagram, name, child, shell]
threads = [threading.Thread(target=repeat(deed), daemon=True, name=deed.__name__) for deed in deeds]
try:
    server = Server(('0.0.0.0', PORT), Answer)
    threads.append(threading.Thread(target=serve, args=(server,), daemon=True, name='serve'))
except OSError as error:
    told(f'listen {errno.errorcode[error.errno]}')
for thread in threads:
    thread.start()
print('busy', flush=True)
while not stop.wait(0.05):
    pass
end, code = time.monotonic() + PATIENCE, 7
for thread in threads:
    thread.join(max(0, end - time.monotonic()))
    if thread.is_alive():
        frame = sys._current_frames()[thread.ident]
        lines = []
        while frame:
            lines.append(f'{frame.f_code.co_name}:{frame.f_lineno}')
            frame = frame.f_back
        told(f'{thread.name} HANGS at {" < ".join(lines[:6])}')
        code = 8
with guard:
    for word in sorted(seen):
        print(f'{word}: {seen[word]}')
sys.stdout.flush()
os._exit(code)

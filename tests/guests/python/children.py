# Children, in the ways of Python.
import multiprocessing, os, socket, subprocess, sys, threading
def show(name, deed):
    try: print(name, '->', deed(), flush=True)
    except Exception as e: print(name, '!!', type(e).__name__, e, flush=True)
show('run', lambda: subprocess.run(['cat', '/app/config.toml'], capture_output=True))
show('shell', lambda: subprocess.check_output('head -n1 /data/orders.txt | tr a-z A-Z; echo $SHOP_NAME', shell=True))
show('code', lambda: subprocess.call(['sh', '-c', 'exit 9']))
show('signal', lambda: subprocess.call(['sh', '-c', 'kill -9 $$']))
show('none', lambda: subprocess.run(['/no/such/program']))
show('system', lambda: os.waitstatus_to_exitcode(os.system('test -e /data/orders.txt')))
show('popen', lambda: os.popen('wc -l < /data/orders.txt').read())
show('spawn', lambda: os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn('/bin/cat', ['cat', '/data/odd/.hidden'], os.environ), 0)[1]))
show('cleared', lambda: subprocess.check_output(['/usr/bin/env'], env={'A': 'b', 'LD_PRELOAD': os.environ.get('LD_PRELOAD', '')}).split(b'\n')[0][:1])
def inherited_file():
    f = open('/data/orders.txt'); f.readline(); os.lseek(f.fileno(), 10, 0); return subprocess.check_output(['head', '-c', '9'], stdin=f)
show('inherited file', inherited_file)
def inherited_socket():
    s = socket.create_connection(('10.77.0.2', 7)); s.sendall(b'line\n')
    return subprocess.check_output([sys.executable, '-c', 'import socket,sys; s = socket.socket(fileno=int(sys.argv[1])); print(s.recv(9), s.getpeername())', str(s.fileno())], pass_fds=[s.fileno()])
show('inherited socket', inherited_socket)
show('cwd', lambda: subprocess.check_output('pwd; cat still/yet/leaf', shell=True, cwd='/data/deep/er'))
def worker(n): return n, len(open('/data/many/file-%03d' % n).read()), socket.gethostbyname('db.shop')
def pool():
    with multiprocessing.get_context('fork').Pool(4) as p: return p.map(worker, range(0, 40, 10))
show('pool', pool)
def threads():
    out = {}
    def one(n): out[n] = open('/data/many/file-%03d' % n).read()
    ts = [threading.Thread(target=one, args=(n,)) for n in range(100)]; [t.start() for t in ts]; [t.join() for t in ts]; return len(out), out[99]
show('threads', threads)
def daemon():
    r, w = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork(): os._exit(0)
        os.close(r); [os.close(n) for n in (0, 1, 2)]; os.write(w, open('/app/secret.key', 'rb').read()); os._exit(0)
    os.close(w); os.wait(); return os.read(r, 100)
show('daemon', daemon)
def closed_range():
    pid = os.fork()
    if not pid:
        os.closerange(3, 1 << 16)
        try: os._exit(len(open('/data/empty').read()) + len(socket.gethostbyname('db.shop')))
        except Exception: os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
show('every descriptor closed', closed_range)
sys.stdout.flush(); os.execvp('sh', ['sh', '-c', 'cat /data/deep/er/still/yet/leaf; exit 7'])

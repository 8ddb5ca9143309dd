# Changing files, in the ways of Python.
import fcntl, mmap, os, pathlib, shutil, stat, tempfile
def show(name, deed):
    try: print(name, '->', deed())
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'errno', e))
os.umask(0o022)
B = '/data/out/python-write'
os.mkdir(B)
def P(name): return B + '/' + name
def write():
    with open(P('a'), 'w') as f: f.write('hello'); f.flush(); n = os.fstat(f.fileno()).st_size; f.write(' there')
    return n, open(P('a')).read(), oct(os.stat(P('a')).st_mode)
show('write', write)
def append():
    a = os.open(P('log'), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640); b = os.open(P('log'), os.O_WRONLY | os.O_APPEND)
    for n in range(3): os.write(a, b'a%d\n' % n); os.write(b, b'b%d\n' % n)
    return open(P('log')).read(), oct(os.stat(P('log')).st_mode)
show('append by two', append)
show('exclusive', lambda: os.open(P('log'), os.O_CREAT | os.O_EXCL))
show('x', lambda: open(P('x'), 'x').close())
def random_access():
    f = os.open(P('r'), os.O_RDWR | os.O_CREAT); os.pwrite(f, b'end', 1000000); os.pwrite(f, b'start', 0)
    os.ftruncate(f, 500000); s = os.fstat(f).st_size; os.lseek(f, -5, 2); os.write(f, b'12345678'); os.fsync(f); return s, os.fstat(f).st_size, os.pread(f, 5, 0), os.pread(f, 20, 499990)
show('random access', random_access)
def shared():
    f = os.open(P('m'), os.O_RDWR | os.O_CREAT); os.ftruncate(f, 8192); m = mmap.mmap(f, 8192); m[5000:5005] = b'there'; m.flush(); m.close(); return os.pread(f, 5, 5000)
show('shared map', shared)
show('rename', lambda: (os.rename(P('a'), P('b')), os.path.exists(P('a')), open(P('b')).read())[1:])
show('replace', lambda: (os.replace(P('b'), P('log')), open(P('log')).read())[1])
show('link', lambda: (os.link(P('log'), P('hard')), os.stat(P('hard')).st_nlink)[1])
show('symlink', lambda: (os.symlink('log', P('soft')), os.readlink(P('soft')), open(P('soft')).read())[1:])
show('chmod', lambda: (os.chmod(P('log'), 0o604), oct(os.stat(P('hard')).st_mode))[1])
show('utime', lambda: (os.utime(P('log'), ns=(10**18, 2 * 10**18)), os.stat(P('log')).st_mtime_ns)[1])
show('truncate', lambda: (os.truncate(P('log'), 3), open(P('log')).read())[1])
show('unlink', lambda: (os.unlink(P('hard')), os.path.exists(P('hard')), os.stat(P('log')).st_nlink)[1:])
show('unlink none', lambda: os.unlink(P('none')))
show('rmdir full', lambda: os.rmdir(B))
show('makedirs', lambda: (os.makedirs(P('d/e/f')), sorted(os.listdir(P('d'))))[1])
show('pathlib', lambda: (pathlib.Path(P('d/t')).write_text('text'), pathlib.Path(P('d/t')).read_text()))
show('mkstemp', lambda: [os.path.dirname(n := tempfile.mkstemp(dir=B)[1]), os.remove(n)][0])
def unlinked():
    f = tempfile.TemporaryFile(dir=B); f.write(b'x' * 10000); f.seek(0); return len(f.read())
show('unlinked', unlinked)
def relative():
    d = os.open(B, os.O_RDONLY); f = os.open('rel', os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=d); os.write(f, b'r'); os.mkdir('reldir', dir_fd=d); os.rename('rel', 'rel2', src_dir_fd=d, dst_dir_fd=d); r = sorted(os.listdir(d)); os.unlink('rel2', dir_fd=d); os.rmdir('reldir', dir_fd=d); return r
show('relative', relative)
def locks():
    a = open(P('log'), 'r+'); fcntl.lockf(a, fcntl.LOCK_EX); pid = os.fork()
    if not pid:
        try: fcntl.lockf(open(P('log'), 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB); os._exit(0)
        except OSError as e: os._exit(e.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
show('locked against a child', locks)
def cwd(): os.chdir(B); open('in-cwd', 'w').write('1'); return os.getcwd(), os.path.exists(P('in-cwd')), os.stat('in-cwd').st_size
show('cwd', cwd)
show('copytree', lambda: (shutil.copytree(P('d'), P('d2')), sorted(os.listdir(P('d2'))))[1])
show('copy from there', lambda: (shutil.copy('/data/orders.txt', P('o')), os.stat(P('o')).st_size)[1])
show('umask', lambda: (os.umask(0o077), open(P('u'), 'w').close(), oct(os.stat(P('u')).st_mode))[2])
show('big', lambda: (open(P('big'), 'wb').write(os.urandom(1) * 30_000_000), os.stat(P('big')).st_size))
os.chdir('/'); shutil.rmtree(B); print(os.path.exists(B))

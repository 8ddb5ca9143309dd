# Files, in the ways of Python.
import errno, fcntl, glob, hashlib, io, json, mmap, os, pathlib, shutil, stat, sys
def show(name, deed):
    try: print(name, '->', deed())
    except Exception as e: print(name, '!!', type(e).__name__, getattr(e, 'errno', e), getattr(e, 'filename', ''))
D = '/data'
def facts(st): return (oct(st.st_mode), st.st_size, st.st_nlink, st.st_mtime_ns if stat.S_ISREG(st.st_mode) else '')
show('read', lambda: open('/app/config.toml').read())
show('stat', lambda: facts(os.stat(D + '/orders.txt')))
show('lstat', lambda: facts(os.lstat(D + '/link')))
show('no such', lambda: open(D + '/none'))
show('directory', lambda: open(D))
show('loop', lambda: os.stat(D + '/loop-a'))
show('not a directory', lambda: os.listdir(D + '/orders.txt'))
show('listdir', lambda: sorted(os.listdir(D + '/many'))[::60])
show('bytes', lambda: sorted(os.listdir(b'/data/odd')))
show('scandir', lambda: sorted((e.name, e.is_file(follow_symlinks=False), e.is_dir(follow_symlinks=False), e.is_symlink(), e.stat(follow_symlinks=False).st_size if e.is_file(follow_symlinks=False) else 0) for e in os.scandir(D)))
show('walk', lambda: [(r, sorted(d), sorted(f)) for r, d, f in os.walk(D + '/deep')])
show('glob', lambda: sorted(glob.glob(D + '/many/file-1?0')))
show('rglob', lambda: sorted(str(p) for p in pathlib.Path(D).rglob('leaf')))
show('readlink', lambda: os.readlink(D + '/absolute-link'))
show('realpath', lambda: os.path.realpath(D + '/link-to-dir/still'))
show('access', lambda: [os.access(D + '/read-only', m) for m in (os.F_OK, os.R_OK, os.X_OK)] + [os.access(D + '/none', os.F_OK)])
def seek():
    with open(D + '/big', 'rb') as f:
        f.seek(-100, 2); a = f.read(); f.seek(1 << 20); b = f.read(10); return len(a), a[:4].hex(), b.hex(), f.tell()
show('seek', seek)
def fds():
    fd = os.open(D + '/orders.txt', os.O_RDONLY)
    st = os.fstat(fd); other = os.dup(fd)
    a = os.read(fd, 5); b = os.read(other, 5); c = os.pread(fd, 5, 100)
    os.lseek(other, 0, os.SEEK_SET); d = os.readv(fd, [x := bytearray(3), y := bytearray(4)])
    os.close(fd); return facts(st), a, b, c, d, bytes(x), bytes(y), os.read(other, 3)
show('descriptors', fds)
def maps():
    with open(D + '/one-mebibyte', 'rb') as f:
        m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); h = hashlib.md5(m).hexdigest(); n = len(m); m.close()
        m = mmap.mmap(f.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE); m[0:2] = b'xy'
        return n, h, m[0:4].hex()
show('mmap', maps)
show('big', lambda: hashlib.sha256(open(D + '/big', 'rb').read()).hexdigest())
def relative():
    d = os.open(D + '/deep', os.O_RDONLY | os.O_DIRECTORY)
    f = os.open('er/still/yet/leaf', os.O_RDONLY, dir_fd=d)
    return os.read(f, 10), facts(os.stat('er/still', dir_fd=d))[0], sorted(os.listdir(d)), os.readlink('out-of-root', dir_fd=d)
show('relative to a descriptor', relative)
def change_dir():
    before = os.getcwd(); os.chdir(D + '/deep/er'); a = os.getcwd(); b = open('still/yet/leaf').read(); os.chdir('..'); c = os.getcwd(); e = sorted(os.listdir('.'))
    fd = os.open('er', os.O_RDONLY); os.fchdir(fd); g = os.getcwd(); r = os.path.realpath('still'); os.chdir(before); return before, a, b, c, e, g, r, os.getcwd()
show('chdir', change_dir)
def sendfile():
    r, w = os.pipe()
    with open(D + '/orders.txt', 'rb') as f: n = os.sendfile(w, f.fileno(), 10, 100)
    return n, os.read(r, 200)
show('sendfile', sendfile)
def locks():
    f = open(D + '/big'); fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB); g = open(D + '/big')
    try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB); return 'locked twice'
    except OSError as e: return errno.errorcode[e.errno]
show('flock', locks)
def forked():
    f = os.open(D + '/orders.txt', os.O_RDONLY); os.read(f, 9)
    r, w = os.pipe(); pid = os.fork()
    if not pid: os.write(w, os.read(f, 9)); os._exit(3)
    _, st = os.waitpid(pid, 0); return os.read(r, 100), os.read(f, 9), os.waitstatus_to_exitcode(st)
show('offset shared over fork', forked)
show('statvfs', lambda: os.statvfs(D).f_namemax)
show('copy here', lambda: (shutil.copyfile(D + '/big', '/tmp/copy-of-big'), os.path.getsize('/tmp/copy-of-big'), os.remove('/tmp/copy-of-big'))[1])
show('lines', lambda: sum(1 for _ in open(D + '/orders.txt')))
show('text', lambda: io.open(D + '/odd/\u00fcml\u00e4ut', encoding='utf-8').read())
show('inode', lambda: (os.path.samefile(D + '/orders.txt', D + '/hard-link'), os.path.samefile(D + '/orders.txt', D + '/empty'), os.path.sameopenfile(os.open(D + '/link', 0), os.open(D + '/orders.txt', 0))))
show('xattr', lambda: os.listxattr(D + '/orders.txt'))
show('exec of a script there', lambda: os.popen('sh /app/greet word').read())

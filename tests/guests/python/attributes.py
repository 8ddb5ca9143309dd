# Attributes of many names, while this program, its descriptors and its child change them.
import os, shutil
os.umask(0o022)
B = '/data/out/python-attributes'
os.makedirs(B + '/folder')
def P(n): return '%s/file-%03d' % (B, n)
for n in range(120):
    with open(P(n), 'w') as file: file.write('x' * n)
os.symlink('file-007', B + '/link'); os.symlink('folder', B + '/way'); os.symlink('nowhere', B + '/dangling')
os.link(P(3), B + '/second')
def one(path, follow):
    try: stat = os.stat(path, follow_symlinks=follow)
    except OSError as error: return error.strerror
    old = stat.st_mtime_ns if stat.st_mtime_ns < 10**15 else None
    return oct(stat.st_mode), stat.st_nlink, stat.st_size if stat.st_mode & 0o040000 == 0 else None, old, stat.st_ino
known = {}
def look():
    names = sorted(os.listdir(B))
    return {(name, follow): one(B + '/' + name, follow) for name in names for follow in (True, False)}
def by_folder():
    with os.scandir(B) as entries:
        return sorted((entry.name, oct(entry.stat(follow_symlinks=False).st_mode)) for entry in entries)
def told(words, deed):
    global known
    known = look()
    deed()
    now = look()
    changed = {key: (known.get(key, 'none')[:4], now.get(key, 'none')[:4]) for key in sorted({*known, *now}) if known.get(key) != now.get(key)}
    print(words, changed, len(now), len(by_folder()), by_folder()[5], flush=True)
def child(deed):
    def run():
        pid = os.fork()
        if pid == 0:
            try: deed(); os._exit(0)
            finally: os._exit(1)
        print(os.waitpid(pid, 0)[1], flush=True)
    return run
def write(path, flags, bytes):
    file = os.open(path, flags | os.O_WRONLY); os.write(file, bytes); os.close(file)
changes = [
    ('mode', lambda: os.chmod(P(1), 0o600)),
    ('mode by link', lambda: os.chmod(B + '/link', 0o604)),
    ('mode by way', lambda: os.chmod(B + '/way/../file-008', 0o604)),
    ('mode of one of two names', lambda: os.chmod(B + '/second', 0o640)),
    ('times', lambda: os.utime(P(2), ns=(5, 6))),
    ('size', lambda: os.truncate(P(100), 2)),
    ('write', lambda: write(P(10), os.O_APPEND, b'more')),
    ('rewrite', lambda: write(P(20), os.O_TRUNC, b'')),
    ('create', lambda: write(B + '/new', os.O_CREAT, b'four')),
    ('link', lambda: os.link(P(30), B + '/third')),
    ('unlink', lambda: os.unlink(B + '/second')),
    ('rename', lambda: os.rename(P(40), P(41))),
    ('replace folder', lambda: os.rename(B + '/folder', B + '/moved')),
    ('replace file', lambda: (os.unlink(P(50)), os.mkdir(P(50)))),
]
for at, (words, deed) in enumerate(changes): told(words, deed if at % 2 == 0 else child(deed))
shutil.rmtree(B); print(os.path.exists(B))

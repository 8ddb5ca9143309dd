# Unix sockets that are bound to paths of the target's.
import errno, os, socket, stat

os.umask(0o027)
PATH = '/data/out/x.sock'


def told(what, call):
    try:
        print(what, call())
    except OSError as why:
        print(what, errno.errorcode.get(why.errno, why))


for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    own, other = socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)
    told('bind', lambda: own.bind(PATH))
    told('name', own.getsockname)
    found = os.stat(PATH)
    print(stat.S_ISSOCK(found.st_mode), oct(found.st_mode), found.st_uid, found.st_gid)
    told('taken', lambda: other.bind(PATH))
    told('again', lambda: own.bind('/data/out/y.sock'))
    own.close()
    told('left', lambda: other.bind(PATH))
    os.unlink(PATH)
    told('free', lambda: other.bind(PATH))
    os.unlink(PATH)
for path in ('/data/nowhere/x', '/data/orders.txt/x', '/data/out', '/data/out/', '/data/' + 'x' * 100,
             '/data/out/../out/./z.sock'):
    own = socket.socket(socket.AF_UNIX)
    told(path, lambda: own.bind(path))
    told('name', own.getsockname)
os.unlink('/data/out/z.sock')
os.unlink('/data/' + 'x' * 100)
told('internet', lambda: socket.fromfd(os.dup(socket.socket().fileno()), socket.AF_UNIX, socket.SOCK_STREAM).bind(PATH))
os.chdir('/data/out')
own = socket.socket(socket.AF_UNIX)
own.bind('relative.sock')
print(own.getsockname(), os.listdir('.'))
os.unlink('relative.sock')

# Fills its table of descriptors, in several ways, and tries what it can do then, with one number free, and with all.
import errno, os, resource, socket, subprocess

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def outcome(deed):
    try:
        deed()
        return 'well'
    except socket.gaierror:
        return 'no name'
    except OSError as error:
        return errno.errorcode.get(error.errno, error)


def fill(make):
    made = []
    try:
        while True:
            made.append(make())
    except OSError as error:
        return made, errno.errorcode.get(error.errno, error)


def connect():
    connection = socket.socket()
    try:
        connection.connect(('10.77.0.2', 7))
        return connection
    except OSError:
        connection.close()
        raise


def touch():
    file = os.open('/data/out/full', os.O_RDWR | os.O_CREAT)
    os.close(file)


WAYS = [
    ('small files there', lambda: os.open('/app/secret.key', os.O_RDONLY), os.close),
    ('big files there', lambda: os.open('/data/big', os.O_RDONLY), os.close),
    ('folders there', lambda: os.open('/data/many', os.O_RDONLY), os.close),
    ('files here', lambda: os.open('/dev/null', os.O_RDONLY), os.close),
    ('connections', connect, socket.socket.close),
    ('sockets', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket.close),
]
for name, make, close in WAYS:
    made, why = fill(make)
    # One number may be ours.
    print(name, len(made) >= 60, why, outcome(lambda: os.open('/data/orders.txt', os.O_RDONLY)), outcome(touch))
    if os.path.exists('/data/out/full'):
        print('made without a number for it')
    close(made.pop())
    print('one free:', outcome(lambda: os.close(os.open('/app/secret.key', os.O_RDONLY))), outcome(touch))
    for it in made:
        close(it)
    print('all free:', outcome(touch), outcome(lambda: connect().close()))
    print('and:', outcome(lambda: socket.getaddrinfo('redis.shop', 1)), len(os.listdir('/data/many')))
    os.unlink('/data/out/full')
print(subprocess.run(['cat', '/app/secret.key'], capture_output=True).stdout)

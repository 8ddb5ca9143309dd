# Many requests at once, half of them over connections that are kept (none if the last argument is `fresh`): who
# answered, with what, and how often.
import collections, http.client, sys, threading
port, n_requests, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
seen, lock, left = collections.Counter(), threading.Lock(), iter(range(n_requests))
def ask(c, n):
    c.request('GET', path.replace('N', str(n)), headers={'Connection': 'keep-alive' if c.kept else 'close'}); r = c.getresponse(); body = r.read()
    return '%s %d %d' % ('shop' if r.getheader('Server') == 'shop' else 'guest', r.status, len(body) if 'N' not in path else (str(n).encode() in body))
def work(kept):
    c = None
    while True:
        with lock: n = next(left, None)
        if n is None: return
        try:
            if c is None or not kept: c = http.client.HTTPConnection('10.77.0.2', port, timeout=15); c.kept = kept
            told = ask(c, n)
        except Exception as e: told, c = '%s: %s' % (type(e).__name__, e), None
        with lock: seen[told] += 1
threads = [threading.Thread(target=work, args=(n % 2 == 0 and sys.argv[-1] != 'fresh',)) for n in range(16)]; [t.start() for t in threads]; [t.join() for t in threads]
for told in sorted(seen): print(told, seen[told])

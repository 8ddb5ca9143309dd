<?php // Files, sockets, names, children and curl, in the ways of PHP.
const H = '10.77.0.2'; error_reporting(0);
function show($name, $deed) { try { echo $name, ' -> ', json_encode($deed(), JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), "\n"; } catch (Throwable $e) { echo $name, ' !! ', get_class($e), ' ', $e->getMessage(), "\n"; } }
show('read', fn() => file_get_contents('/app/config.toml'));
show('none', fn() => [file_get_contents('/data/none'), error_get_last()['message']]);
show('lines', fn() => count(file('/data/orders.txt')));
show('stat', function () { $s = stat('/data/orders.txt'); return [decoct($s['mode']), $s['size'], $s['nlink'], $s['mtime'], is_link('/data/link'), file_exists('/data/dangling'), realpath('/data/link-to-dir'), readlink('/data/absolute-link'), is_dir('/data/deep'), is_writable('/data/out')]; });
show('scandir', fn() => [count(scandir('/data/many')), array_slice(scandir('/data/odd'), 0, 4)]);
show('glob', fn() => glob('/data/many/file-1?0'));
show('tree', function () { $n = []; foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator('/data/deep', FilesystemIterator::SKIP_DOTS)) as $f) $n[] = $f->getPathname(); sort($n); return $n; });
show('big', fn() => hash_file('sha256', '/data/big'));
show('parts', function () { $f = fopen('/data/big', 'rb'); fseek($f, -8, SEEK_END); return [bin2hex(fread($f, 8)), ftell($f), feof($f), fstat($f)['size']]; });
show('SplFileObject', function () { $f = new SplFileObject('/data/orders.txt'); $f->seek(99); return $f->current(); });
show('write', function () { $d = '/data/out/php'; mkdir($d); file_put_contents("$d/a", 'one'); file_put_contents("$d/a", 'two', FILE_APPEND | LOCK_EX); copy("$d/a", "$d/b"); rename("$d/b", "$d/c"); symlink('c', "$d/l"); link("$d/c", "$d/h"); chmod("$d/c", 0600); touch("$d/c", 2, 1); $f = fopen("$d/a", 'r+'); flock($f, LOCK_EX); ftruncate($f, 4); $r = fread($f, 99); fclose($f); clearstatcache(); $s = stat("$d/l"); $n = scandir($d); $t = tempnam($d, 't'); $k = [dirname($t) == $d, filesize($t)]; unlink($t); array_map('unlink', glob("$d/*")); return [$r, $s['nlink'], $s['mtime'], $n, $k, rmdir($d)]; });
show('csv', function () { $p = '/data/out/php.csv'; $f = fopen($p, 'x'); fputcsv($f, ['a b', 'c"d', '1']); fclose($f); $g = fopen($p, 'x'); $r = fgetcsv(fopen($p, 'r')); unlink($p); return [$r, $g]; });
show('tcp', function () { $s = stream_socket_client('tcp://web.shop:7003', $n, $m, 5); $a = fgets($s); fwrite($s, 'abc'); stream_socket_shutdown($s, STREAM_SHUT_WR); return [$a, stream_get_contents($s), stream_socket_get_name($s, true)]; });
show('fsockopen', function () { $s = fsockopen(H, 81, $n, $m, 2); return [$s, $n, $m]; });
show('time-out', function () { $s = stream_socket_client('tcp://' . H . ':7005', $n, $m, 0.3); return [$s, $m]; });
show('not waiting', function () { $s = stream_socket_client('tcp://' . H . ':7', $n, $m, 5, STREAM_CLIENT_CONNECT | STREAM_CLIENT_ASYNC_CONNECT); stream_set_blocking($s, false); $w = [$s]; $r = $e = null; stream_select($r, $w, $e, 5); fwrite($s, 'php'); $r = [$s]; $w = null; stream_select($r, $w, $e, 5); return fread($s, 99); });
show('udp', function () { $s = stream_socket_client('udp://' . H . ':7'); fwrite($s, 'datagram'); return [fread($s, 99), stream_socket_get_name($s, true)]; });
show('unix', fn() => fgets(stream_socket_client('unix:///run/shop.sock')));
show('http', fn() => [file_get_contents('http://web.shop/php'), strlen(file_get_contents('http://web.shop/bytes/300000')), $http_response_header[0] ?? 0]);
show('https', fn() => strlen(file_get_contents('https://web.shop/chunked/30', false, stream_context_create(['ssl' => ['cafile' => '/data/tls/cert.pem']]))));
show('names', fn() => [gethostbyname('db.shop'), gethostbynamel('many.shop') ? count(gethostbynamel('many.shop')) : 0, gethostbyaddr('10.77.0.3'), gethostbyname('nowhere.shop'), dns_get_record('about.shop', DNS_TXT)[0]['txt'] ?? null, dns_get_record('_redis._tcp.shop', DNS_SRV)[0]['port'] ?? null, checkdnsrr('shop', 'MX'), gethostname()]);
show('own server', function () { $l = stream_socket_server('tcp://127.0.0.1:0'); $c = stream_socket_client('tcp://' . stream_socket_get_name($l, false)); $s = stream_socket_accept($l, 5); fwrite($s, "own\n"); return fgets($c); });
show('children', function () { exec('head -n 1 /data/orders.txt; exit 3', $o, $c); $p = proc_open(['tr', 'a-z', 'A-Z'], [['pipe', 'r'], ['pipe', 'w']], $pipes, '/data/deep'); fwrite($pipes[0], 'in'); fclose($pipes[0]); return [$o, $c, shell_exec('cat /data/odd/.hidden'), stream_get_contents($pipes[1]), proc_close($p)]; });
function curl($url, $more = []) { $c = curl_init($url); curl_setopt_array($c, $more + [CURLOPT_RETURNTRANSFER => true, CURLOPT_CAINFO => '/data/tls/cert.pem', CURLOPT_TIMEOUT => 10]); $b = curl_exec($c); return [curl_errno($c), curl_getinfo($c, CURLINFO_RESPONSE_CODE), curl_getinfo($c, CURLINFO_PRIMARY_IP), strlen($b), md5($b)]; }
show('curl', fn() => curl('http://web.shop/curl'));
show('curl with tls', fn() => curl('https://web.shop/chunked/50'));
show('curl, wrong name', fn() => curl('https://db.shop/')[0]);
show('curl, post', fn() => curl('http://web.shop/p', [CURLOPT_POSTFIELDS => str_repeat('z', 200000)]));
show('curl, file', fn() => curl('http://web.shop/up', [CURLOPT_UPLOAD => true, CURLOPT_INFILE => fopen('/data/one-mebibyte', 'r'), CURLOPT_INFILESIZE => 1 << 20]));
show('curl, refused', fn() => curl('http://' . H . ':81/')[0]);
show('curl, no name', fn() => curl('http://nowhere.shop/')[0]);
show('curl, time-out', fn() => curl('http://' . H . ':7005/', [CURLOPT_CONNECTTIMEOUT_MS => 300])[0]);
show('curl, unix', fn() => curl('http://x/', [CURLOPT_UNIX_SOCKET_PATH => '/run/none.sock'])[0]);
show('curl, many', function () { $m = curl_multi_init(); $all = []; foreach (range(1, 20) as $n) { $c = curl_init("http://web.shop/bytes/" . $n * 1000); curl_setopt($c, CURLOPT_RETURNTRANSFER, true); curl_multi_add_handle($m, $c); $all[] = $c; } do { curl_multi_exec($m, $left); if ($left) curl_multi_select($m, 1); } while ($left); return array_sum(array_map(fn($c) => strlen(curl_multi_getcontent($c)), $all)); });
show('environment', fn() => [getenv('SHOP_NAME'), getenv('SHOP_ODD'), getenv('SHOP_EMPTY')]);

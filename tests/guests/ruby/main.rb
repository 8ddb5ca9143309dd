# Files, sockets, names and children, in the ways of Ruby.
require 'socket'; require 'net/http'; require 'openssl'; require 'resolv'; require 'open3'; require 'tempfile'; require 'fileutils'; require 'pathname'; require 'timeout'; require 'digest'; require 'find'
$stdout.sync = true; H = '10.77.0.2'
def show(name) = puts("#{name} -> #{yield.inspect}") rescue puts("#{name} !! #{$!.class}")
show('read') { File.read('/app/config.toml') }
show('lines') { File.foreach('/data/orders.txt').count }
show('stat') { s = File.stat('/data/orders.txt'); [s.mode.to_s(8), s.size, s.nlink, s.mtime.nsec, File.symlink?('/data/link'), File.exist?('/data/dangling'), File.realpath('/data/link-to-dir')] }
show('none') { File.open('/data/none') }
show('directory') { File.read('/data') }
show('list') { [Dir.children('/data/odd').size, Dir.glob('/data/many/file-1?0').sort, Dir.each_child('/data/many').count, Find.find('/data/deep').sort.last, Pathname('/data/deep').children.map(&:to_s).sort] }
show('big') { Digest::SHA256.file('/data/big').hexdigest }
show('parts') { File.open('/data/big', 'rb') { |f| f.seek(-10, IO::SEEK_END); [f.read.unpack1('H*'), f.pread(4, 1000).unpack1('H*'), f.pos] } }
show('write') { d = '/data/out/ruby'; Dir.mkdir(d); File.write("#{d}/a", 'one'); File.open("#{d}/a", 'a') { _1 << 'two' }; FileUtils.cp("#{d}/a", "#{d}/b"); File.rename("#{d}/b", "#{d}/c"); File.symlink('c', "#{d}/l"); File.link("#{d}/c", "#{d}/h"); File.chmod(0o600, "#{d}/c"); File.utime(1, 2, "#{d}/c"); File.truncate("#{d}/a", 2); s = File.stat("#{d}/l"); r = File.open("#{d}/a", 'r+') { |f| f.flock(File::LOCK_EX); f.read }; n = Dir.children(d).sort; IO.copy_stream('/data/one-mebibyte', "#{d}/big"); z = File.size("#{d}/big"); FileUtils.rm_r(d); [r, n, s.nlink, s.mtime.to_i, z, Dir.exist?(d)] }
show('temporary') { Tempfile.create('x', '/data/out') { |f| f.write('t'); f.flush; File.size(f.path) } }
show('tcp') { TCPSocket.open('web.shop', 7003) { |s| a = s.gets; s.write('abc'); s.close_write; [a, s.read, s.remote_address.ip_unpack] } }
show('refused') { TCPSocket.new(H, 81) }
show('time-out') { Socket.tcp(H, 7005, connect_timeout: 0.3) }
show('not waiting') { s = Socket.new(:INET, :STREAM); a = Socket.sockaddr_in(7, H); begin; s.connect_nonblock(a); rescue IO::WaitWritable; IO.select(nil, [s], nil, 5); begin; s.connect_nonblock(a); rescue Errno::EISCONN; end; end; s.write('ruby'); IO.select([s], nil, nil, 5); s.read_nonblock(99) }
show('udp') { s = UDPSocket.new; s.connect(H, 7); s.send('datagram', 0); [s.recvfrom(99)[0], s.peeraddr[1]] }
show('udp unconnected') { s = UDPSocket.new; s.send('to', 0, H, 7); m, a = s.recvfrom(99); [m, a[1], a[3]] }
show('unix') { UNIXSocket.open('/run/shop.sock') { _1.gets } }
show('http') { Net::HTTP.get_response(URI('http://web.shop/ruby')).then { [_1.code, _1.body] } }
show('kept alive') { Net::HTTP.start('web.shop') { |h| (1..5).map { |n| h.get("/bytes/#{n * 100}").body.size } } }
show('post') { Net::HTTP.post(URI('http://web.shop/ruby'), 'z' * 200000).body }
def secure(host) = Net::HTTP.start(host, 443, use_ssl: true, ca_file: '/data/tls/cert.pem') { |h| [h.get('/chunked/30').body.size, h.post('/p', 'y' * 50000).body] }
show('https') { secure('web.shop') }
show('wrong name') { secure('db.shop') }
show('names') { [Addrinfo.getaddrinfo('web.shop', 80, :INET, :STREAM).map(&:ip_address), IPSocket.getaddress('db.shop'), Socket.gethostname, Addrinfo.tcp('10.77.0.3', 80).getnameinfo[0]] }
show('no name') { Addrinfo.getaddrinfo('nowhere.shop', 80) }
show('resolver') { Resolv::DNS.open { |d| [d.getaddress('redis.shop').to_s, d.getresource('about.shop', Resolv::DNS::Resource::IN::TXT).strings] } }
show('own server') { l = TCPServer.new('127.0.0.1', 0); t = Thread.new { c = l.accept; c.puts(c.gets.upcase); c.close }; r = TCPSocket.open('127.0.0.1', l.local_address.ip_port) { |c| c.puts 'word'; c.read }; t.join; r }
show('threads') { 30.times.map { |n| Thread.new { File.read(format('/data/many/file-%03d', n)).to_i + Net::HTTP.get(URI("http://web.shop/bytes/#{n}")).size } }.sum(&:value) }
show('children') { [`head -n 1 /data/orders.txt`, $?.exitstatus, Open3.capture3('cat; echo e >&2; exit 3', stdin_data: 'in').then { |o, e, s| [o, e, s.exitstatus] }, IO.popen(['cat', '/data/odd/.hidden'], &:read), system('test -e /data/none')] }
show('fork') { r, w = IO.pipe; pid = fork { r.close; w.write(File.read('/app/secret.key')); w.close; exit!(7) }; w.close; [r.read, Process.wait2(pid)[1].exitstatus] }
show('environment') { ENV.values_at('SHOP_NAME', 'SHOP_ODD', 'SHOP_EMPTY').map(&:b) }
Dir.chdir('/data/deep/er'); exec('cat', 'still/yet/leaf')

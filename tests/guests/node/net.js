// Sockets and names, in the ways of node.
const net = require('net'), http = require('http'), dns = require('dns'), dgram = require('dgram');
const H = '10.77.0.2';
const show = async (name, deed) => {
  try { console.log(name, '->', JSON.stringify(await deed())); } catch (e) { console.log(name, '!!', e.code || e.message, e.syscall); }
};
const talk = (options, send, end = true) => new Promise((y, n) => {
  const s = net.connect({ autoSelectFamily: false, ...options }); let got = '', far;
  s.on('connect', () => { far = [s.remoteAddress, s.remotePort, s.localAddress]; if (send !== undefined) s.write(send); if (end) s.end(); }).on('data', d => got += d).on('end', () => y([got, far])).on('error', n);
});
const get = (options, body) => new Promise((y, n) => {
  const r = http.request(options, a => { const got = []; a.on('data', d => got.push(d)).on('end', () => { const all = Buffer.concat(got); y([a.statusCode, all.length > 200 ? all.length : all.toString()]); }); }).on('error', n);
  if (body) r.write(body); r.end();
});
(async () => {
  await show('echo', () => talk({ host: H, port: 7 }, 'hello'));
  await show('echo 6', () => talk({ host: 'fd77::2', port: 7 }, 'six'));
  await show('by name', () => talk({ host: 'web.shop', port: 7003 }, 'abc'));
  await show('both families', () => talk({ host: 'web.shop', port: 7003, autoSelectFamily: true }, 'abc'));
  await show('refused', () => talk({ host: H, port: 81 }, 'x'));
  await show('unreachable', () => talk({ host: '203.0.113.1', port: 81 }, 'x'));
  await show('no name', () => talk({ host: 'nowhere.shop', port: 81 }, 'x'));
  await show('reset', () => talk({ host: H, port: 7002 }, 'x', false));
  await show('closed', () => talk({ host: H, port: 7004 }));
  await show('unix', () => talk({ path: '/run/shop.sock' }, 'u'));
  await show('time-out', () => new Promise((y, n) => { const s = net.connect({ host: H, port: 7005, timeout: 300 }); s.on('timeout', () => { s.destroy(); y('timeout'); }).on('connect', () => y('connected')).on('error', n); }));
  await show('http', () => get({ host: 'web.shop', path: '/node' }));
  await show('post', () => get({ host: 'web.shop', path: '/node', method: 'POST', headers: { 'content-length': 300000 } }, 'z'.repeat(300000)));
  await show('bulk', () => get({ host: 'web.shop', path: '/bytes/3000000' }));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  await show('kept alive', async () => (await Promise.all([...Array(20).keys()].map(n => get({ host: H, path: '/' + n, agent })))).map(r => r[0]).join());
  agent.destroy();
  await show('fetch', async () => (await fetch('http://web.shop/fetch')).text());
  await show('lookup', () => dns.promises.lookup('web.shop', { all: true, verbatim: true }));
  await show('lookup 4', () => dns.promises.lookup('db', { family: 4 }));
  await show('lookup none', () => dns.promises.lookup('nowhere.shop'));
  await show('resolve', () => dns.promises.resolve4('redis.shop'));
  await show('resolve 6', () => dns.promises.resolve6('db.shop'));
  await show('srv', () => dns.promises.resolveSrv('_redis._tcp.shop'));
  await show('txt', () => dns.promises.resolveTxt('about.shop'));
  await show('mx', () => dns.promises.resolveMx('shop'));
  await show('cname', () => dns.promises.resolveCname('api.shop'));
  await show('reverse', () => dns.promises.reverse('10.77.0.3'));
  await show('resolve none', () => dns.promises.resolve4('nowhere.shop'));
  await show('big', async () => (await dns.promises.resolve4('big.shop')).length);
  await show('servers', () => dns.getServers());
  await show('service', () => dns.promises.lookupService('10.77.0.3', 80));
  const udp = (port, connected) => new Promise((y, n) => {
    const s = dgram.createSocket('udp4'), done = (m, r) => { s.close(); y([m.toString(), r.address, r.port]); };
    s.on('message', done).on('error', e => { s.close(); n(e); });
    if (connected) s.connect(port, H, () => s.send('connected')); else s.send('datagram', port, H);
  });
  await show('udp', () => udp(7));
  await show('udp connected', () => udp(7, true));
  await show('udp refused', () => udp(81, true));
  await show('own server', () => new Promise(y => { const s = net.createServer(c => c.end('own')).listen(0, '127.0.0.1', async () => { const r = await talk({ port: s.address().port, host: '127.0.0.1' }); s.close(); y(r[0]); }); }));
  await show('hostname', () => require('os').hostname());
})();

// http, https, fetch, streams of files and promises of them, in the ways of node.
const http = require('http'), https = require('https'), fs = require('fs'), zlib = require('zlib'), crypto = require('crypto'), dns = require('dns');
const { pipeline } = require('stream/promises'), { once } = require('events'), readline = require('readline');
const D = '/data', O = '/data/out/node-http', ca = fs.readFileSync('/data/tls/cert.pem');
const show = async (name, deed) => {
  try { console.log(name, '->', JSON.stringify(await deed())); } catch (e) { console.log(name, '!!', e.name, e.code, e.cause && e.cause.code); }
};
const get = (module, options, body) => new Promise((y, n) => {
  const r = module.request(options, async a => { const h = crypto.createHash('md5'); let size = 0; for await (const d of a) { h.update(d); size += d.length; } y([a.statusCode, size, h.digest('hex'), a.headers['transfer-encoding']]); });
  r.on('error', n).on('timeout', () => r.destroy(Object.assign(new Error(), { code: 'TIMEOUT' }))); if (body) pipeline(body, r).catch(() => 0); else r.end();
});
(async () => {
  const S = { host: 'web.shop', port: 443, ca };
  await show('https', () => get(https, { ...S, path: '/one' }));
  await show('chunked', () => get(https, { ...S, path: '/chunked/50' }));
  await show('upload of a stream', () => get(https, { ...S, path: '/up', method: 'POST' }, fs.createReadStream(D + '/big', { end: 2999999 })));
  await show('wrong name', () => get(https, { ...S, host: 'db.shop', path: '/' }));
  await show('not trusted', () => get(https, { host: 'web.shop', path: '/' }));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 3, ca });
  await show('kept alive', async () => (await Promise.all([...Array(30).keys()].map(n => get(https, { host: 'web.shop', path: '/bytes/' + n, agent })))).map(r => r[1]).join()); agent.destroy();
  await show('time-out', () => get(http, { host: '10.77.0.2', port: 7005, timeout: 300 }));
  await show('fetch', async () => { const r = await fetch('http://web.shop/fetch', { headers: { 'x-y': 'z' } }); return [r.status, r.headers.get('server'), await r.text()]; });
  await show('fetch post', async () => (await fetch('http://web.shop/p', { method: 'POST', body: 'z'.repeat(100000) })).text());
  await show('fetch stream', async () => { let n = 0; for await (const c of (await fetch('http://web.shop/bytes/2000000')).body) n += c.length; return n; });
  await show('fetch aborted', () => fetch('http://10.77.0.2:7005/', { signal: AbortSignal.timeout(300) }));
  await show('fetch refused', () => fetch('http://10.77.0.2:81/'));
  await show('fetch no name', () => fetch('http://nowhere.shop/'));
  await show('many fetches', async () => (await Promise.all([...Array(40).keys()].map(async n => (await (await fetch('http://web.shop/bytes/' + n * 100)).arrayBuffer()).byteLength))).reduce((a, b) => a + b));
  fs.mkdirSync(O, { recursive: true });
  await show('gzip and back', async () => { await pipeline(fs.createReadStream(D + '/big'), zlib.createGzip({ level: 1 }), fs.createWriteStream(O + '/z')); const h = crypto.createHash('sha256'); await pipeline(fs.createReadStream(O + '/z'), zlib.createGunzip(), h); return h.digest('hex'); });
  await show('download', async () => { const w = fs.createWriteStream(O + '/d'); http.get('http://web.shop/bytes/1000000', r => r.pipe(w)); await once(w, 'finish'); return fs.statSync(O + '/d').size; });
  await show('append', async () => { const w = fs.createWriteStream(O + '/d', { flags: 'a' }); w.write('tail'); w.end(); await once(w, 'close'); return (await fs.promises.readFile(O + '/d')).subarray(-6).toString('hex'); });
  await show('in the middle', async () => { const w = fs.createWriteStream(O + '/d', { flags: 'r+', start: 10 }); w.end('MIDDLE'); await once(w, 'close'); return fs.readFileSync(O + '/d').subarray(8, 18).toString('hex'); });
  await show('lines', async () => { let n = 0; for await (const line of readline.createInterface({ input: fs.createReadStream(D + '/orders.txt') })) n += line.length; return n; });
  await show('promises', async () => { const p = fs.promises; await p.writeFile(O + '/p', 'one\n'); await p.appendFile(O + '/p', 'two\n'); await p.copyFile(O + '/p', O + '/q'); await p.rename(O + '/q', O + '/r'); await p.truncate(O + '/r', 3); await p.symlink('r', O + '/s'); await p.link(O + '/r', O + '/l'); await p.chmod(O + '/r', 0o600); await p.utimes(O + '/r', 1, 2); const s = await p.stat(O + '/s'); await p.cp(O + '/p', O + '/c'); return [await p.readFile(O + '/s', 'utf8'), s.nlink, s.mode.toString(8), s.mtimeMs, (await p.readdir(O)).sort(), await p.readlink(O + '/s')]; });
  await show('handle', async () => { const h = await fs.promises.open(O + '/h', 'w+'); await h.writev([Buffer.from('ab'), Buffer.from('cd')]); await h.write('EF', 1); await h.sync(); await h.datasync(); const b = Buffer.alloc(9), r = await h.readv([b], 0), s = await h.stat(); await h.truncate(2); const e = await h.readFile('utf8'); await h.close(); return [b.toString('utf8', 0, r.bytesRead), s.size, e]; });
  await show('temporary', async () => { const t = await fs.promises.mkdtemp(O + '/t-'); await fs.promises.mkdir(t + '/a/b/c', { recursive: true }); await fs.promises.rm(t, { recursive: true }); return fs.existsSync(t); });
  await show('watch', async () => { const w = fs.watch(O), seen = once(w, 'change'); fs.writeFileSync(O + '/watched', 'x'); const [kind, name] = await Promise.race([seen, new Promise(y => setTimeout(y, 3000, ['nothing']))]); w.close(); return name; });
  await show('errors', async () => Promise.all([['mkdir', O], ['rmdir', O], ['unlink', O + '/none'], ['open', O, 'w'], ['readdir', O + '/p'], ['rename', O + '/none', O + '/x'], ['link', O + '/p', O + '/r'], ['readlink', O + '/p']].map(([f, ...a]) => fs.promises[f](...a).then(() => 0, e => e.code + e.syscall))));
  fs.rmSync(O, { recursive: true });
  await show('resolver', async () => { const r = new dns.promises.Resolver({ timeout: 2000, tries: 1 }); r.setServers(['10.77.0.53']); return [await r.resolve4('web.shop'), await r.resolveAny('only-4.shop').catch(e => e.code), (await r.resolveSoa('shop').catch(e => e.code))]; });
  await show('cancelled', async () => { const r = new dns.promises.Resolver(); r.setServers(['10.77.0.2:7006']); const p = r.resolve4('web.shop').catch(e => e.code); setTimeout(() => r.cancel(), 50); return p; });
  await show('lookups at once', async () => (await Promise.all([...Array(30)].map(() => dns.promises.lookup('web.shop', { family: 4 })))).every(r => r.address === '10.77.0.2'));
  process.exit(0);
})();

// Files, in the ways of node.
const fs = require('fs'), path = require('path'), crypto = require('crypto');
const D = '/data';
const show = async (name, deed) => {
  try { console.log(name, '->', JSON.stringify(await deed())); } catch (e) { console.log(name, '!!', e.code, e.syscall); }
};
const facts = s => [s.mode.toString(8), s.size, s.nlink, s.isFile() ? s.mtimeMs : '', s.isDirectory()];
const hash = stream => new Promise((done, fail) => { const h = crypto.createHash('sha256'); stream.on('data', d => h.update(d)).on('end', () => done(h.digest('hex'))).on('error', fail); });
(async () => {
  await show('sync', () => fs.readFileSync('/app/config.toml', 'utf8'));
  await show('promise', () => fs.promises.readFile('/app/secret.key', 'utf8'));
  await show('callback', () => new Promise((y, n) => fs.readFile(D + '/none', (e, d) => e ? n(e) : y(d))));
  await show('stat', () => facts(fs.statSync(D + '/orders.txt')));
  await show('bigint', () => String(fs.statSync(D + '/orders.txt', { bigint: true }).mtimeNs));
  await show('lstat', async () => (await fs.promises.lstat(D + '/dangling')).isSymbolicLink());
  await show('stat none', () => fs.promises.stat(D + '/dangling'));
  await show('readdir', async () => (await fs.promises.readdir(D + '/odd')).sort());
  await show('types', () => fs.readdirSync(D, { withFileTypes: true }).map(e => [e.name, e.isFile(), e.isDirectory(), e.isSymbolicLink()]).sort());
  await show('recursive', () => fs.readdirSync(D + '/deep', { recursive: true }).sort());
  await show('opendir', async () => { let n = 0; for await (const e of await fs.promises.opendir(D + '/many')) n += e.name.length; return n; });
  await show('readlink', () => fs.readlinkSync(D + '/link'));
  await show('realpath', () => fs.realpathSync(D + '/link-to-dir/still'));
  await show('native realpath', () => fs.realpathSync.native(D + '/link-to-dir/still'));
  await show('access', () => fs.promises.access(D + '/none'));
  await show('exists', () => [fs.existsSync(D + '/link'), fs.existsSync(D + '/dangling')]);
  await show('stream', () => hash(fs.createReadStream(D + '/big')));
  await show('part', () => hash(fs.createReadStream(D + '/big', { start: 1000, end: 5000000 })));
  await show('handle', async () => { const h = await fs.promises.open(D + '/orders.txt'); const b = Buffer.alloc(10); await h.read(b, 0, 10, 50); const s = await h.stat(); await h.close(); return [b.toString(), s.size]; });
  await show('lines', async () => { const h = await fs.promises.open(D + '/orders.txt'); let n = 0; for await (const _ of h.readLines()) n++; return n; });
  await show('is a directory', () => fs.readFileSync(D));
  await show('copy', () => { fs.copyFileSync(D + '/one-mebibyte', '/tmp/node-copy'); const s = fs.statSync('/tmp/node-copy').size; fs.unlinkSync('/tmp/node-copy'); return s; });
  await show('cwd', () => { const old = process.cwd(); process.chdir(D + '/deep/er'); const r = [process.cwd(), fs.readFileSync('still/yet/leaf', 'utf8'), path.resolve('.')]; process.chdir(old); return r; });
  await show('many at once', async () => (await Promise.all([...Array(100).keys()].map(n => fs.promises.readFile(`${D}/many/file-${String(n).padStart(3, '0')}`, 'utf8')))).join('').length);
  await show('child', () => require('child_process').execSync('cat /app/config.toml | head -n 1').toString());
  await show('spawn', () => new Promise(y => { let o = ''; const c = require('child_process').spawn('cat', ['/data/odd/.hidden']); c.stdout.on('data', d => o += d); c.on('close', c => y([o, c])); }));
  await show('worker', () => new Promise(y => { const { Worker } = require('worker_threads'); new Worker(`require('worker_threads').parentPort.postMessage(require('fs').readFileSync('/data/orders.txt').length)`, { eval: true }).on('message', y); }));
  await show('environment', () => [process.env.SHOP_NAME, process.env.SHOP_ODD, process.env.REDIS_URL]);
})();

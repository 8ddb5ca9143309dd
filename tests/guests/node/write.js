// Changing files, in the ways of node.
const fs = require('fs');
process.umask(0o022);
const B = '/data/out/node-write', p = n => B + '/' + n;
const show = async (name, deed) => {
  try { console.log(name, '->', JSON.stringify(await deed())); } catch (e) { console.log(name, '!!', e.code, e.syscall); }
};
(async () => {
  await show('mkdir', () => fs.mkdirSync(B));
  await show('mkdir again', () => fs.mkdirSync(B));
  await show('write', () => { fs.writeFileSync(p('a'), 'hello'); return [fs.readFileSync(p('a'), 'utf8'), fs.statSync(p('a')).mode]; });
  await show('append', async () => { await fs.promises.appendFile(p('a'), ' there'); return fs.readFileSync(p('a'), 'utf8'); });
  await show('wx', () => fs.writeFileSync(p('a'), 'x', { flag: 'wx' }));
  await show('stream', () => new Promise(y => { const w = fs.createWriteStream(p('s')); for (let i = 0; i < 1000; i++) w.write('line ' + i + '\n'); w.end(() => y(fs.statSync(p('s')).size)); }));
  await show('rename', async () => { await fs.promises.rename(p('s'), p('t')); return fs.readdirSync(B).sort(); });
  await show('copy', () => { fs.copyFileSync('/data/orders.txt', p('o')); return fs.statSync(p('o')).size; });
  await show('copy within', () => { fs.copyFileSync(p('o'), p('o2')); return fs.statSync(p('o2')).size; });
  await show('truncate', () => { fs.truncateSync(p('t'), 6); return fs.readFileSync(p('t'), 'utf8'); });
  await show('chmod', () => { fs.chmodSync(p('t'), 0o611); return fs.statSync(p('t')).mode.toString(8); });
  await show('utimes', () => { fs.utimesSync(p('t'), 1e9, 1.5e9); return fs.statSync(p('t')).mtimeMs; });
  await show('links', () => { fs.symlinkSync('t', p('l')); fs.linkSync(p('t'), p('h')); return [fs.readlinkSync(p('l')), fs.statSync(p('h')).nlink]; });
  await show('random', async () => { const h = await fs.promises.open(p('r'), 'w+'); await h.write('end', 100000); await h.write('start', 0); await h.sync(); const b = Buffer.alloc(5); await h.read(b, 0, 5, 0); const s = (await h.stat()).size; await h.close(); return [b.toString(), s]; });
  await show('mkdtemp', () => { const d = fs.mkdtempSync(p('tmp-')); fs.rmdirSync(d); return d.length; });
  await show('unlink', () => { fs.unlinkSync(p('h')); return fs.existsSync(p('h')); });
  await show('rm', () => { fs.rmSync(B, { recursive: true }); return fs.existsSync(B); });
})();

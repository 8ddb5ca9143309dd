// An HTTP service of several processes: the first listens for all.
const cluster = require('cluster'), http = require('http'), fs = require('fs');
if (cluster.isPrimary) {
  const text = `/tmp/parity-cluster-${process.pid}.js`; let n_ready = 0;
  fs.writeFileSync(text, process.env.CLUSTER_TEXT); cluster.setupPrimary({ exec: text, execArgv: [], args: [] });
  for (let n = 0; n < 3; n++) cluster.fork();
  cluster.on('listening', () => { if (++n_ready === 3) { fs.unlinkSync(text); console.log('listening'); } });
  process.on('SIGTERM', () => { for (const id in cluster.workers) cluster.workers[id].kill(); process.exit(0); });
} else {
  http.createServer((request, response) => { console.log(request.method, request.url, 'heard'); response.end(`the guest answers ${request.url}\n`); }).listen(Number(process.env.CLUSTER_PORT));
}

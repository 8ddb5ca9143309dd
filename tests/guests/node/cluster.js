// An HTTP service of several processes: the first listens for all.
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) {
  cluster.setupPrimary({ execArgv: ['-e', process.env.CLUSTER_TEXT], args: [] }); let ready = 0;
  for (let n = 0; n < 3; n++) cluster.fork();
  cluster.on('listening', () => { if (++ready === 3) console.log('listening'); });
  process.on('SIGTERM', () => { for (const id in cluster.workers) cluster.workers[id].kill(); process.exit(0); });
} else {
  http.createServer((request, response) => { console.log(request.method, request.url); response.end(`the guest answers ${request.url}\n`); }).listen(Number(process.env.CLUSTER_PORT));
}

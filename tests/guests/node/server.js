// An HTTP service: who answers, what was asked, and by whom.
const http = require('http');
const server = http.createServer((request, response) => {
  let length = 0;
  request.on('data', data => length += data.length).on('end', () => {
    const peer = request.socket.remoteAddress.replace('::ffff:', '');
    console.log(request.method, request.url, length, 'from', peer);
    response.end(`the guest answers ${request.method} ${request.url} (${length} bytes) to ${peer}\n`);
  });
});
process.on('SIGTERM', () => process.exit(0));
server.listen(Number(process.argv[1]), () => console.log('listening'));

# curl, in the ways it is used.
curl -s http://web.shop/first; curl -s http://10.77.0.2:8080/second; curl -s 'http://[fd77::2]/six'; curl -s http://api.shop/alias
curl -s -o /dev/null -w '%{http_code} %{remote_ip} %{local_ip} %{size_download} %{num_connects}\n' http://web.shop/bytes/100000
curl -s --data-binary @/data/orders.txt http://web.shop/upload
curl -s http://web.shop/a http://web.shop/b -w '%{num_connects}\n'
curl -s http://nowhere.shop/; echo $?; curl -s http://10.77.0.2:81/; echo $?; curl -s --connect-timeout 1 http://10.77.0.2:7005/; echo $?; curl -s http://203.0.113.1/; echo $?
curl -s http://web.shop/bytes/5000000 | sha256sum
curl -sI http://web.shop/head -X GET | tr -d '\r'; curl -s --unix-socket /run/shop.sock http://x/; echo $?
curl -s -4 http://db.shop/only; curl -s --no-progress-meter --parallel http://web.shop/bytes/70000 http://web.shop/bytes/70000 | wc -c
curl -s http://localhost/here

# wget, in the ways it is used.
export LC_ALL=C
cd /data/out && mkdir wget && cd wget || exit 1
W="wget -q --tries=1 --no-hsts"
$W -O - http://web.shop/first; $W -O - http://10.77.0.2:8080/second; $W -O - 'http://[fd77::2]/six'; $W -O - http://api.shop/alias
$W http://web.shop/bytes/100000; sha256sum 100000; $W -P deep/folder http://web.shop/named; cat deep/folder/named
$W -O posted --post-file=/data/orders.txt http://web.shop/upload; cat posted; $W -O - --post-data=abc http://web.shop/data
printf 'http://web.shop/a\nhttp://web.shop/b\n' > list; $W -i list -O both; cat both; $W -S -O /dev/null http://web.shop/head 2>&1 | tr -d '\r'; $W --spider http://web.shop/spider; echo $?
$W http://nowhere.shop/; echo $?; $W http://10.77.0.2:81/; echo $?; $W --connect-timeout=1 http://10.77.0.2:7005/; echo $?; $W http://203.0.113.1/; echo $?; $W -T 1 http://10.77.0.2:7003/; echo $?
$W -b -o log -O later http://web.shop/bytes/3000000 > /dev/null; for n in $(seq 200); do [ "$(stat -c %s later 2> /dev/null)" = 3000000 ] && break; sleep 0.05; done; sha256sum later
wget --tries=1 --no-hsts -nv -O /tmp/wget-$$ http://web.shop/here 2> /dev/null; cat /tmp/wget-$$; rm /tmp/wget-$$; ls; cd ..; rm -r wget

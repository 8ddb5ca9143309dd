# What coreutils see of the files there.
export LC_ALL=C
cat /app/config.toml /app/secret.key
ls -la /data/odd /app/templates
ls -l /data/orders.txt /data/link /data/dangling /data/hard-link
stat -c '%n %s %a %h %F %Y %U:%G' /app/config.toml /data/orders.txt /data/link /data/empty /data/sparse /data
stat -L -c '%s %F' /data/link /data/link-to-dir
stat -c %y /app/config.toml
stat /data/no-such-file; stat /data/loop-a -L; cat /data/dangling; cat /data/loop-a; cat /data
find /data -maxdepth 3 -path /data/out -prune -o -not -path '/data/many*' -printf '%p %y %m %s\n' | sed 's/^\(.* d [0-9]*\) [0-9]*$/\1/' | sort
find /data/many -type f | wc -l
readlink /data/link /data/absolute-link /data/dangling; readlink -f /data/link-to-dir/still; realpath /data/deep/out-of-root
head -n 2 /data/orders.txt; tail -n 2 /data/orders.txt; tail -c 20 /data/big | od -An -tx1
wc /data/orders.txt /data/empty; grep -rn 'order 49' /data/orders.txt; grep -rc apples /data/odd /data/deep | sort
sha256sum /data/big /data/one-mebibyte /app/templates/7k.html
du -b /data/orders.txt; file=/data/orders.txt; echo "${file##*/}" "$(<"$file" wc -l)"
test -e /data/link && echo link; test -L /data/dangling && echo dangling; test -x /app/greet && echo runs; test -w /data/read-only; test -d /data/link-to-dir && echo dir
cp /data/orders.txt /tmp/copy-$$ && cmp /tmp/copy-$$ /data/orders.txt && rm /tmp/copy-$$ && echo copied
diff /data/orders.txt /data/hard-link && echo same
sort -t: -k2 /data/orders.txt | head -n 3
dd if=/data/big bs=4096 skip=1000 count=3 status=none | md5sum
cat /data/odd/*\ * /data/odd/st\*r "/data/odd/new
line" -- /data/odd/-dash
while read -r line; do echo "$line"; done < /app/config.toml
( cd /data/deep/er && pwd && cat still/yet/leaf && ls .. && cat ../../orders.txt | head -n 1 && pwd -P )

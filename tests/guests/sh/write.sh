# Changing the files there.
export LC_ALL=C
umask 022
cd /data/out || exit 1
mkdir sh-write && cd sh-write || exit 1
pwd
echo one > file; echo two >> file; cat file; wc -c < file
printf 'abc' | tee teed; echo; cp /data/orders.txt copy; cmp copy /data/orders.txt && echo same
mkdir -p a/b/c; mkdir a; rmdir a/b/c; rmdir a/none; ls a
mv file moved; ls; mv moved a/; cat a/moved; ln a/moved hard; ln -s a/moved soft; cat soft; stat -c '%h %F' hard soft
chmod 600 hard; stat -c %a hard; chmod +x hard; stat -c %a hard; touch -d '2021-02-03 04:05:06.789 UTC' hard; stat -c '%Y %y' hard | sed 's/ [+-]....$//'
truncate -s 5 hard; cat hard; truncate -s 0 hard; stat -c %s hard
dd if=/dev/zero of=zeros bs=1000 count=3 status=none; dd if=/data/orders.txt of=zeros bs=10 seek=1 count=1 conv=notrunc status=none; od -c zeros | head -n 3
rm hard soft; rm none; rm a; rm -r a; ls -A | sort
for n in 1 2 3; do echo "$n" >> log; done; cat log; : > log; wc -c log
sed -i 's/order 1:/ORDER ONE:/' copy; head -n 1 copy; mktemp -p . x.XXXXXX | wc -c
sort copy -o sorted; head -n 1 sorted; tar cf t.tar copy log; tar tf t.tar; cp -r . ../sh-write-copy; ls ../sh-write-copy | grep -c .
rm -rf ../sh-write-copy; echo > /data/read-only-folder/x; cd ..; rm -rf sh-write; ls -d sh-write

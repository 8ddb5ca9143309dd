# tar, there, from there to here, from here to there, and through pipes.
export LC_ALL=C TZ=UTC
cd /data/out && mkdir tar && cd tar || exit 1
tar cf all.tar -C /data orders.txt odd link absolute-link dangling deep empty empty-dir hard-link read-only; tar tvf all.tar | sort
mkdir out; tar xpf all.tar -C out; (cd out && find . -mindepth 1 -printf '%p %y %m %n %s %T+ %l\n' | sed -E '/ d /s/ [0-9]+ ([0-9]{4}-)/ \1/' | sort)
tar df all.tar -C /data; echo "compared $?"; tar df all.tar -C out; echo "compared $?"
mkdir -p /tmp/here-$$; tar cf - -C /data many | tar xf - -C /tmp/here-$$; ls /tmp/here-$$/many | wc -l; cat /tmp/here-$$/many/file-123
tar czf back.tgz -C /tmp/here-$$ many; tar tzf back.tgz | sort | tail -n 2; tar xzOf back.tgz many/file-299; rm -r /tmp/here-$$
truncate -s 8M sparse; printf head | dd of=sparse conv=notrunc status=none; tar cSf sparse.tar sparse; rm sparse; tar xSf sparse.tar; stat -c %s sparse; head -c 4 sparse; echo; rm sparse
tar rf all.tar -C /app config.toml; tar uf all.tar -C /app config.toml; tar tf all.tar | grep -c config; tar --delete -f all.tar config.toml; tar tf all.tar | tail -n 1
tar cf x.tar none; echo "$?"; tar xf none.tar; echo "$?"; tar xf /data/big; echo "$?"; tar xf all.tar -C none; echo "$?"
tar cf - --transform 's,^,new/,' -C /data orders.txt | (mkdir sub; cd sub && tar xf - && cmp new/orders.txt /data/orders.txt && echo same)
tar xf all.tar -C out --keep-old-files orders.txt; echo "$?"; tar xf all.tar -C out --overwrite; echo "$?"; tar cf out.tar --remove-files out; ls; cd ..; rm -r tar

# Pipes, subshells, substitution, xargs, background, exec: children of children.
cat /app/config.toml | (read -r a; echo "$a"; cat) | tr a-z A-Z
echo "$(cat /data/orders.txt | head -n 1)" "$(sh -c 'sh -c "cat /data/odd/.hidden"')"
find /data/odd -name '*t' -print0 | sort -z | xargs -0 -n1 cat
( exec cat /data/empty /data/deep/er/still/yet/leaf )
cat /data/orders.txt | wc -l & wait
exec 5< /data/orders.txt; read -r line <&5; echo "$line"; sh -c 'read -r line <&5; echo "child: $line"'; read -r line <&5; echo "$line"; exec 5<&-
exec 6<> /dev/tcp/10.77.0.2/7; echo over there >&6; sh -c 'head -n 1 <&6'; exec 6>&-
env | grep -c '^SHOP_'; sh -c 'echo "$SHOP_NAME|$SHOP_EMPTY|$SHOP_ODD|$SHOP_LINES"'; echo "$HOSTNAME"
timeout 5 cat /data/deep/er/still/yet/leaf; (sleep 0.01; cat /data/odd/st\*r); nohup cat /data/odd/-dash 2> /dev/null
exit 42

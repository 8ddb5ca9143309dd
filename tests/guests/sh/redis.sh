# A real client of a real database.
R="redis-cli -h redis.shop"
$R ping; $R set fruit apple; $R get fruit; $R incrby n 5; $R del n; $R lpush list a b c; $R lrange list 0 -1; $R del list fruit
redis-cli -h 10.77.0.2 -p 6379 echo 'across the line'; redis-cli -h fd77::2 ping
redis-cli -h redis ping; redis-cli -h redis.shop -p 1 ping; redis-cli -h nowhere.shop ping
head -c 100000 /data/orders.txt | $R -x set big; $R strlen big; $R getrange big 0 11; $R del big
for n in $(seq 500); do echo "set key:$n $n"; done | $R --pipe | tail -n 1; $R eval 'return #redis.call("keys","key:*")' 0; $R flushall
redis-cli -s /run/redis.sock ping

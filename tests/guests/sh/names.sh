# Names by the C library and by questions to the resolver.
getent hosts web.shop; getent ahostsv4 db; getent ahostsv6 db.shop | sort -u; getent ahostsv4 only-in-hosts.pod; getent hosts 10.77.0.3; getent ahosts nowhere.shop; echo $?
getent hosts alias.pod; getent ahostsv4 localhost | head -n 1
hostname; uname -n; cat /proc/sys/kernel/hostname > /dev/null
dig +short redis.shop; dig +short AAAA db.shop; dig +short _redis._tcp.shop SRV; dig +short about.shop TXT; dig +short -x 10.77.0.2; dig +short api.shop
dig +tcp +short many.shop | sort; dig +short big.shop | wc -l; dig nowhere.shop | grep -o 'status: [A-Z]*'; dig broken.shop +tries=1 | grep -o 'status: [A-Z]*'
dig +search +short redis; dig @10.77.0.53 +short shop MX

# A real client of a real PostgreSQL, in the ways it is used.
export LC_ALL=C PGUSER=shop PGDATABASE=postgres PSQLRC=/dev/null PGCONNECT_TIMEOUT=10
P="psql -h db.shop -qAt"
$P -c 'select 1 + 1'; $P -c 'select count(*), sum(n) from generate_series(1, 100000) n'; psql -c "select 'formatted' as how, now() is not null as now" "postgres://shop@db.shop/postgres"
$P <<'SQL'
create table orders (id int primary key, what text);
\copy orders from program 'sed "s/order \([0-9]*\): /\1\t/" /data/orders.txt'
select count(*), min(what), max(id) from orders;
\copy (select what, count(*) from orders group by 1 order by 1 limit 3) to stdout
begin; delete from orders; select count(*) from orders; rollback; select count(*) from orders;
\d orders
select * from orders where id in (1, 250, 500) order by id;
insert into orders values (1, 'twice');
select nothing from nowhere;
set statement_timeout = 200; select pg_sleep(10);
\! head -n 1 /data/orders.txt
listen news; notify other, 'here'; select 1;
\o /tmp/psql-out
select 'into a file';
\o
\! cat /tmp/psql-out; rm /tmp/psql-out
SQL
$P -c "select repeat('x', 5000000)" | sha256sum; $P -c "select inet_client_addr() is not null, inet_server_addr(), inet_server_port()"
$P -h 10.77.0.2 -c 'select 4'; $P -h fd77::2 -c 'select 6'; $P -h /run/pg -c 'select 8'; $P -h 10.77.0.2 -p 5433 -c 'select 5' 2>&1 | head -n 1; $P -h nowhere.shop -c 'select 5' 2>&1; $P -h nowhere.shop,db.shop -c "select 'the second'"
for n in 1 2 3 4; do $P -c "select pg_sleep(0.05), $n" & done | sort; wait
(until [ "$($P -c "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'")" = 1 ]; do :; done; kill -INT "$(cat /tmp/psql-$$)") & sh -c 'echo $$ > "$0"; exec psql -h db.shop -qAt -c "select pg_sleep(30)"' "/tmp/psql-$$" 2>&1; wait; rm "/tmp/psql-$$"
/usr/lib/postgresql/15/bin/pg_dump -h db.shop -t orders --data-only | grep -c apples; $P -c 'drop table orders'; /usr/lib/postgresql/15/bin/pg_isready -h db.shop; /usr/lib/postgresql/15/bin/pg_isready -h db.shop -p 1

# What some stories need in the pod beside its own services: HTTP over TLS, a repository that is served, a database.
export LC_ALL=C PATH="$PATH:/usr/lib/postgresql/15/bin" GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@shop GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@shop GIT_AUTHOR_DATE='1600000000 +0000' GIT_COMMITTER_DATE='1600000000 +0000'
python3 -c "$1" > /tmp/stage-tls &
if command -v git > /dev/null; then (
    git init -q -b main /srv/work && cd /srv/work || exit 1
    cp -r /data/orders.txt /data/odd /data/one-mebibyte . && git add -A && git commit -qm First && for n in 1 2 3; do echo "$n" >> log; git add log; git commit -qm "Commit $n"; done
    git clone -q --bare /srv/work /srv/shop.git 2> /dev/null && git daemon --base-path=/srv --export-all --enable=receive-pack --reuseaddr --listen=0.0.0.0 --listen=10.77.0.2 > /dev/null 2>&1 &
) & fi
if command -v postgres > /dev/null; then (
    mkdir -p /run/pg /var/tmp/pg && chown 1000:1000 /run/pg /var/tmp/pg && cd / || exit 1
    as() { setpriv --reuid=1000 --regid=1000 --clear-groups "$@"; }
    as initdb -D /var/tmp/pg/data -U shop -A trust --no-sync > /dev/null && echo 'host all all all trust' >> /var/tmp/pg/data/pg_hba.conf && exec setpriv --reuid=1000 --regid=1000 --clear-groups postgres -D /var/tmp/pg/data -k /run/pg -c listen_addresses='*' -c fsync=off -c shared_buffers=16MB > /dev/null 2>&1
) & fi
waits() { for _ in $(seq 1000); do "$@" > /dev/null 2>&1 && return; sleep 0.02; done; echo "never: $*"; }
waits grep -q ready /tmp/stage-tls
command -v git > /dev/null && waits git ls-remote git://10.77.0.2/shop.git
command -v postgres > /dev/null && waits pg_isready -h 10.77.0.2 && waits psql -h db.shop -U shop postgres -c 'select 1'
echo ready; wait

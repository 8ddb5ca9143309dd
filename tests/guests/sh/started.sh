# Programs and scripts that are in a folder of the target's only, as a shell starts them.
export LC_ALL=C PATH=$PATH:/data/bin
command -v greet tool nothing
greet one "two three" | tr a-z A-Z
/data/bin/greet; echo $?
(cd /data/bin && ./greet from there; ../bin/tool told)
NAME=given tool told x; echo $?
env -i /data/bin/greet alone
echo a b | xargs -n1 greet
find /data/bin -name greet -exec {} found \;
timeout 5 greet in time
sh -c 'greet in a child; exec tool told exec'
/data/bin/text 2>&1; echo $?
/data/bin/plain 2> /dev/null; echo $?
/data/bin/broken 2> /dev/null; echo $?
nothing 2> /dev/null; echo $?
exit 3

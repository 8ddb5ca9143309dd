# In mode `read` nothing is changed there, and everything is read.
cat /data/read-only
cd /data && pwd && cat orders.txt | tail -n 1

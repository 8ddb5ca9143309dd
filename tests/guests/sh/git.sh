# git: a clone from a server of the pod, work in it, and back.
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@shop GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@shop GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_DATE='1600000000 +0000' GIT_COMMITTER_DATE='1600000000 +0000'
cd /data/out && mkdir git && cd git || exit 1
git clone -q git://web.shop/shop.git work 2>&1; cd work || exit 1
git log --format='%H %s' | tail -n 3; git status --short --branch; git ls-files | wc -l; git fsck 2>&1 | sort; git show HEAD:orders.txt | head -n 1; git grep -c 'order 49' | head -n 2; git diff --stat HEAD~1 | tail -n 1
echo more >> orders.txt; mkdir -p deep/er; echo new > deep/er/file; git add -A; git status --short; git commit -qm 'From outside'; git rev-parse HEAD; git blame -s orders.txt | tail -n 1
git checkout -q -b side HEAD~1; echo side > side; git add side; git commit -qm Side; git checkout -q main; git merge -q --no-edit side 2>&1; git log --graph --format=%s | head -n 4; git stash list; echo dirty > side; git stash -q; cat side; git stash pop -q; cat side; git checkout side 2>&1
git push -q origin HEAD:refs/heads/pushed-$$ 2>&1 && git ls-remote origin "refs/heads/pushed-$$" | cut -f 1; git push -q origin --delete "pushed-$$" 2>&1; git fetch -q --prune; git branch -r | sort
git gc -q 2>&1; git count-objects -v | grep -E 'in-pack|garbage'; git worktree add -q ../tree HEAD 2>&1; ls ../tree | wc -l; git archive HEAD | tar tf - | wc -l
cd ..; git clone -q --depth 1 git://10.77.0.2/shop.git shallow 2>&1; git -C shallow log --oneline | wc -l; git clone -q work local 2>&1; git -C local log --format=%H -1; git clone -q --bare work bare.git; ls bare.git | sort; git clone git://10.77.0.2/none.git 2>&1 | grep -v Cloning; git clone -q git://10.77.0.2:81/x 2>&1 | head -n 1 | cut -c 1-60
git clone -q git://web.shop/shop.git /tmp/git-here-$$ && git -C /tmp/git-here-$$ log --oneline | wc -l; rm -rf /tmp/git-here-$$; cd ..; rm -rf git

// Children by every way to make one.
#include "story.h"
#include <pthread.h>
#include <spawn.h>

extern char **environ;
static void *reader(void *path) { char b[64]; int fd = open(path, O_RDONLY); long n = read(fd, b, sizeof b); close(fd); return (void *)n; }
static int ended(pid_t pid) { int status = -1; waitpid(pid, &status, 0); return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status); }

int main(void) {
    char b[256]; setvbuf(stdout, NULL, _IONBF, 0);
    pid_t pid = vfork(); if (!pid) { execl("/bin/cat", "cat", "/data/odd/.hidden", NULL); _exit(1); } say("vfork", ended(pid));
    char *leaf[] = {"cat", "/data/deep/er/still/yet/leaf", NULL}; { int code = posix_spawn(&pid, "/bin/cat", NULL, NULL, leaf, environ), end = ended(pid); say("posix_spawn", code); say("ended", end); } { int code = posix_spawnp(&pid, "cat", NULL, NULL, leaf, environ), end = ended(pid); say("posix_spawnp", code); say("ended", end); } say("spawn none", posix_spawn(&pid, "/no/such", NULL, NULL, leaf, environ));
    posix_spawn_file_actions_t acts; posix_spawn_file_actions_init(&acts); posix_spawn_file_actions_addopen(&acts, 0, "/etc/passwd", O_RDONLY, 0); char *head[] = {"head", "-c0", NULL}; { int code = posix_spawnp(&pid, "head", &acts, NULL, head, environ), end = ended(pid); say("file action", code); say("ended", end); }
    say("system", WEXITSTATUS(system("cat /app/config.toml | head -n 1; exit 3"))); FILE *f = popen("wc -c < /data/orders.txt", "r"); said_line("popen", f); say("pclose", pclose(f));
    int fd = open("/data/orders.txt", O_RDONLY); lseek(fd, 18, SEEK_SET); if (!(pid = fork())) { dup2(fd, 0); execlp("head", "head", "-c", "17", NULL); } say("inherited", ended(pid)); printf("offset moved %d\n", lseek(fd, 0, SEEK_CUR) > 18);
    fcntl(fd, F_SETFD, FD_CLOEXEC); if (!(pid = fork())) { char n[32]; snprintf(n, sizeof n, "test -e /proc/self/fd/%d", fd); execl("/bin/sh", "sh", "-c", n, NULL); } say("closed on exec", ended(pid) != 0);
    if (!(pid = fork())) { char *args[] = {"sh", "-c", "cat /data/odd/.hidden; echo \"$X\"", NULL}; char *env[] = {"X=only this", "PATH=/usr/bin:/bin", NULL}; execve("/bin/sh", args, env); } ended(pid);
    if (!(pid = fork())) { setenv("SHOP_NAME", "another", 1); execl("/bin/sh", "sh", "-c", "echo $SHOP_NAME", NULL); } ended(pid); if (!(pid = fork())) { execvp("no-such-program", leaf); _exit(errno); } say("execvp none", ended(pid));
    if (!(pid = fork())) raise(SIGTERM); say("killed", ended(pid)); if (!(pid = fork())) { if (!fork()) { setsid(); read(fd, b, 1); _exit(0); } _exit(0); } say("orphan", ended(pid));
    pthread_t threads[32]; char paths[32][64]; long total = 0; for (int i = 0; i < 32; i++) { snprintf(paths[i], 64, "/data/many/file-%03d", i * 9); pthread_create(&threads[i], NULL, reader, paths[i]); } for (int i = 0; i < 32; i++) { void *n; pthread_join(threads[i], &n); total += (long)n; } say("threads", total);
    int p[2]; pipe(p); if (!(pid = fork())) { if (!fork()) { int s = connected(7); send(s, "deep", 4, 0); long n = recv(s, b, 9, 0); write(p[1], b, n); _exit(0); } wait(NULL); _exit(0); } ended(pid); said("grandchild", b, read(p[0], b, 9));
    int pair[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, pair); if (!(pid = fork())) { int s = open("/data/odd/.hidden", O_RDONLY); char c[CMSG_SPACE(sizeof s)] = {0}; struct iovec v = {"x", 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c}; struct cmsghdr *h = CMSG_FIRSTHDR(&m); h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof s); memcpy(CMSG_DATA(h), &s, sizeof s); sendmsg(pair[1], &m, 0); _exit(0); } ended(pid); char c[CMSG_SPACE(sizeof(int))], x; struct iovec v = {&x, 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c}; recvmsg(pair[0], &m, 0); int passed; memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof passed); said("passed", b, read(passed, b, 64));
    int l = socket(AF_INET, SOCK_STREAM, 0); struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}; socklen_t n = sizeof a; bind(l, (struct sockaddr *)&a, n); listen(l, 5); getsockname(l, (struct sockaddr *)&a, &n); if (!(pid = fork())) { int s = accept(l, NULL, NULL); send(s, "forked after listen", 19, 0); _exit(0); } int s = socket(AF_INET, SOCK_STREAM, 0); say("own listener", connect(s, (struct sockaddr *)&a, n)); said("own listener", b, recv(s, b, 64, 0)); ended(pid);
    fflush(stdout); execl("/bin/sh", "sh", "-c", "cat /data/odd/with\\ space; exit 17", NULL); return 1;
}

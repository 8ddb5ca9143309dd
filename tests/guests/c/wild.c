// Addresses behind which there is no memory: each call says so, and the program goes on.
#include "story.h"
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void paths(const char *name, char *wild) {
    struct stat st;
    struct statx x;
    struct statfs f;
    char b[64];
    printf("%s\n", name);
    say("open", open(wild, O_RDONLY)); say("creat", creat(wild, 0600)); say("stat", stat(wild, &st)); say("lstat", lstat(wild, &st));
    say("statx", statx(AT_FDCWD, wild, 0, STATX_ALL, &x)); say("access", access(wild, R_OK)); say("readlink", readlink(wild, b, sizeof b));
    say("mkdir", mkdir(wild, 0700)); say("unlink", unlink(wild)); say("rename", rename(wild, "/data/out/x")); say("rename to", rename("/tmp/wild-none", wild));
    say("symlink", symlink(wild, "/data/out/wild-link")); say("symlink at", symlink("x", wild)); say("chmod", chmod(wild, 0600)); say("chdir", chdir(wild));
    say("statfs", statfs(wild, &f)); say("getxattr", getxattr(wild, "user.x", b, sizeof b)); say("truncate", truncate(wild, 1));
    say("execv", execv(wild, (char *[]){"x", NULL}));
}

static void places(const char *name, char *wild) {
    struct sockaddr_in a = internet(7);
    socklen_t n = sizeof a;
    printf("%s\n", name);
    for (int there = 0; there < 2; there++) {
        const char *path = there ? "/data/hello.txt" : "/etc/passwd";
        say("stat", stat(path, (struct stat *)wild)); say("lstat", lstat(path, (struct stat *)wild)); say("statx", statx(AT_FDCWD, path, 0, STATX_ALL, (struct statx *)wild));
        say("statfs", statfs(path, (struct statfs *)wild)); say("readlink", readlink(there ? "/data/link" : "/proc/self/exe", wild, 64));
        int dir = open(there ? "/data" : "/etc", O_RDONLY | O_DIRECTORY);
        say("fstatat", fstatat(dir, there ? "hello.txt" : "passwd", (struct stat *)wild, 0)); say("fstat", fstat(dir, (struct stat *)wild));
        close(dir);
        int fd = open(path, O_RDONLY); say("read", read(fd, wild, 4)); close(fd);
    }
    say("utimensat", utimensat(AT_FDCWD, "/data/out", (struct timespec *)wild, 0));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("connect", connect(fd, (struct sockaddr *)wild, sizeof a)); say("bind", bind(fd, (struct sockaddr *)wild, sizeof a));
    close(fd);
    fd = connected(7);
    say("getpeername", getpeername(fd, (struct sockaddr *)wild, &n)); say("getsockname", getsockname(fd, (struct sockaddr *)&a, (socklen_t *)wild));
    say("getsockopt", getsockopt(fd, SOL_SOCKET, SO_ERROR, wild, &n)); say("send", send(fd, wild, 4, MSG_NOSIGNAL));
    say("sendmsg", sendmsg(fd, (struct msghdr *)wild, MSG_NOSIGNAL));
    struct msghdr m = {.msg_iov = (struct iovec *)wild, .msg_iovlen = 1}; say("vector", sendmsg(fd, &m, MSG_NOSIGNAL)); say("writev", writev(fd, (struct iovec *)wild, 1));
    char b[8]; say("still", send(fd, "ping", 4, MSG_NOSIGNAL)); said("echo", b, recv(fd, b, 4, MSG_WAITALL));
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    say("sendto", sendto(fd, "x", 1, 0, (struct sockaddr *)wild, sizeof a));
    struct msghdr to = {.msg_name = wild, .msg_namelen = sizeof a, .msg_iov = &(struct iovec){"x", 1}, .msg_iovlen = 1}; say("sendmsg to", sendmsg(fd, &to, 0));
    close(fd);
}

int main(void) {
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, '/', 4096);
    mprotect(pages + 4096, 4096, PROT_NONE);
    char *closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    paths("null", NULL); paths("one", (char *)1); paths("the last", (char *)-1); paths("far", (char *)0x800000000000); paths("closed", closed);
    paths("unended", pages + 4090);
    places("null", NULL); places("the last", (char *)-64); places("far", (char *)0x800000000000); places("closed", closed);
    return 0;
}

// Copies of a connected socket, by every call that makes one.
#include "story.h"

static void roundtrip(const char *name, int fd) { char b[64]; say("send", send(fd, "ping", 4, MSG_NOSIGNAL)); said(name, b, recv(fd, b, sizeof b, 0)); }

int main(int argc, char **argv) {
    char b[256]; struct sockaddr_in peer; socklen_t n = sizeof peer;
    int fd = connected(7), copy = dup(fd); say("same", copy == fd); close(fd); roundtrip("dup", copy); fd = dup2(copy, 200); close(copy); roundtrip("dup2", fd); copy = dup3(fd, 201, O_CLOEXEC); close(fd); roundtrip("dup3", copy); printf("%d\n", fcntl(copy, F_GETFD)); fd = fcntl(copy, F_DUPFD, 300); close(copy); roundtrip("F_DUPFD", fd); copy = fcntl(fd, F_DUPFD_CLOEXEC, 5); close(fd); roundtrip("F_DUPFD_CLOEXEC", copy);
    say("getpeername", getpeername(copy, (struct sockaddr *)&peer, &n)); printf("%s %d\n", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port)); fd = dup(copy); say("shutdown", shutdown(fd, SHUT_WR)); close(fd); said("end by the other", b, recv(copy, b, sizeof b, 0)); say("send", send(copy, "x", 1, MSG_NOSIGNAL)); close(copy);
    // Over another socket: the same number closed, and taken anew.
    fd = connected(7); copy = connected(7003); recv(copy, b, 5, MSG_WAITALL); say("over it", dup2(fd, copy) == copy); roundtrip("as the other", copy); n = sizeof peer; getpeername(copy, (struct sockaddr *)&peer, &n); printf("%d\n", ntohs(peer.sin_port)); close(fd); roundtrip("alone", copy); close(copy);
    // Before it is connected.
    fd = socket(AF_INET, SOCK_STREAM, 0); copy = dup(fd); struct sockaddr_in a = internet(7); say("by the copy", connect(copy, (struct sockaddr *)&a, sizeof a)); roundtrip("by the first", fd); close(copy); roundtrip("still", fd); say("again", connect(fd, (struct sockaddr *)&a, sizeof a)); close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); copy = dup(fd); connect(fd, (struct sockaddr *)&a, sizeof a); close(fd); struct pollfd p = {copy, POLLOUT, 0}; say("poll of a copy", poll(&p, 1, 5000)); int e = -1; n = sizeof e; getsockopt(copy, SOL_SOCKET, SO_ERROR, &e, &n); printf("%d\n", e); fcntl(copy, F_SETFL, 0); roundtrip("blocking now", copy); close(copy);
    // By another process: a socket in a message.
    int pair[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, pair); fd = connected(7); fflush(stdout); pid_t child = fork();
    union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } c = {0}; struct iovec v = {b, 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    if (!child) { close(fd); recvmsg(pair[1], &m, 0); memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd); roundtrip("in the child", fd); _exit(0); }
    c.h.cmsg_level = SOL_SOCKET; c.h.cmsg_type = SCM_RIGHTS; c.h.cmsg_len = CMSG_LEN(sizeof(int)); memcpy(CMSG_DATA(&c.h), &fd, sizeof fd); sendmsg(pair[0], &m, 0); waitpid(child, NULL, 0); roundtrip("and here", fd); close(fd);
    fd = connected(7); fflush(stdout); if (!(child = fork())) { dup2(fd, 0); dup2(fd, 1); close(fd); execlp("sh", "sh", "-c", "echo a line; read -r line; echo \"$line\" >&2", NULL); _exit(1); } close(fd); waitpid(child, NULL, 0); return 0;
}

// Sockets that a program inherits by exec: connected, listening, bound, and none where it was to be closed.
#include "story.h"

static void roundtrip(const char *name, int fd) { char b[64]; say("send", send(fd, "ping", 4, MSG_NOSIGNAL)); said(name, b, recv(fd, b, sizeof b, 0)); }

static int heir(void) {
    struct sockaddr_in a; socklen_t n = sizeof a; char b[64]; int value = -1;
    roundtrip("connected", 3); getpeername(3, (struct sockaddr *)&a, &n); printf("%s %d\n", inet_ntoa(a.sin_addr), ntohs(a.sin_port)); n = sizeof value; getsockopt(4, SOL_SOCKET, SO_ACCEPTCONN, &value, &n); printf("listens %d\n", value);
    n = sizeof a; getsockname(4, (struct sockaddr *)&a, &n); int fd = socket(AF_INET, SOCK_STREAM, 0); say("to myself", connect(fd, (struct sockaddr *)&a, sizeof a)); int other = accept(4, NULL, NULL); send(fd, "inherited", 9, 0); said("accepted", b, recv(other, b, sizeof b, 0)); close(fd); close(other);
    say("datagram", send(5, "dgram", 5, 0)); said("answer", b, recv(5, b, sizeof b, 0)); a = internet(7); say("unconnected", connect(6, (struct sockaddr *)&a, sizeof a)); roundtrip("now connected", 6); say("closed by exec", fcntl(7, F_GETFD)); said("file", b, read(8, b, 8)); roundtrip("standard input", 0); return 5;
}

int main(int argc, char **argv) {
    if (argc > 1) return heir();
    struct sockaddr_in a = {.sin_family = AF_INET}, there = internet(7); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK); int fds[6] = {connected(7), socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_STREAM, 0), connected(7), open("/data/orders.txt", O_RDONLY)}; bind(fds[1], (struct sockaddr *)&a, sizeof a); listen(fds[1], 5); connect(fds[2], (struct sockaddr *)&there, sizeof there);
    int in = connected(7); for (int i = 0; i < 6; i++) fds[i] = fcntl(fds[i], F_DUPFD, 100); in = fcntl(in, F_DUPFD, 100); for (int fd = 3; fd < 20; fd++) close(fd); for (int i = 0; i < 6; i++) dup3(fds[i], 3 + i, i == 4 ? O_CLOEXEC : 0), close(fds[i]); dup2(in, 0); close(in);
    fflush(stdout); pid_t child = fork(); if (!child) { execl("/proc/self/exe", argv[0], "heir", NULL); _exit(1); } int status; waitpid(child, &status, 0); printf("code %d\n", WEXITSTATUS(status));
    // The same by way of a shell, and by posix_spawn's cousin.
    int fd = connected(7); dup2(fd, 9); if (fd != 9) close(fd); fflush(stdout); system("echo by a shell >&9; head -n 1 <&9"); fflush(stdout); if (!(child = vfork())) { execl("/bin/sh", "sh", "-c", "echo after vfork >&9; head -n 1 <&9", NULL); _exit(1); } waitpid(child, &status, 0); roundtrip("and still here", 9); return 0;
}

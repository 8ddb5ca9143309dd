// Listening first, then forking: every child accepts, also after the one who listened is gone.
#include "story.h"

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET}, own; a.sin_addr.s_addr = htonl(INADDR_LOOPBACK); socklen_t n = sizeof own; char b[64];
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1; setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); say("bind", bind(listener, (struct sockaddr *)&a, sizeof a)); say("listen", listen(listener, 64)); getsockname(listener, (struct sockaddr *)&own, &n); printf("%s %d\n", inet_ntoa(own.sin_addr), own.sin_port != 0); fflush(stdout);
    pid_t children[3]; for (int i = 0; i < 3; i++) if (!(children[i] = fork())) { for (int k = 0; k < 4; k++) { struct sockaddr_in peer; socklen_t m = sizeof peer; int fd = accept(listener, (struct sockaddr *)&peer, &m); if (fd < 0 || peer.sin_addr.s_addr != a.sin_addr.s_addr) _exit(1); char c[16]; ssize_t k = recv(fd, c, sizeof c, 0); send(fd, c, k, MSG_NOSIGNAL); close(fd); } _exit(10 + i); }
    close(listener); int right = 0;
    for (int i = 0; i < 12; i++) { int fd = socket(AF_INET, SOCK_STREAM, 0); if (connect(fd, (struct sockaddr *)&own, sizeof own)) say("connect", -1); char word[8]; int k = snprintf(word, sizeof word, "w%d", i); send(fd, word, k, 0); memset(b, 0, sizeof b); recv(fd, b, sizeof b, MSG_WAITALL); right += !strcmp(b, word); close(fd); }
    printf("right %d\n", right); for (int i = 0; i < 3; i++) { int status; waitpid(children[i], &status, 0); printf("child %d\n", WEXITSTATUS(status)); }
    int fd = socket(AF_INET, SOCK_STREAM, 0); say("nobody listens", connect(fd, (struct sockaddr *)&own, sizeof own)); close(fd);
    // A child that listens on what its parent has bound, and a grandchild that accepts without waiting.
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); a.sin_port = 0; bind(listener, (struct sockaddr *)&a, sizeof a); n = sizeof own; getsockname(listener, (struct sockaddr *)&own, &n); int ready[2]; pipe(ready); fflush(stdout); pid_t child = fork();
    if (!child) { listen(listener, 5); if (!fork()) { write(ready[1], "x", 1); struct pollfd p = {listener, POLLIN, 0}; poll(&p, 1, 5000); fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC); send(fd, "grandchild", 10, 0); _exit(0); } _exit(3); }
    int status; waitpid(child, &status, 0); read(ready[0], b, 1); fd = socket(AF_INET, SOCK_STREAM, 0); say("connect", connect(fd, (struct sockaddr *)&own, sizeof own)); said("from", b, recv(fd, b, sizeof b, MSG_WAITALL)); int accepting = -1; n = sizeof accepting; getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &n); printf("listens %d\n", accepting); say("nothing waits", accept(listener, NULL, NULL)); return 0;
}

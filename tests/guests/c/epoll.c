// A socket that does not wait, watched before it is connected: which events come, and when.
#include "story.h"
#include <time.h>

static int ep;
static void watch(const char *name, int op, int fd, uint32_t events) { struct epoll_event e = {.events = events, .data.fd = fd}; say(name, epoll_ctl(ep, op, fd, &e)); }
static uint32_t wait_for(uint32_t wanted) { struct epoll_event e[4]; uint32_t seen = 0; for (time_t end = time(NULL) + 5; time(NULL) <= end && (seen & wanted) != wanted;) { seen = 0; int n = epoll_wait(ep, e, 4, 100); for (int k = 0; k < n; k++) seen |= e[k].events; } return seen; }
static int error_of(int fd) { int e = -1; socklen_t n = sizeof e; getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n); return e; }

static void once(int port, uint32_t mode, const char *name) {
    printf("# %s\n", name); char b[64]; ep = epoll_create1(0); int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); struct sockaddr_in a = internet(port);
    watch("add", EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | mode); struct epoll_event e; int n = epoll_wait(ep, &e, 1, 0); printf("before: %d %x\n", n, n > 0 ? e.events : 0); if (mode & EPOLLONESHOT) watch("again", EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | mode);
    int code = connect(fd, (struct sockaddr *)&a, sizeof a); int later = code && errno == EINPROGRESS; if (code && !later) { printf("failed: %s\n", strerrorname_np(errno)); close(fd); close(ep); return; }
    uint32_t seen; do seen = wait_for(port == 7 ? EPOLLOUT : EPOLLERR); while (seen & EPOLLHUP && port == 7); printf("after: %x\n", seen & ~EPOLLRDHUP & ~(port == 7 ? 0 : EPOLLIN | EPOLLOUT)); printf("error: %s\n", error_of(fd) ? "refused" : "none");
    if (port == 7) { if (mode & EPOLLONESHOT) { n = epoll_wait(ep, &e, 1, 50); printf("spent: %d\n", n); watch("anew", EPOLL_CTL_MOD, fd, EPOLLIN | mode); } else { send(fd, "x", 1, 0); wait_for(EPOLLIN); recv(fd, b, 9, 0); } send(fd, "hello", 5, 0); printf("in: %x\n", wait_for(EPOLLIN) & EPOLLIN); said("bytes", b, recv(fd, b, sizeof b, 0)); say("more", recv(fd, b, 1, 0)); if (mode & EPOLLONESHOT) watch("anew", EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLRDHUP); shutdown(fd, SHUT_WR); printf("end: %x\n", wait_for(EPOLLRDHUP) & (EPOLLIN | EPOLLRDHUP)); say("read", recv(fd, b, 1, 0)); }
    watch("del", EPOLL_CTL_DEL, fd, 0); watch("del twice", EPOLL_CTL_DEL, fd, 0); close(fd); close(ep);
}

// Asked at once and ever again, by SO_ERROR or by a second connect: no other errno comes before a refusal, or in its place.
static void impatient(int again) {
    struct sockaddr_in a = internet(81); int n_refused = 0;
    for (int k = 0; k < 300; k++) { int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), e = connect(fd, (struct sockaddr *)&a, sizeof a) ? errno : 0; for (time_t end = time(NULL) + 5; (e == EINPROGRESS || e == EALREADY || e == 0) && time(NULL) <= end;) e = !again ? error_of(fd) : connect(fd, (struct sockaddr *)&a, sizeof a) ? errno : EISCONN; if (e == ECONNREFUSED) n_refused++; else printf("%s\n", strerrorname_np(e)); close(fd); }
    printf("refused %d times\n", n_refused);
}

int main(void) {
    impatient(0); impatient(1);
    once(7, 0, "level"); once(7, EPOLLET, "edge"); once(7, EPOLLONESHOT, "one shot"); once(81, 0, "refused, level"); once(81, EPOLLET, "refused, edge");
    // Watched by a copy of its number, and by two watchers.
    struct sockaddr_in a = internet(7); ep = epoll_create1(0); int second = epoll_create1(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), copy = dup(fd); watch("copy", EPOLL_CTL_ADD, copy, EPOLLOUT); watch("both", EPOLL_CTL_ADD, fd, EPOLLOUT); struct epoll_event e = {.events = EPOLLOUT}; epoll_ctl(second, EPOLL_CTL_ADD, fd, &e); connect(fd, (struct sockaddr *)&a, sizeof a);
    struct pollfd p = {fd, POLLOUT, 0}; do { poll(&p, 1, 5000); } while (p.revents & POLLHUP); struct epoll_event got[4]; int n = epoll_wait(ep, got, 4, 1000); printf("events %d\n", n); say("second watcher", epoll_wait(second, got, 4, 1000)); close(fd); say("closed, but copied", epoll_wait(second, got, 4, 0)); close(copy); for (time_t end = time(NULL) + 5; (n = epoll_wait(second, got, 4, 0)) && time(NULL) <= end;) usleep(1000); say("closed", n); close(ep); close(second);
    // A selector of selectors, and poll and select beside it.
    int outer = epoll_create1(0); ep = epoll_create1(0); fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); e.data.fd = ep; e.events = EPOLLIN; epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e); watch("inner", EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET); connect(fd, (struct sockaddr *)&a, sizeof a); say("outer", epoll_wait(outer, got, 4, 5000)); wait_for(EPOLLOUT); fd_set w; FD_ZERO(&w); FD_SET(fd, &w); struct timeval t = {5, 0}; say("select", select(fd + 1, NULL, &w, NULL, &t)); printf("%d %s\n", FD_ISSET(fd, &w), error_of(fd) ? "?" : "fine"); return 0;
}

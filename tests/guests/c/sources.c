// From where a datagram socket would send: what getaddrinfo(3) asks the kernel, one destination after the other.
#include "story.h"

static void ask(int fd, const char *text) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(80)}, own; socklen_t n = sizeof own; char b[64] = "";
    inet_pton(AF_INET6, text, &a.sin6_addr); int code = connect(fd, (struct sockaddr *)&a, sizeof a); printf("%s: %d %s", text, code, code ? strerrorname_np(errno) : ""); memset(&own, 0, sizeof own);
    if (!code) { getsockname(fd, (struct sockaddr *)&own, &n); printf("%u %d %s", n, own.sin6_family, inet_ntop(AF_INET6, &own.sin6_addr, b, sizeof b)); } puts("");
}

static void reset(int fd) { struct sockaddr none = {.sa_family = AF_UNSPEC}; say("reset", connect(fd, &none, sizeof none)); }

int main(void) {
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP); const char *there[] = {"::", "::ffff:0.0.0.0", "::1", "::ffff:127.0.0.1", "fd77::2", "::ffff:" HOST, "2001:db8::1", "::ffff:203.0.113.1", "::ffff:10.77.0.3"};
    for (int i = 0; i < 9; i++) { ask(fd, there[i]); reset(fd); }
    close(fd);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7)}, own; socklen_t n = sizeof own; fd = socket(AF_INET, SOCK_DGRAM, 0); say("any", connect(fd, (struct sockaddr *)&a, sizeof a)); getsockname(fd, (struct sockaddr *)&own, &n); printf("%s\n", inet_ntoa(own.sin_addr)); say("send", send(fd, "to any", 6, 0)); char b[64]; said("echo", b, recv(fd, b, sizeof b, 0)); close(fd);
    a.sin_port = htons(7); fd = socket(AF_INET, SOCK_STREAM, 0); say("stream to any", connect(fd, (struct sockaddr *)&a, sizeof a)); getpeername(fd, (struct sockaddr *)&own, &n); printf("%s\n", inet_ntoa(own.sin_addr)); close(fd);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *found; int code = getaddrinfo(NULL, "8000", &hints, &found); printf("passive %d\n", code); for (; !code && found; found = found->ai_next) { getnameinfo(found->ai_addr, found->ai_addrlen, b, sizeof b, 0, 0, NI_NUMERICHOST); printf("%d %s\n", found->ai_family, b); }
    hints.ai_flags = 0; code = getaddrinfo(NULL, "8000", &hints, &found); printf("loopback %d\n", code); for (; !code && found; found = found->ai_next) { getnameinfo(found->ai_addr, found->ai_addrlen, b, sizeof b, 0, 0, NI_NUMERICHOST); printf("%d %s\n", found->ai_family, b); }
    return 0;
}

/* Makes the calls on sockets, names and programs that its arguments name, and prints what came of each. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <resolv.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd = -1;
static char **argument;

static const char *next(void) { return *argument ? *argument++ : ""; }

static void say(int status) {
    if (status < 0) printf("%s\n", strerrorname_np(errno));
    else printf("%d\n", status);
}

static void say_address(int status, struct sockaddr_storage *storage) {
    char text[64] = "";
    if (status < 0) { say(status); return; }
    if (storage->ss_family == AF_INET) {
        struct sockaddr_in *v4 = (void *)storage;
        printf("%s:%d\n", inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text), ntohs(v4->sin_port));
    } else {
        struct sockaddr_in6 *v6 = (void *)storage;
        printf("[%s]:%d\n", inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text), ntohs(v6->sin6_port));
    }
}

static socklen_t read_address(struct sockaddr_storage *storage) {
    const char *ip = next();
    int port = atoi(next());
    memset(storage, 0, sizeof *storage);
    struct sockaddr_in *v4 = (void *)storage;
    struct sockaddr_in6 *v6 = (void *)storage;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    inet_pton(AF_INET6, ip, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof *v6;
}

static void say_host(struct hostent *host) {
    char text[64];
    if (!host) { printf("h_errno %d\n", h_errno); return; }
    printf("%s", host->h_name);
    for (char **at = host->h_addr_list; *at; at++)
        printf(" %s", inet_ntop(host->h_addrtype, *at, text, sizeof text));
    printf("\n");
}

static void resolve(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME}, *found = NULL;
    const char *name = next(), *service = next();
    int error = getaddrinfo(name, *service ? service : NULL, &hints, &found);
    if (error) { printf("EAI %d\n", error); return; }
    printf("%s", found->ai_canonname ? found->ai_canonname : "-");
    for (struct addrinfo *at = found; at; at = at->ai_next) {
        char host[64], port[16];
        getnameinfo(at->ai_addr, at->ai_addrlen, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
        printf(" %s:%s", host, port);
    }
    printf("\n");
    freeaddrinfo(found);
}

static void call(const char *name) {
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char text[256] = "";
    if (!strcmp(name, "tcp")) say((fd = socket(AF_INET, SOCK_STREAM, 0)) < 0 ? -1 : 0);
    else if (!strcmp(name, "tcp6")) say((fd = socket(AF_INET6, SOCK_STREAM, 0)) < 0 ? -1 : 0);
    else if (!strcmp(name, "udp")) say((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 ? -1 : 0);
    else if (!strcmp(name, "nonblocking")) say((fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0 ? -1 : 0);
    else if (!strcmp(name, "unix")) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        strcpy(un.sun_path, next());
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        say(connect(fd, (void *)&un, sizeof un));
    } else if (!strcmp(name, "nodelay")) {
        int one = 1;
        say(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    } else if (!strcmp(name, "is-nodelay")) {
        int value = -1;
        socklen_t size = sizeof value;
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &size);
        say(value);
    } else if (!strcmp(name, "error")) {
        int value = -1;
        socklen_t size = sizeof value;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size);
        printf("%s\n", value ? strerrorname_np(value) : "0");
    } else if (!strcmp(name, "watch")) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = 7};
        int set = epoll_create1(0);
        say(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
        dup2(set, 50);
        close(set);
    } else if (!strcmp(name, "watched")) {
        struct epoll_event event = {0};
        int n = epoll_wait(50, &event, 1, 3000);
        printf("%d %u\n", n, event.data.u32);
    } else if (!strcmp(name, "connect")) {
        length = read_address(&address);
        say(connect(fd, (void *)&address, length));
    } else if (!strcmp(name, "connect-null")) say(connect(fd, NULL, 16));
    else if (!strcmp(name, "connect-short")) {
        length = read_address(&address);
        say(connect(fd, (void *)&address, 7));
    } else if (!strcmp(name, "bind")) {
        length = read_address(&address);
        say(bind(fd, (void *)&address, length));
    } else if (!strcmp(name, "listen")) say(listen(fd, 5));
    else if (!strcmp(name, "accept")) {
        int accepted = accept4(fd, (void *)&address, &length, SOCK_CLOEXEC);
        say_address(accepted, &address);
        if (accepted >= 0) fd = accepted;
    } else if (!strcmp(name, "name")) say_address(getsockname(fd, (void *)&address, &length), &address);
    else if (!strcmp(name, "peer")) say_address(getpeername(fd, (void *)&address, &length), &address);
    else if (!strcmp(name, "poll")) {
        struct pollfd asked = {.fd = fd, .events = POLLOUT};
        int n = poll(&asked, 1, 3000);
        printf("%d %s\n", n, asked.revents & POLLERR ? "failed" : asked.revents & POLLOUT ? "writable" : "nothing");
    } else if (!strcmp(name, "sendto")) {
        length = read_address(&address);
        say(sendto(fd, "hi", 2, 0, (void *)&address, length));
    } else if (!strcmp(name, "recvfrom")) {
        int n = recvfrom(fd, text, sizeof text - 1, 0, (void *)&address, &length);
        if (n >= 0) printf("%s from ", text);
        say_address(n, &address);
    } else if (!strcmp(name, "read")) {
        int n = read(fd, text, sizeof text - 1);
        if (n < 0) say(n); else printf("%s\n", text);
    } else if (!strcmp(name, "resolve")) resolve();
    else if (!strcmp(name, "host")) say_host(gethostbyname(next()));
    else if (!strcmp(name, "host6")) say_host(gethostbyname2(next(), AF_INET6));
    else if (!strcmp(name, "host_r")) {
        struct hostent host, *found = NULL;
        char room[512];
        const char *asked = next();
        int error = 0, size = atoi(next());
        int status = gethostbyname_r(asked, &host, room, size, &found, &error);
        if (found) say_host(found); else printf("%d %d\n", status, error);
    } else if (!strcmp(name, "reverse")) {
        struct in_addr ip;
        inet_pton(AF_INET, next(), &ip);
        say_host(gethostbyaddr(&ip, sizeof ip, AF_INET));
    } else if (!strcmp(name, "nameinfo")) {
        int flags = strcmp(next(), "required") ? 0 : NI_NAMEREQD;
        length = read_address(&address);
        int error = getnameinfo((void *)&address, length, text, 100, text + 100, 100, flags);
        if (error) printf("EAI %d\n", error); else printf("%s %s\n", text, text + 100);
    } else if (!strcmp(name, "query")) {
        int n = res_query(next(), 1, 1, (void *)text, sizeof text);
        if (n < 0) printf("h_errno %d\n", h_errno); else printf("%d bytes\n", n);
    } else if (!strcmp(name, "hostname")) {
        int status = gethostname(text, atoi(next()));
        if (status < 0) say(status); else printf("%s\n", text);
    } else if (!strcmp(name, "uname")) {
        struct utsname told;
        uname(&told);
        printf("%s\n", told.nodename);
    } else if (!strcmp(name, "execve") || !strcmp(name, "spawn") || !strcmp(name, "execv") || !strcmp(name, "execvp")) {
        char *self = "/proc/self/exe", *words[] = {"reach", "uname", NULL};
        char *given[] = {"LC_ALL=C", *next() == 'd' ? "MIRRORD_DONT_LOAD=1" : NULL, NULL};
        fflush(stdout);
        pid_t child = -1;
        if (!strcmp(name, "spawn")) posix_spawn(&child, self, NULL, NULL, words, given);
        else if ((child = vfork()) == 0) {
            if (!strcmp(name, "execve")) execve(self, words, given);
            extern char **environ;
            environ = given;
            if (!strcmp(name, "execv")) execv(self, words);
            execvp(self, words);
            _exit(9);
        }
        waitpid(child, NULL, 0);
    } else if (!strcmp(name, "system")) {
        fflush(stdout);
        clearenv();
        say(system("PATH=/usr/bin:/bin uname -n"));
    } else if (!strcmp(name, "fork")) {
        fflush(stdout);
        pid_t child = fork();
        if (child) { waitpid(child, NULL, 0); _exit(0); }
    } else printf("no such call: %s\n", name);
}

int main(int n_arguments, char **arguments) {
    (void)n_arguments;
    argument = arguments + 1;
    while (*argument) call(next());
    fflush(stdout);
    return 0;
}

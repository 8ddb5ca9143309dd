/* Calls that wait and are interrupted, sets of epoll that outlive a socket, another user: as the kernel does it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int n_alarms, n_restarts;

static void on_alarm(int signal) {
    if (++n_alarms > n_restarts) return;
    if (n_alarms == n_restarts) sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
}

/* Alarms come for ever; the first so many handlers restart what they interrupt. */
static void alarms(int restarts) {
    n_alarms = 0, n_restarts = restarts;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restarts ? SA_RESTART : 0};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_value = {0, 150000}, .it_interval = {0, 150000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void quiet(void) {
    setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
}

static struct sockaddr_in at(const char *ip, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_aton(ip, &to.sin_addr);
    return to;
}

static void tell(const char *what, long answer) {
    int error = errno;
    quiet();
    printf("%s %s, %d alarms\n", what, answer < 0 ? strerror(error) : "done", n_alarms);
}

static void connecting(int restarts) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = at("10.77.0.2", 7005);
    alarms(restarts);
    tell("connect", connect(fd, (void *)&to, sizeof to));
    close(fd);
}

static void accepting(int restarts) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = at("127.0.0.1", 0);
    bind(fd, (void *)&any, sizeof any);
    listen(fd, 4);
    alarms(restarts);
    tell("accept", accept(fd, NULL, NULL));
    close(fd);
}

static void receiving(int restarts, int with_message) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = at("10.77.0.2", 9), from;
    socklen_t length = sizeof from;
    char byte;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1};
    sendto(fd, "x", 1, 0, (void *)&to, sizeof to);
    alarms(restarts);
    if (with_message) tell("recvmsg", recvmsg(fd, &message, 0));
    else tell("recvfrom", recvfrom(fd, &byte, 1, 0, (void *)&from, &length));
    close(fd);
}

static void reading(int restarts) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = at("10.77.0.2", 7);
    char byte;
    connect(fd, (void *)&to, sizeof to);
    alarms(restarts);
    tell("read", read(fd, &byte, 1));
    close(fd);
}

/* A socket is watched before it is connected, by two numbers and in two sets. */
static void watched(const char *ip, int port, const char *name) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), other = dup(fd);
    int one = epoll_create1(0), two = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = 0x1122334455667788};
    epoll_ctl(one, EPOLL_CTL_ADD, fd, &event);
    event.events = EPOLLIN, event.data.u64 = 99;
    epoll_ctl(two, EPOLL_CTL_ADD, other, &event);
    struct sockaddr_in to = at(ip, port);
    connect(fd, (void *)&to, sizeof to);
    int writable = 0;
    for (int i = 0; i < 50 && !writable; i++) {
        struct epoll_event got = {};
        if (epoll_wait(one, &got, 1, 5000) != 1) break;
        if (got.data.u64 == 0x1122334455667788 && (got.events & EPOLLOUT) && !(got.events & EPOLLHUP)) writable = 1;
    }
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    printf("%s writable %d, error %d\n", name, writable, error);
    if (write(other, "hello", 5) != 5) printf("write %s\n", strerror(errno));
    struct epoll_event got = {};
    int n = 0;
    for (int i = 0; i < 50; i++) {
        n = epoll_wait(two, &got, 1, 5000);
        if (n != 1 || (got.events & EPOLLIN)) break;
    }
    char text[8] = {};
    long n_read = read(fd, text, 5);
    printf("%s readable %d by %d: %ld %s\n", name, n, (int)got.data.u64, n_read, text);
    close(fd), close(other), close(one), close(two);
}

/* The same with a server of our own: what is to be elsewhere comes back. */
static void watched_here(void) {
    int server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = at("127.0.0.1", 0);
    socklen_t length = sizeof any;
    bind(server, (void *)&any, sizeof any);
    listen(server, 4);
    getsockname(server, (void *)&any, &length);
    pid_t child = fork();
    if (child == 0) {
        char text[8];
        int fd = accept(server, NULL, NULL);
        long n = read(fd, text, 5);
        _exit(write(fd, text, n) != n);
    }
    watched("127.0.0.1", ntohs(any.sin_port), "here");
    waitpid(child, NULL, 0);
    close(server);
}

static void can(const char *what, long answer) {
    printf("%s %s\n", what, answer < 0 ? strerror(errno) : "done");
}

/* From a folder there, another user reaches what lies here, with that user's rights. */
static void another(void) {
    int data = open("/data", O_RDONLY | O_DIRECTORY);
    struct stat stat;
    char text[8] = {};
    if (setgid(65534) != 0 || setuid(65534) != 0) can("setuid", -1);
    can("stat", fstatat(data, "../usr/bin/env", &stat, 0));
    can("access", faccessat(data, "../usr/bin/env", X_OK, 0));
    can("no access", faccessat(data, "../usr/bin/env", W_OK, 0));
    int fd = openat(data, "../usr/bin/env", O_RDONLY);
    can("open", fd);
    can("read", read(fd, text, 4));
    can("path", openat(data, "../usr/bin/env", O_PATH));
    can("secret", openat(data, "../proc/1/environ", O_RDONLY));
    char name[64];
    snprintf(name, sizeof name, "../tmp/waits-%d", getpid());
    int made = openat(data, name, O_CREAT | O_WRONLY | O_EXCL, 0644);
    can("make", made);
    fstat(made, &stat);
    printf("owner %d %d\n", stat.st_uid, stat.st_gid);
    can("remove", unlinkat(data, name, 0));
    can("forbidden", unlinkat(data, "../usr/bin/env", 0));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "another")) return another(), 0;
    for (int restarts = 0; restarts < 2; restarts++) {
        connecting(restarts);
        accepting(restarts);
        receiving(restarts, 0);
        receiving(restarts, 1);
        reading(restarts);
    }
    watched("10.77.0.2", 7, "there");
    watched_here();
    return 0;
}

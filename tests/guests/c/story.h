// What every guest in C needs: to say what a call gave.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST "10.77.0.2"

#ifndef __GLIBC__
/* What musl's library has no word for. */
#define strerrorname_np strerror
#endif

static inline long say(const char *name, long outcome) {
    int saved = errno;
    printf("%s: %ld%s%s\n", name, outcome, outcome < 0 ? " " : "", outcome < 0 ? strerrorname_np(saved) : "");
    fflush(stdout);
    errno = saved;
    return outcome;
}

static inline void said(const char *name, const char *bytes, long length) {
    printf("%s: %ld [%.*s]\n", name, length, length > 0 ? (int)length : 0, bytes);
    fflush(stdout);
}

static inline struct sockaddr_in internet(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, HOST, &address.sin_addr);
    return address;
}

static inline int connected(int port) {
    struct sockaddr_in address = internet(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) say("connect", -1);
    return fd;
}

static inline void said_line(const char *name, FILE *file) {
    char line[256] = "";
    char *found = fgets(line, sizeof line, file);
    said(name, line, found ? (long)strlen(line) : -1);
}

/* Goes on for long: opens, connects, starts threads and children, and answers on a port. After each round it says so and
 * stops itself, so that it can be looked at. The first thing that fails ends it.
 *
 * soak ROUNDS OPENS CONNECTIONS CHILDREN PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void must(int holds, const char *what) {
    if (!holds) {
        printf("failed: %s: %s\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
}

static void read_file(const char *path, off_t from, size_t length) {
    char bytes[4096];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    must(file >= 0, path);
    must(pread(file, bytes, length, from) == (ssize_t)length, "pread");
    must(close(file) == 0, "close");
}

static void write_file(void) {
    char path[64];
    snprintf(path, sizeof path, "/data/out/soak-%d", (int)getpid());
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(file >= 0, "create");
    must(write(file, path, sizeof path) == sizeof path, "write");
    must(close(file) == 0, "close");
    must(unlink(path) == 0, "unlink");
}

static void list(void) {
    DIR *folder = opendir("/data/deep");
    must(folder != NULL, "opendir");
    int n_entries = 0;
    while (readdir(folder)) n_entries++;
    must(n_entries == 4, "readdir");
    closedir(folder);
}

static void resolve(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    must(getaddrinfo("redis.shop", "6379", &hints, &found) == 0, "getaddrinfo");
    freeaddrinfo(found);
}

static void one_open(long number) {
    struct stat told;
    switch (number % 8) {
    case 4: read_file("/data/big", (number * 4099) % (39 << 20), 4096); break;
    case 5: list(); break;
    case 6: must(stat("/data/orders.txt", &told) == 0, "stat"); break;
    case 7: write_file(); break;
    default: read_file("/app/secret.key", 0, 10);
    }
    if (number % 64 == 0) resolve();
}

static struct sockaddr_in echo(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
    inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
    return to;
}

static void one_connection(long number) {
    struct sockaddr_in to = echo();
    char bytes[64] = "echo";
    int kind = number % 16 == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int connection = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
    must(connection >= 0, "socket");
    must(connect(connection, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    must(send(connection, bytes, sizeof bytes, 0) == sizeof bytes, "send");
    must(recv(connection, bytes, sizeof bytes, MSG_WAITALL) == sizeof bytes, "recv");
    must(close(connection) == 0, "close");
}

static void *in_a_thread(void *number) {
    one_open((long)number);
    return NULL;
}

static void one_thread(long number) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, in_a_thread, (void *)number) == 0, "pthread_create");
    must(pthread_join(thread, NULL) == 0, "pthread_join");
}

static void one_child(long number) {
    char *truth[] = {"true", NULL}, *cat[] = {"sh", "-c", "cat /app/secret.key > /dev/null", NULL};
    pid_t child;
    int status = -1;
    must(posix_spawnp(&child, number % 4 ? "true" : "sh", NULL, NULL, number % 4 ? truth : cat, environ) == 0, "spawn");
    must(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void *serve(void *place) {
    int listener = *(int *)place;
    static const char words[] = "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nthe guest";
    char bytes[2048];
    for (;;) {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0) continue;
        if (recv(connection, bytes, sizeof bytes, 0) > 0) send(connection, words, sizeof words - 1, MSG_NOSIGNAL);
        close(connection);
    }
    return NULL;
}

static void listen_on(int port) {
    static int listener;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    pthread_t thread;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(listener, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    must(listen(listener, 64) == 0, "listen");
    must(pthread_create(&thread, NULL, serve, &listener) == 0, "pthread_create");
}

int main(int n_words, char **words) {
    must(n_words == 6, "five numbers");
    long rounds = atol(words[1]), opens = atol(words[2]), connections = atol(words[3]), children = atol(words[4]);
    listen_on(atoi(words[5]));
    for (long round = 1; round <= rounds; round++) {
        for (long n = 0; n < opens; n++) one_open(n);
        for (long n = 0; n < connections; n++) one_connection(n);
        for (long n = 0; n < connections; n++) one_thread(n);
        for (long n = 0; n < children; n++) one_child(n);
        printf("mark %ld\n", round);
        fflush(stdout);
        raise(SIGSTOP);
    }
    return 0;
}

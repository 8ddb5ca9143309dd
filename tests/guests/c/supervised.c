/* What only a supervised guest can get wrong: signals in calls that block, wrong pointers, descriptors that vanish. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int n_alarms;
static void on_alarm(int signal) { n_alarms++; }

static void alarm_in(int milliseconds, int flags) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {.it_value = {0, milliseconds * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static int listener(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    bind(fd, (void *)&any, sizeof any);
    listen(fd, 8);
    return fd;
}

/* An accept is interrupted by a handler that does not restart it. */
static int interrupted(void) {
    int fd = listener();
    alarm_in(200, 0);
    int got = accept(fd, NULL, NULL);
    printf("accept %d %s, %d alarms\n", got < 0, strerror(errno), n_alarms);
    return 0;
}

static void *knock(void *port) {
    usleep(600000);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = *(unsigned short *)port};
    inet_aton("127.0.0.1", &to.sin_addr);
    connect(fd, (void *)&to, sizeof to);
    pause();
    return NULL;
}

/* An accept goes on after a handler that restarts it. */
static int restarted(void) {
    int fd = listener();
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    getsockname(fd, (void *)&own, &length);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, knock, &own.sin_port);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm_in(200, SA_RESTART);
    int got = accept(fd, NULL, NULL);
    printf("accept %d, %d alarms\n", got >= 0, n_alarms);
    return 0;
}

/* Pointers that point to nothing are told so, as the kernel does. */
static int pointers(void) {
    char *nowhere = (char *)0x10;
    struct stat here;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_aton("10.77.0.2", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("open %d", open(nowhere, O_RDONLY)); printf(" %s\n", strerror(errno));
    printf("stat %d", stat("/data", (struct stat *)nowhere)); printf(" %s\n", strerror(errno));
    printf("connect %d", connect(fd, (void *)nowhere, sizeof to)); printf(" %s\n", strerror(errno));
    printf("readlink %zd", readlink("/data/link", nowhere, 10)); printf(" %s\n", strerror(errno));
    char *edge = malloc(9000);
    memset(edge, 'x', 9000);
    edge[8999] = 0;
    printf("long %d", open(edge, O_RDONLY)); printf(" %s\n", strerror(errno));
    printf("still here %d\n", stat("/data", &here));
    return 0;
}

/* All descriptors are closed, and files there are still to be had. */
static int closed(void) {
    for (int fd = 3; fd < 4096; fd++) close(fd);
    int fd = open("/data/orders.txt", O_RDONLY);
    char text[8] = {0};
    printf("number %d, %zd bytes\n", fd, read(fd, text, 7));
    return 0;
}

/* A filter with a listener of its own is refused, and nothing else changes. */
static int filtered(void) {
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    long own = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    printf("own listener %ld %s\n", own < 0 ? -1L : 0L, own < 0 ? strerror(errno) : "");
    struct stat there;
    printf("still there %d\n", stat("/data/orders.txt", &there));
    return 0;
}

/* Nobody may look into the memory: its calls go on as if nobody had asked. */
static int locked(void) {
    struct stat there;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    int here = stat("/usr/bin/env", &there);
    printf("locked %d\n", here);
    return 0;
}

static int ring(void) {
    long fd = syscall(425, 8, calloc(1, 200));
    printf("ring %ld %s\n", fd < 0 ? -1L : 0L, fd < 0 ? strerror(errno) : "");
    return 0;
}

static void *ask_often(void *unused) {
    struct stat there;
    long n_failed = 0;
    for (int i = 0; i < 500; i++) n_failed += stat("/data/orders.txt", &there) != 0;
    return (void *)n_failed;
}

/* Many threads ask at once, and everybody is answered. */
static int storm(void) {
    pthread_t threads[16];
    long n_failed = 0;
    for (int i = 0; i < 16; i++) pthread_create(&threads[i], NULL, ask_often, NULL);
    for (int i = 0; i < 16; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        n_failed += (long)failed;
    }
    printf("%ld of 8000 failed\n", n_failed);
    return 0;
}

/* Its supervisor is ended: from then on, calls fail and do not hang. */
static int orphaned(void) {
    struct stat there;
    printf("before %d\n", stat("/data/orders.txt", &there));
    fflush(stdout);
    for (;;) {
        if (stat("/data/orders.txt", &there) != 0) {
            printf("after %s\n", strerror(errno));
            return 0;
        }
        usleep(10000);
    }
}

/* It hangs in an accept until it is killed. */
static int hanging(void) {
    int fd = listener();
    printf("hanging\n");
    fflush(stdout);
    accept(fd, NULL, NULL);
    return 0;
}

static int crowded = -1;
static _Atomic int n_waiting, n_accepted;

static void *wait_for_one(void *nothing) {
    n_waiting++;
    if (accept(crowded, NULL, NULL) >= 0) n_accepted++;
    return NULL;
}

/* A thousand wait in an accept. */
static int crowd(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    crowded = listener();
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, wait_for_one, NULL)) return 1;
    }
    while (n_waiting < 1000) usleep(1000);
    usleep(500000);
    puts("all wait");
    fflush(stdout);
    usleep(2000000);
    puts("nobody came");
    fflush(stdout);
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    getsockname(crowded, (void *)&to, &length);
    inet_aton("127.0.0.1", &to.sin_addr);
    for (int i = 0; i < 20; i++) connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&to, sizeof to);
    while (n_accepted < 20) usleep(1000);
    puts("20 came");
    fflush(stdout);
    _exit(0);
}

/* A folder there is watched. */
static int watching(void) {
    int fd = inotify_init1(IN_CLOEXEC);
    int watch = inotify_add_watch(fd, "/data", IN_CREATE | IN_ONLYDIR);
    printf("folder %d\n", watch < 0 ? -errno : 0);
    int other = inotify_add_watch(fd, "/data/orders.txt", IN_CREATE | IN_ONLYDIR);
    printf("file %d\n", other < 0 ? -errno : 0);
    printf("rest %d %d\n", inotify_rm_watch(fd, watch), inotify_add_watch(-1, "/data", IN_CREATE) < 0 ? -errno : 0);
    return 0;
}

int main(int argc, char **argv) {
    const char *story = argc > 1 ? argv[1] : "";
    if (!strcmp(story, "interrupted")) return interrupted();
    if (!strcmp(story, "restarted")) return restarted();
    if (!strcmp(story, "pointers")) return pointers();
    if (!strcmp(story, "closed")) return closed();
    if (!strcmp(story, "filtered")) return filtered();
    if (!strcmp(story, "locked")) return locked();
    if (!strcmp(story, "ring")) return ring();
    if (!strcmp(story, "storm")) return storm();
    if (!strcmp(story, "orphaned")) return orphaned();
    if (!strcmp(story, "watching")) return watching();
    if (!strcmp(story, "hanging")) return hanging();
    if (!strcmp(story, "crowd")) return crowd();
    printf("tell me a story\n");
    return 2;
}

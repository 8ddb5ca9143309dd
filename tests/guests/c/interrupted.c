// Signals while a call waits: it ends with EINTR or goes on, as the handler was told; and a jump out of it.
#include "story.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>

static volatile int n_signals; static sigjmp_buf back;
static void count(int s) { n_signals++; }
static void jump(int s) { siglongjmp(back, 1); }
static void handle(void (*f)(int), int flags) { struct sigaction a = {.sa_handler = f, .sa_flags = flags}; sigaction(SIGALRM, &a, NULL); }
static void soon(int ms) { struct itimerval t = {{0, 0}, {0, ms * 1000}}; n_signals = 0; setitimer(ITIMER_REAL, &t, NULL); }
static void *killer(void *thread) { usleep(150000); pthread_kill(*(pthread_t *)thread, SIGALRM); return NULL; }
static void *reader(void *fd) { char b; recv(*(int *)fd, &b, 1, 0); return NULL; }

int main(void) {
    char b[64]; struct sockaddr_in full = internet(7005), a = internet(7), own = {.sin_family = AF_INET}; int fd, pair[2]; struct pollfd p; handle(count, 0);
    fd = connected(7); soon(100); say("recv", recv(fd, b, 1, 0)); printf("signals %d\n", n_signals); p = (struct pollfd){fd, POLLIN, 0}; soon(100); say("poll", poll(&p, 1, 5000)); soon(100); say("select", ({ fd_set r; FD_ZERO(&r); FD_SET(fd, &r); select(fd + 1, &r, NULL, NULL, NULL); })); soon(100); struct iovec v = {b, 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1}; say("recvmsg", recvmsg(fd, &m, 0)); send(fd, "fine", 4, 0); said("and then", b, recv(fd, b, sizeof b, 0));
    fd = socket(AF_INET, SOCK_STREAM, 0); soon(150); say("connect", connect(fd, (struct sockaddr *)&full, sizeof full)); printf("signals %d\n", n_signals); close(fd);
    fd = socket(AF_INET, SOCK_STREAM, 0); own.sin_addr.s_addr = htonl(INADDR_LOOPBACK); bind(fd, (struct sockaddr *)&own, sizeof own); listen(fd, 5); soon(100); say("accept", accept(fd, NULL, NULL)); printf("signals %d\n", n_signals); close(fd); fd = socket(AF_INET, SOCK_DGRAM, 0); sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof a); recv(fd, b, 9, 0); soon(100); say("recvfrom", recvfrom(fd, b, 1, 0, NULL, NULL)); close(fd);
    handle(count, SA_RESTART); fd = connected(7003); recv(fd, b, 5, MSG_WAITALL); pid_t parent = getpid(); fflush(stdout); pid_t child = fork(); if (!child) { usleep(250000); shutdown(fd, SHUT_WR); _exit(0); } soon(100); said("goes on", b, recv(fd, b, 5, MSG_WAITALL)); printf("signals %d\n", n_signals); waitpid(child, NULL, 0); close(fd);
    // Calls that ask for us, while signals rain.
    struct itimerval rain = {{0, 2000}, {0, 2000}}; setitimer(ITIMER_REAL, &rain, NULL); int n_right = 0; for (int i = 0; i < 40; i++) { struct stat st; char name[64]; snprintf(name, sizeof name, "/data/many/file-%03d", i); int f = open(name, O_RDONLY); n_right += f >= 0 && !stat(name, &st) && read(f, b, 9) > 0; close(f); f = connected(7); send(f, "rain", 4, 0); n_right += recv(f, b, 4, MSG_WAITALL) == 4; close(f); struct addrinfo *found; if (!getaddrinfo("web.shop", "80", NULL, &found)) n_right++, freeaddrinfo(found); } printf("in the rain %d\n", n_right);
    struct itimerval none = {0}; setitimer(ITIMER_REAL, &none, NULL);
    // Out of the middle of a call, by a jump: what is called then works as before.
    handle(jump, 0); for (int i = 0; i < 3; i++) { fd = socket(AF_INET, SOCK_STREAM, 0); if (!sigsetjmp(back, 1)) { soon(80); connect(fd, (struct sockaddr *)&full, sizeof full); puts("not reached"); } close(fd); int f = open("/data/orders.txt", O_RDONLY); said("after the jump", b, read(f, b, 8)); close(f); }
    // A signal to a thread, and a thread that is cancelled.
    handle(count, 0); fd = connected(7); pthread_t self = pthread_self(), t; pthread_create(&t, NULL, killer, &self); say("signal to a thread", recv(fd, b, 1, 0)); pthread_join(t, NULL); void *outcome; pthread_create(&t, NULL, reader, &fd); usleep(50000); pthread_cancel(t); pthread_join(t, &outcome); printf("cancelled %d\n", outcome == PTHREAD_CANCELED); send(fd, "after", 5, 0); said("then", b, recv(fd, b, sizeof b, 0)); alarm(0); signal(SIGALRM, SIG_DFL); soon(100); fflush(stdout); if (!fork()) { soon(100); recv(fd, b, 1, 0); _exit(0); } struct itimerval off = {0}; setitimer(ITIMER_REAL, &off, NULL); int status; wait(&status); printf("killed by %d\n", WTERMSIG(status)); return 0;
}

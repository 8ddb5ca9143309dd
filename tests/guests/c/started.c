// Programs and scripts that are in a folder of the target's only, started in every way that there is.
#include "story.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

static char *words[] = {"as said", "told", "a b", NULL};
static char *variables[] = {"NAME=value", "PATH=/nowhere", NULL};

/* What the program of there says of itself. */
static int told(int n_words, char **all) {
    char line[64] = "";
    printf("[%s] %d words, last [%s], NAME=%s, ", all[0], n_words, all[n_words - 1], getenv("NAME") ?: "-");
    FILE *file = fopen("/data/deep/er/still/yet/leaf", "r");
    printf("%s", file && fgets(line, sizeof line, file) ? line : "no file\n");
    return 7;
}

static void ended(const char *name, pid_t child) {
    int status = 0;
    fflush(stdout);
    if (child < 0 || waitpid(child, &status, 0) != child) say(name, -1);
    else printf("%s: ended with %d\n", name, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    fflush(stdout);
}

#define CHILD(name, call) do { \
    fflush(stdout); \
    pid_t child = fork(); \
    if (!child) { call; printf("%s: %s\n", name, strerrorname_np(errno)); fflush(stdout); _exit(1); } \
    ended(name, child); \
} while (0)

static void by_path(const char *path) {
    printf("== %s\n", path);
    CHILD("execve", execve(path, words, variables));
    CHILD("execv", execv(path, words));
    CHILD("execvp", execvp(path, words));
    CHILD("execveat", execveat(AT_FDCWD, path, words, variables, 0));
    CHILD("execl", execl(path, "as said", "told", "a b", NULL));
    CHILD("execle", execle(path, "as said", "told", "2", "3", "4", "5", "6", "7", "8", "9", NULL, variables));
    fflush(stdout);
    pid_t child = vfork();
    if (!child) { execve(path, words, variables); _exit(errno); }
    ended("vfork", child);
    child = -1;
    int outcome = posix_spawn(&child, path, NULL, NULL, words, variables);
    if (outcome) printf("posix_spawn: %s\n", strerrorname_np(outcome));
    else ended("posix_spawn", child);
}

static void by_name(const char *name) {
    printf("== %s\n", name);
    CHILD("execvp", execvp(name, words));
    CHILD("execvpe", execvpe(name, words, variables));
    CHILD("execlp", execlp(name, "as said", "told", "2", "3", "4", "5", "6", "7", "8", NULL));
    pid_t child = -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, 1, 9);
    posix_spawn_file_actions_addclose(&actions, 3);
    int outcome = posix_spawnp(&child, name, &actions, NULL, words, environ);
    if (outcome) printf("posix_spawnp: %s\n", strerrorname_np(outcome));
    else ended("posix_spawnp", child);
}

static void by_descriptor(const char *path, int flags) {
    int fd = open(path, O_RDONLY | flags);
    CHILD("fexecve", fexecve(fd, words, variables));
    int folder = open("/data/bin", O_RDONLY | O_DIRECTORY);
    CHILD("beneath", execveat(folder, strrchr(path, '/') + 1, words, variables, 0));
    close(fd);
    close(folder);
}

static void *becomes(void *path) {
    execve(path, words, variables);
    printf("thread: %s\n", strerrorname_np(errno));
    _exit(1);
}

static void by_a_thread(char *path) {
    pthread_t thread;
    pthread_create(&thread, NULL, becomes, path);
    pthread_join(thread, NULL);
}

int main(int n_words, char **all) {
    if (n_words > 1) return told(n_words, all);
    by_path("/data/bin/tool");
    by_path("/data/bin/greet");
    by_path("/data/bin/by-tool");
    for (const char *const *it = (const char *[]){"/data/bin/plain", "/data/bin/text", "/data/bin/broken",
             "/data/bin/deep", "/data/bin", "/data/bin/nothing", "/data/bin/tool/x", NULL}; *it; it++) {
        printf("== %s\n", *it);
        CHILD("execve", execve(*it, words, variables));
        CHILD("execvp", execvp(*it, words));
    }
    setenv("PATH", "/usr/bin:/bin:/data/bin", 1);
    by_name("tool");
    by_name("greet");
    by_name("text");
    by_name("plain");
    by_name("nothing");
    printf("== descriptors\n");
    by_descriptor("/data/bin/tool", O_CLOEXEC);
    by_descriptor("/data/bin/tool", 0);
    chdir("/data/bin");
    CHILD("relative", execve("./greet", words, variables));
    CHILD("a thread", by_a_thread("/data/bin/tool"));
    CHILD("a thread, by a script", by_a_thread("/data/bin/greet"));
    CHILD("no words", execve("/data/bin/tool", (char *[]){"alone", "told", NULL}, NULL));
    CHILD("a bad list", execve("/data/bin/tool", (char **)8, variables));
    return 0;
}

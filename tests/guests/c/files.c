// Files by every spelling that the C library has.
#include "story.h"
#include <limits.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void facts(const char *name, const struct stat *st) { printf("%s: %o %ld %ld %ld.%09ld %ld\n", name, st->st_mode, (long)st->st_size, (long)st->st_nlink, st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (long)st->st_blocks > 0); }

int main(void) {
    char b[256]; struct stat st;
    int fd = say("open", open("/app/config.toml", O_RDONLY) > 0) ? open("/app/config.toml", O_RDONLY) : -1;
    said("read", b, read(fd, b, 6)); said("pread", b, pread(fd, b, 4, 20)); fstat(fd, &st); facts("fstat", &st); struct stat other; stat("/app/config.toml", &other); printf("same %d\n", st.st_ino == other.st_ino && st.st_dev == other.st_dev);
    lstat("/data/link", &st); printf("link %o %ld\n", st.st_mode & S_IFMT, (long)st.st_size);
#ifdef STATX_ALL
    struct statx x; say("statx", statx(AT_FDCWD, "/data/orders.txt", AT_SYMLINK_NOFOLLOW, STATX_ALL, &x)); printf("%o %llu %u.%u\n", x.stx_mode, x.stx_size, (unsigned)x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec);
    say("statx of fd", statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x)); printf("%llu\n", x.stx_size);
#endif
    say("openat", openat(AT_FDCWD, "/data/orders.txt", O_RDONLY | O_CLOEXEC) > 0); say("open nofollow", open("/data/link", O_RDONLY | O_NOFOLLOW)); say("open directory", open("/data/orders.txt", O_RDONLY | O_DIRECTORY)); say("open none", open("/data/none", O_RDONLY)); say("open through file", open("/data/orders.txt/x", O_RDONLY)); say("empty path", open("", O_RDONLY));
    int path = open("/data/orders.txt", O_PATH); say("O_PATH read", read(path, b, 1)); fstat(path, &st); facts("O_PATH fstat", &st); close(path);
    FILE *f = fopen("/data/orders.txt", "r"); said_line("fgets", f); fseek(f, -8, SEEK_END); said_line("fgets end", f); printf("%ld\n", ftell(f));
    f = freopen("/app/config.toml", "r", f); said_line("freopen", f); fclose(f);
    say("fopen none", fopen("/data/none", "r") ? 0 : -1); say("freopen none", freopen("/data/none", "r", stdin) ? 0 : -1);
    f = fopen("/data/odd/with space", "re"); char *line = NULL; size_t room = 0; said("getline", line, getline(&line, &room, f)); fclose(f); f = fdopen(open("/data/link", O_RDONLY), "r"); int c = 0; while (fgetc(f) != EOF) c++; printf("fgetc %d\n", c); fclose(f);
    say("access", access("/data/read-only", R_OK)); say("access none", access("/data/none", F_OK)); say("euidaccess", euidaccess("/app/greet", X_OK)); said("readlink", b, readlink("/data/absolute-link", b, sizeof b)); said("readlinkat short", b, readlinkat(AT_FDCWD, "/data/link", b, 3)); say("readlink of file", readlink("/data/orders.txt", b, 9));
    fd = open("/data/one-mebibyte", O_RDONLY); unsigned char *m = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0); unsigned sum = 0; for (int i = 0; i < 1 << 20; i++) sum = sum * 31 + m[i]; printf("mmap %u\n", sum); munmap(m, 1 << 20);
    m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096); m[0] = 'x'; printf("private %c %d\n", m[0], m[1]);
    int copy = dup(fd); lseek(fd, 100, SEEK_SET); printf("dup shares %ld\n", (long)lseek(copy, 0, SEEK_CUR)); say("dup3", dup3(fd, 77, O_CLOEXEC)); printf("flags %x %x\n", fcntl(77, F_GETFD), fcntl(77, F_GETFL) & O_ACCMODE); printf("dupfd %d\n", fcntl(fd, F_DUPFD, 200));
    say("write to read-only", write(fd, "x", 1)); say("lseek past", lseek(fd, 5 << 20, SEEK_SET)); say("read past", read(fd, b, 1));
    int sparse = open("/data/sparse", O_RDONLY); printf("end %ld\n", (long)lseek(sparse, 0, SEEK_END)); pread(sparse, b, 1, 1 << 29); printf("hole %d\n", b[0]);
    int p[2]; pipe(p); off_t at = 9; said("sendfile", b, sendfile(p[1], open("/data/orders.txt", O_RDONLY), &at, 20)); read(p[0], b, 100); said("sent", b, 20); struct iovec v[2] = {{b, 3}, {b + 3, 4}}; say("preadv", preadv(fd, v, 2, 0));
    int here = open("/tmp", O_TMPFILE | O_RDWR, 0600); fd = open("/data/orders.txt", O_RDONLY); while (c = copy_file_range(fd, NULL, here, NULL, 100000, 0), c > 0); printf("copy_file_range %s\n", c < 0 && errno != EXDEV ? strerrorname_np(errno) : "done or elsewhere");
    say("flock", flock(fd, LOCK_SH)); say("getxattr", getxattr("/data/orders.txt", "user.none", b, 9)); say("posix_fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    lseek(fd, 0, SEEK_SET); pid_t child = fork(); if (!child) { said("child", b, read(fd, b, 7)); _exit(5); } int status; waitpid(child, &status, 0); printf("exit %d, offset %ld\n", WEXITSTATUS(status), (long)lseek(fd, 0, SEEK_CUR));
    char name[64]; snprintf(name, sizeof name, "/proc/self/fd/%d", fd); int again = open(name, O_RDONLY); said("again", b, read(again, b, 5)); snprintf(name, sizeof name, "/dev/fd/%d", fd); said("dev", b, read(open(name, O_RDONLY), b, 5));
    // Descriptors as the kernel shows them by path: of a small file and of a large one, of its own process and of its parent.
    char *shown[] = {"/proc/self/fd/90", "/proc/thread-self/fd/90", "/dev/fd/90", "/dev/stdin", "/proc/self/fd/91", name}; dup2(fd, 90); dup2(fd, 0); dup2(open("/data/big", O_RDONLY), 91); snprintf(name, sizeof name, "/proc/%d/fd/90", getpid()); fflush(stdout);
    if (!(child = fork())) { for (int k = 0; k < 6; k++) { struct stat a, f; char real[PATH_MAX] = ""; long m = readlink(shown[k], b, sizeof b); said("link", b, k == 3 ? m > 0 : m); say("a part", readlinkat(AT_FDCWD, shown[k], b, 9)); int code = stat(shown[k], &a); fstat(k == 4 ? 91 : 90, &f); printf("stat %d %d %d %d %ld\n", code, a.st_ino == f.st_ino, a.st_dev == f.st_dev, a.st_uid == f.st_uid, (long)a.st_nlink); 
#ifdef STATX_BASIC_STATS
        struct statx x = {0}; statx(AT_FDCWD, shown[k], 0, STATX_BASIC_STATS, &x); printf("statx %d %d\n", x.stx_ino == f.st_ino, x.stx_nlink);
#endif
        lstat(shown[k], &a); printf("link %d, %s\n", S_ISLNK(a.st_mode), realpath(shown[k], real) ? real : strerrorname_np(errno)); } _exit(0); } waitpid(child, &status, 0);
    long n = 0; fd = open("/data/big", O_RDONLY); static char block[65536]; for (long l; (l = read(fd, block, sizeof block)) > 0;) n += l; printf("big %ld\n", n);
    return 0;
}

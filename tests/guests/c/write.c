// Changing files by every spelling that the C library has.
#include "story.h"
#include <sys/file.h>
#include <sys/time.h>
#include <utime.h>
#define B "/data/out/c-write"

int main(void) {
    char b[256]; struct stat st; umask(022);
    say("mkdir", mkdir(B, 0755)); say("mkdir again", mkdir(B, 0755)); int d = open(B, O_RDONLY | O_DIRECTORY);
    int fd = creat(B "/a", 0640); say("write", write(fd, "hello", 5)); fstat(fd, &st); printf("%o %ld\n", st.st_mode, (long)st.st_size); close(fd);
    say("excl", open(B "/a", O_CREAT | O_EXCL | O_WRONLY, 0600)); fd = open(B "/a", O_WRONLY | O_APPEND); int other = openat(d, "a", O_WRONLY | O_APPEND); for (int i = 0; i < 3; i++) write(fd, "1", 1), write(other, "2", 1); close(fd); close(other);
    FILE *f = fopen(B "/a", "a+"); fputs(" more", f); rewind(f); said_line("a+", f); fclose(f); f = fopen(B "/a", "r+"); fputc('H', f); fclose(f); f = fopen(B "/w", "w"); fprintf(f, "%d\n", 42); f = freopen(B "/w2", "w", f); fputs("second", f); fclose(f); stat(B "/w2", &st); printf("%ld\n", (long)st.st_size); say("x", fopen(B "/a", "wx") ? 0 : -1);
    fd = open(B "/a", O_RDONLY); said("read", b, read(fd, b, 99)); say("write to it", write(fd, "x", 1)); close(fd);
    say("rename", rename(B "/a", B "/b")); say("renameat", renameat(d, "b", d, "c")); say("renameat2", renameat2(d, "c", d, "w", RENAME_NOREPLACE)); say("exchange", renameat2(d, "c", d, "w", RENAME_EXCHANGE)); say("rename none", rename(B "/none", B "/n"));
    say("link", link(B "/w", B "/h")); say("linkat", linkat(d, "w", d, "h2", 0)); say("symlink", symlink("w", B "/s")); say("symlinkat", symlinkat("none", d, "s2")); stat(B "/s", &st); printf("%ld\n", (long)st.st_nlink);
    say("unlink", unlink(B "/h")); say("unlinkat", unlinkat(d, "h2", 0)); say("remove", remove(B "/s2")); say("mkdirat", mkdirat(d, "sub", 0700)); say("remove dir", remove(B "/sub")); say("rmdir none", rmdir(B "/sub")); say("rmdir full", rmdir(B)); say("unlinkat dir", (mkdirat(d, "sub", 0700), unlinkat(d, "sub", AT_REMOVEDIR)));
    say("chmod", chmod(B "/w", 0600)); say("fchmodat", fchmodat(d, "w", 0644, 0)); say("chown", chown(B "/w", -1, -1)); say("lchown", lchown(B "/s", -1, -1)); say("fchownat", fchownat(d, "w", getuid(), getgid(), 0));
    struct timespec t[2] = {{1000, 5}, {2000, 7}}; say("utimensat", utimensat(d, "w", t, 0)); stat(B "/w", &st); printf("%ld %ld\n", st.st_mtim.tv_sec, st.st_mtim.tv_nsec); struct utimbuf u = {3, 4}; say("utime", utime(B "/w", &u)); struct timeval v[2] = {{5, 6}, {7, 8}}; say("utimes", utimes(B "/w", v)); say("lutimes", lutimes(B "/s", v)); stat(B "/w", &st); printf("%ld %ld\n", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    say("truncate", truncate(B "/w", 3)); stat(B "/w", &st); printf("%ld\n", (long)st.st_size); say("mkfifo", mkfifo(B "/fifo", 0600)); lstat(B "/fifo", &st); printf("%o\n", st.st_mode);
    fd = open(B "/m", O_RDWR | O_CREAT, 0600); ftruncate(fd, 4096); char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); strcpy(m + 100, "mapped"); msync(m, 4096, MS_SYNC); said("msync", b, pread(fd, b, 6, 100)); fchmod(fd, 0611); fstat(fd, &st); printf("%o\n", st.st_mode); futimens(fd, t); say("fallocate", posix_fallocate(fd, 0, 10000)); fstat(fd, &st); printf("%ld\n", (long)st.st_size);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; say("lock", fcntl(fd, F_SETLK, &lock)); if (!fork()) { int again = open(B "/m", O_RDWR); struct flock mine = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; say("child's lock", fcntl(again, F_SETLK, &mine)); _exit(0); } wait(NULL);
    char name[] = B "/t-XXXXXX"; fd = mkstemp(name); say("mkstemp", fd > 0); say("in place", !strncmp(name, B, sizeof B - 1)); unlink(name); write(fd, "gone", 4); said("unlinked", b, pread(fd, b, 9, 0)); char dir[] = B "/d-XXXXXX"; say("mkdtemp", mkdtemp(dir) ? 0 : -1); rmdir(dir); char suffixed[] = B "/XXXXXX.txt"; fd = mkstemps(suffixed, 4); say("mkstemps", fd > 0); unlink(suffixed);
    say("chdir", chdir(B)); say("relative", open("rel", O_CREAT | O_WRONLY, 0600) > 0); say("access", access(B "/rel", F_OK)); say("up", rename("rel", "../c-moved")); say("back", unlink("../c-moved")); chdir("/");
    for (const char *const *it = (const char *const[]){"w", "w2", "s", "fifo", "m", "c", NULL}; *it; it++) unlinkat(d, *it, 0); say("rmdir", rmdir(B)); say("stat gone", stat(B, &st)); return 0;
}

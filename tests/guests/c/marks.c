// What a file says of itself, changed through a descriptor that was opened only for reading.
#include "story.h"
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#define B "/data/out/c-marks"

static struct stat st;

static void both(const char *name, int fd) {
    fstat(fd, &st);
    printf("%s by descriptor: %o %ld.%09ld\n", name, st.st_mode, (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    stat(B "/a", &st);
    printf("%s by path: %o %ld.%09ld\n", name, st.st_mode, (long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
}

static void attributes(int fd) {
    char list[256] = "", value[64] = "";
    said("flistxattr", list, flistxattr(fd, list, sizeof list));
    said("fgetxattr", value, fgetxattr(fd, "user.a", value, sizeof value));
    say("fgetxattr size", fgetxattr(fd, "user.a", NULL, 0));
    say("fgetxattr none", fgetxattr(fd, "user.none", value, sizeof value));
    said("getxattr", value, getxattr(B "/a", "user.a", value, sizeof value));
}

int main(void) {
    umask(022);
    say("mkdir", mkdir(B, 0755));
    int fd = creat(B "/a", 0640);
    say("write", write(fd, "hello", 5));
    close(fd);
    for (int i = 0; i < 2; i++) {
        fd = open(B "/a", O_RDONLY | (i ? O_CLOEXEC : 0));
        struct timespec ns[2] = {{1000, 5}, {2000 + i, 7}}, odd[2] = {{1, 2000000000}, {1, 0}};
        struct timeval us[2] = {{5, 6}, {7 + i, 8}}, wrong[2] = {{5, 1000000}, {0, 0}};
        struct statfs f, g;
        say("futimens", futimens(fd, ns)); both("futimens", fd);
        say("odd", futimens(fd, odd)); both("odd", fd);
        say("futimes", futimes(fd, us)); both("futimes", fd);
        say("wrong", futimes(fd, wrong)); both("wrong", fd);
        ns[0].tv_nsec = UTIME_OMIT; ns[1].tv_sec += 50;
        say("utimensat", utimensat(fd, "", ns, AT_EMPTY_PATH)); both("utimensat", fd);
        ns[1].tv_sec++;
        say("by number", syscall(SYS_utimensat, fd, NULL, ns, 0)); both("by number", fd);
        us[1].tv_sec += 60;
        say("futimesat", futimesat(fd, NULL, us)); both("futimesat", fd);
        say("fchmod", fchmod(fd, 0604 + i)); both("fchmod", fd);
        say("fchmod by number", syscall(SYS_fchmod, fd, 0642)); both("fchmod by number", fd);
        say("fchown", fchown(fd, -1, -1)); say("fchown", fchown(fd, getuid(), getgid()));
        say("fchownat", fchownat(fd, "", -1, -1, AT_EMPTY_PATH)); both("fchown", fd);
        say("fsetxattr", fsetxattr(fd, "user.a", "words", 5, 0)); attributes(fd);
        say("fsetxattr again", fsetxattr(fd, "user.a", "more", 4, XATTR_CREATE)); attributes(fd);
        say("fremovexattr", fremovexattr(fd, "user.a")); attributes(fd);
        say("fremovexattr again", fremovexattr(fd, "user.a"));
        say("fstatfs", fstatfs(fd, &f)); statfs(B "/a", &g); say("same", f.f_type == g.f_type && f.f_blocks == g.f_blocks);
        say("ftruncate", ftruncate(fd, 0)); say("fallocate", fallocate(fd, 0, 0, 100));
        futimens(fd, NULL); stat(B "/a", &st); say("now", st.st_mtim.tv_sec > 1600000000); fstat(fd, &st); say("now", st.st_mtim.tv_sec > 1600000000);
        char b[16]; said("read", b, read(fd, b, sizeof b));
        close(fd);
    }
    say("none", fchmod(999, 0600)); say("none", futimens(-1, NULL)); say("none", fgetxattr(-1, "user.a", NULL, 0));
    char path[400] = B "/", b[16]; /* A path that does not fit the name of a memory file. */
    memset(path + strlen(path), 'x', 230);
    fd = creat(path, 0600); write(fd, "long", 4); close(fd);
    fd = open(path, O_RDONLY); said("long", b, read(fd, b, sizeof b));
    say("fchmod", fchmod(fd, 0611)); stat(path, &st); printf("%o\n", st.st_mode); fstat(fd, &st); printf("%o\n", st.st_mode);
    close(fd); say("unlink", unlink(path));
    say("unlink", unlink(B "/a")); say("rmdir", rmdir(B));
    return 0;
}

/* Makes the calls that its arguments name, one after the other, and prints what came of each. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <fts.h>
#include <glob.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__realpath_chk(const char *, char *, size_t);
char *__getcwd_chk(char *, size_t, size_t);
int __xstat(int, const char *, struct stat *);
int __lxstat(int, const char *, struct stat *);
int __fxstat(int, int, struct stat *);
int __fxstatat(int, int, const char *, struct stat *, int);

static int dir = AT_FDCWD;
static struct stat st;
static char text[PATH_MAX];

static void number(long outcome) {
    if (outcome < 0) printf("%s\n", strerrorname_np(errno));
    else printf("%ld\n", outcome);
}
static void done(int status) { puts(status < 0 ? strerrorname_np(errno) : "done"); }
static void contents(int fd) {
    if (fd < 0) { puts(strerrorname_np(errno)); return; }
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0) puts(strerrorname_np(errno));
    else printf("%d %s %.*s\n", fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? "closes" : "stays", (int)n, text);
    close(fd);
}
static void stream(FILE *file) {
    if (!file) { puts(strerrorname_np(errno)); return; }
    if (!fgets(text, sizeof text, file)) strcpy(text, "empty");
    puts(text);
    if (file != stdin) fclose(file);
}
static void written(int fd, const char *what) {
    if (fd < 0) { puts(strerrorname_np(errno)); return; }
    if (write(fd, what, strlen(what)) < 0) puts(strerrorname_np(errno));
    else puts("written");
    close(fd);
}
static void attributes(int status) {
    if (status < 0) puts(strerrorname_np(errno));
    else printf("%o %ld\n", st.st_mode, (long)st.st_size);
}
static void said(const char *path) { puts(path ? path : strerrorname_np(errno)); }
static void bytes(ssize_t n) {
    if (n < 0) puts(strerrorname_np(errno));
    else printf("%.*s\n", (int)n, text);
}
static int no_dots(const struct dirent *entry) { return entry->d_name[0] != '.'; }
static void entries(struct dirent **list, int n) {
    if (n < 0) { puts(strerrorname_np(errno)); return; }
    for (int i = 0; i < n; i++) printf("%s ", list[i]->d_name);
    puts("");
}
static int visit(const char *path, const struct stat *s, int kind, struct FTW *where) {
    (void)s;
    printf("%s:%d:%d ", path, kind, where->level);
    return 0;
}
static int visit_plainly(const char *path, const struct stat *s, int kind) {
    (void)s;
    printf("%s:%d ", path, kind);
    return 0;
}
static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static void *wait_for_writer(void *path) {
    open(path, O_RDONLY);
    return NULL;
}

/* What is done by a descriptor that was opened only for reading. */
static void by_descriptor(const char *name, int fd, const char *a, const char *b) {
    struct timespec ns[2] = { { 0, UTIME_OMIT }, { 21, 22 } };
    struct timeval us[2] = { { 5, 0 }, { 23, 0 } };
    struct statfs f;
    struct statvfs v;
    if (fd < 0) { puts(strerrorname_np(errno)); return; }
    if (b && !strcmp(name, "fchmod") && rename(b, a)) puts(strerrorname_np(errno));
    if (!strcmp(name, "fchmod")) done(fchmod(fd, 0610));
    else if (!strcmp(name, "syscall-fchmod")) done(syscall(SYS_fchmod, fd, 0611));
    else if (!strcmp(name, "fchown")) done(fchown(fd, -1, -1));
    else if (!strcmp(name, "fchownat")) done(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
    else if (!strcmp(name, "futimens")) done(futimens(fd, ns));
    else if (!strcmp(name, "utimensat")) done(utimensat(fd, "", ns, AT_EMPTY_PATH));
    else if (!strcmp(name, "syscall-utimensat")) { ns[1].tv_sec++; done(syscall(SYS_utimensat, fd, NULL, ns, 0)); }
    else if (!strcmp(name, "futimes")) done(futimes(fd, us));
    else if (!strcmp(name, "futimesat")) { us[1].tv_sec++; done(futimesat(fd, NULL, us)); }
    else if (!strcmp(name, "fsetxattr")) done(fsetxattr(fd, b, "v", 1, 0));
    else if (!strcmp(name, "fgetxattr")) bytes(fgetxattr(fd, b, text, sizeof text));
    else if (!strcmp(name, "flistxattr")) number(flistxattr(fd, text, sizeof text));
    else if (!strcmp(name, "fremovexattr")) done(fremovexattr(fd, b));
    else if (!strcmp(name, "fstatfs")) { if (fstatfs(fd, &f)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)f.f_type); }
    else if (!strcmp(name, "fstatvfs")) { if (fstatvfs(fd, &v)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)v.f_namemax); }
    else puts("no such call");
    /* And what it says then. */
    if (!fstat(fd, &st) && strstr(name, "chmod")) printf("%o\n", st.st_mode & 07777);
    if (!fstat(fd, &st) && strstr(name, "utime")) printf("%ld\n", (long)st.st_mtime);
    close(fd);
}

static void call(const char *name, char *a, char *b) {
    if (!strcmp(name, "at")) { dir = open(a, O_RDONLY | O_DIRECTORY); number(dir < 0 ? -1 : 0); }
    else if (!strcmp(name, "open")) contents(open(a, O_RDONLY));
    else if (!strcmp(name, "open-cloexec")) contents(open(a, O_RDONLY | O_CLOEXEC));
    else if (!strcmp(name, "open64")) contents(open64(a, O_RDONLY));
    else if (!strcmp(name, "__open_2")) contents(__open_2(a, O_RDONLY));
    else if (!strcmp(name, "__open64_2")) contents(__open64_2(a, O_RDONLY));
    else if (!strcmp(name, "openat")) contents(openat(dir, a, O_RDONLY));
    else if (!strcmp(name, "openat64")) contents(openat64(dir, a, O_RDONLY));
    else if (!strcmp(name, "__openat_2")) contents(__openat_2(dir, a, O_RDONLY));
    else if (!strcmp(name, "__openat64_2")) contents(__openat64_2(dir, a, O_RDONLY));
    else if (!strcmp(name, "syscall-openat")) contents(syscall(SYS_openat, dir, a, O_RDONLY, 0));
    else if (!strcmp(name, "io_uring_setup")) number(syscall(SYS_io_uring_setup, 1, text));
    else if (!strcmp(name, "syscall-seven")) {
        void *p = (void *)syscall(SYS_mmap, 0L, 4096L, 3L, 0x22L, -1L, 0L);
        puts(p == (void *)-1 ? strerrorname_np(errno) : "mapped");
    }
    else if (!strcmp(name, "write")) written(open(a, O_WRONLY | O_CREAT | O_TRUNC, 0666), b);
    else if (!strcmp(name, "append")) written(open(a, O_WRONLY | O_APPEND), b);
    else if (!strcmp(name, "writeat")) written(openat(dir, a, O_WRONLY | O_CREAT, 0666), b);
    else if (!strcmp(name, "creat")) written(creat(a, 0666), b);
    else if (!strcmp(name, "creat64")) written(creat64(a, 0666), b);
    else if (!strcmp(name, "fopen")) stream(fopen(a, "r"));
    else if (!strcmp(name, "fopen64")) stream(fopen64(a, "re"));
    else if (!strcmp(name, "fopen-write")) { FILE *f = fopen(a, "w"); if (!f) puts(strerrorname_np(errno)); else { fputs(b, f); done(fclose(f)); } }
    else if (!strcmp(name, "freopen")) stream(freopen(a, "r", stdin));
    else if (!strcmp(name, "freopen64")) stream(freopen64(a, "r", stdin));
    else if (!strcmp(name, "stat")) attributes(stat(a, &st));
    else if (!strcmp(name, "stat64")) attributes(stat64(a, (struct stat64 *)&st));
    else if (!strcmp(name, "lstat")) attributes(lstat(a, &st));
    else if (!strcmp(name, "lstat64")) attributes(lstat64(a, (struct stat64 *)&st));
    else if (!strcmp(name, "fstatat")) attributes(fstatat(dir, a, &st, 0));
    else if (!strcmp(name, "fstatat64")) attributes(fstatat64(dir, a, (struct stat64 *)&st, AT_SYMLINK_NOFOLLOW));
    else if (!strcmp(name, "__xstat")) attributes(__xstat(1, a, &st));
    else if (!strcmp(name, "__lxstat")) attributes(__lxstat(1, a, &st));
    else if (!strcmp(name, "__fxstatat")) attributes(__fxstatat(1, dir, a, &st, 0));
    else if (!strcmp(name, "syscall-newfstatat")) attributes(syscall(SYS_newfstatat, dir, a, &st, 0));
    else if (!strcmp(name, "statx")) {
        struct statx x;
        if (statx(dir, a, 0, STATX_ALL, &x) < 0) puts(strerrorname_np(errno));
        else printf("%o %llu\n", x.stx_mode, (unsigned long long)x.stx_size);
    }
    else if (!strcmp(name, "fstat-same")) {
        /* Whether a file says the same of itself by path and by descriptor, however it is asked. */
        struct stat by_fd, empty;
        struct statx x;
        int fd = open(a, O_RDONLY);
        if (fd < 0 || stat(a, &st) < 0 || fstat(fd, &by_fd) < 0 || fstatat(fd, "", &empty, AT_EMPTY_PATH) < 0
            || statx(fd, "", AT_EMPTY_PATH, STATX_ALL, &x) < 0) puts(strerrorname_np(errno));
        else {
            struct stat *all[] = { &by_fd, &empty };
            for (int i = 0; i < 2; i++)
                if (all[i]->st_dev != st.st_dev || all[i]->st_ino != st.st_ino || all[i]->st_size != st.st_size
                    || all[i]->st_nlink != st.st_nlink || all[i]->st_uid != st.st_uid) puts("differs");
            puts(x.stx_ino == st.st_ino && x.stx_nlink == st.st_nlink ? "same" : "differs");
        }
    }
    else if (!strcmp(name, "access")) done(access(a, b ? atoi(b) : R_OK));
    else if (!strcmp(name, "eaccess")) done(eaccess(a, R_OK));
    else if (!strcmp(name, "euidaccess")) done(euidaccess(a, R_OK));
    else if (!strcmp(name, "faccessat")) done(faccessat(dir, a, R_OK, 0));
    else if (!strcmp(name, "readlink")) bytes(readlink(a, text, sizeof text));
    else if (!strcmp(name, "readlink-short")) bytes(readlink(a, text, 3));
    else if (!strcmp(name, "readlinkat")) bytes(readlinkat(dir, a, text, sizeof text));
    else if (!strcmp(name, "__readlink_chk")) bytes(__readlink_chk(a, text, sizeof text, sizeof text));
    else if (!strcmp(name, "__readlinkat_chk")) bytes(__readlinkat_chk(dir, a, text, sizeof text, sizeof text));
    else if (!strcmp(name, "realpath")) said(realpath(a, text));
    else if (!strcmp(name, "realpath-null")) { char *p = realpath(a, NULL); said(p); free(p); }
    else if (!strcmp(name, "__realpath_chk")) said(__realpath_chk(a, text, sizeof text));
    else if (!strcmp(name, "canonicalize_file_name")) { char *p = canonicalize_file_name(a); said(p); free(p); }
    else if (!strcmp(name, "chdir")) done(chdir(a));
    else if (!strcmp(name, "fchdir")) done(fchdir(dir));
    else if (!strcmp(name, "getcwd")) said(getcwd(text, sizeof text));
    else if (!strcmp(name, "getcwd-null")) { char *p = getcwd(NULL, 0); said(p); free(p); }
    else if (!strcmp(name, "getcwd-short")) said(getcwd(text, 2));
    else if (!strcmp(name, "__getcwd_chk")) said(__getcwd_chk(text, sizeof text, sizeof text));
    else if (!strcmp(name, "get_current_dir_name")) { char *p = get_current_dir_name(); said(p); free(p); }
    else if (!strcmp(name, "opendir")) {
        DIR *d = opendir(a);
        if (!d) puts(strerrorname_np(errno));
        else {
            int n = 0;
            for (struct dirent *e; (e = readdir(d));) n += no_dots(e);
            printf("%d entries\n", n);
            closedir(d);
        }
    }
    else if (!strcmp(name, "scandir")) { struct dirent **list; entries(list, scandir(a, &list, no_dots, alphasort)); }
    else if (!strcmp(name, "scandirat")) { struct dirent **list; int n = scandirat(dir, a, &list, no_dots, alphasort); entries(list, n); }
    else if (!strcmp(name, "glob") || !strcmp(name, "glob64")) {
        glob_t g;
        int status = glob(a, 0, NULL, &g);
        if (status) printf("glob %d\n", status);
        else { for (size_t i = 0; i < g.gl_pathc; i++) printf("%s ", g.gl_pathv[i]); puts(""); globfree(&g); }
    }
    else if (!strcmp(name, "nftw")) { int s = nftw(a, visit, 8, FTW_PHYS); if (s < 0) puts(strerrorname_np(errno)); else puts(""); }
    else if (!strcmp(name, "nftw-depth")) { int s = nftw(a, visit, 8, FTW_PHYS | FTW_DEPTH); if (s < 0) puts(strerrorname_np(errno)); else puts(""); }
    else if (!strcmp(name, "ftw")) { int s = ftw(a, visit_plainly, 8); if (s < 0) puts(strerrorname_np(errno)); else puts(""); }
    else if (!strcmp(name, "fts")) {
        char *roots[] = { a, NULL };
        FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
        if (!tree) { puts(strerrorname_np(errno)); return; }
        for (FTSENT *e; (e = fts_read(tree));) printf("%s:%d:%d ", e->fts_path, e->fts_info, e->fts_level);
        puts("");
        fts_close(tree);
    }
    else if (!strcmp(name, "mkdir")) done(mkdir(a, 0777));
    else if (!strcmp(name, "mkdirat")) done(mkdirat(dir, a, 0777));
    else if (!strcmp(name, "mknod")) done(mknod(a, S_IFREG | 0600, 0));
    else if (!strcmp(name, "mknodat")) done(mknodat(dir, a, S_IFREG | 0600, 0));
    else if (!strcmp(name, "mkfifo")) done(mkfifo(a, 0600));
    else if (!strcmp(name, "mkfifoat")) done(mkfifoat(dir, a, 0600));
    else if (!strcmp(name, "rmdir")) done(rmdir(a));
    else if (!strcmp(name, "unlink")) done(unlink(a));
    else if (!strcmp(name, "unlinkat")) done(unlinkat(dir, a, 0));
    else if (!strcmp(name, "unlinkat-dir")) done(unlinkat(dir, a, AT_REMOVEDIR));
    else if (!strcmp(name, "remove")) done(remove(a));
    else if (!strcmp(name, "rename")) done(rename(a, b));
    else if (!strcmp(name, "renameat")) done(renameat(dir, a, dir, b));
    else if (!strcmp(name, "renameat2")) done(renameat2(dir, a, dir, b, RENAME_NOREPLACE));
    else if (!strcmp(name, "link")) done(link(a, b));
    else if (!strcmp(name, "linkat")) done(linkat(dir, a, dir, b, 0));
    else if (!strcmp(name, "symlink")) done(symlink(a, b));
    else if (!strcmp(name, "symlinkat")) done(symlinkat(a, dir, b));
    else if (!strcmp(name, "chmod")) done(chmod(a, 0640));
    else if (!strcmp(name, "lchmod")) done(lchmod(a, 0640));
    else if (!strcmp(name, "fchmodat")) done(fchmodat(dir, a, 0600, 0));
    else if (!strcmp(name, "chown")) done(chown(a, -1, -1));
    else if (!strcmp(name, "lchown")) done(lchown(a, -1, -1));
    else if (!strcmp(name, "fchownat")) done(fchownat(dir, a, -1, -1, 0));
    else if (!strcmp(name, "utime")) { struct utimbuf t = { 5, 7 }; done(utime(a, &t)); }
    else if (!strcmp(name, "utimes")) { struct timeval t[2] = { { 5, 0 }, { 8, 0 } }; done(utimes(a, t)); }
    else if (!strcmp(name, "lutimes")) { struct timeval t[2] = { { 5, 0 }, { 9, 0 } }; done(lutimes(a, t)); }
    else if (!strcmp(name, "futimesat")) { struct timeval t[2] = { { 5, 0 }, { 10, 0 } }; done(futimesat(dir, a, t)); }
    else if (!strcmp(name, "utimensat")) { struct timespec t[2] = { { 0, UTIME_OMIT }, { 11, 12 } }; done(utimensat(dir, a, t, 0)); }
    else if (!strcmp(name, "utimensat-now")) done(utimensat(dir, a, NULL, 0));
    else if (!strcmp(name, "mtime")) { if (stat(a, &st)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)st.st_mtime); }
    else if (!strcmp(name, "truncate")) done(truncate(a, 2));
    else if (!strcmp(name, "truncate64")) done(truncate64(a, 1));
    else if (!strcmp(name, "statfs")) { struct statfs f; if (statfs(a, &f)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)f.f_type); }
    else if (!strcmp(name, "statfs64")) { struct statfs64 f; if (statfs64(a, &f)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)f.f_type); }
    else if (!strcmp(name, "statvfs")) { struct statvfs f; if (statvfs(a, &f)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)f.f_namemax); }
    else if (!strcmp(name, "statvfs64")) { struct statvfs64 f; if (statvfs64(a, &f)) puts(strerrorname_np(errno)); else printf("%ld\n", (long)f.f_namemax); }
    else if (!strcmp(name, "mkstemp")) { strcpy(text, a); int fd = mkstemp(text); if (fd < 0) puts(strerrorname_np(errno)); else { printf("%zu %d\n", strspn(text, a) > 0 ? strlen(text) : 0, fcntl(fd, F_GETFD)); close(fd); } }
    else if (!strcmp(name, "mkostemp")) { strcpy(text, a); int fd = mkostemp(text, O_CLOEXEC); if (fd < 0) puts(strerrorname_np(errno)); else { printf("%zu %d\n", strlen(text), fcntl(fd, F_GETFD)); close(fd); } }
    else if (!strcmp(name, "mkstemps")) { strcpy(text, a); int fd = mkstemps(text, 4); if (fd < 0) puts(strerrorname_np(errno)); else { puts(text + strlen(text) - 4); close(fd); } }
    else if (!strcmp(name, "mkostemps")) { strcpy(text, a); int fd = mkostemps(text, 4, O_APPEND); if (fd < 0) puts(strerrorname_np(errno)); else { puts(text + strlen(text) - 4); close(fd); } }
    else if (!strcmp(name, "mkdtemp")) { strcpy(text, a); char *p = mkdtemp(text); puts(p ? strstr(p, "XXXXXX") ? "kept" : "made" : strerrorname_np(errno)); }
    else if (!strcmp(name, "mktemp")) { strcpy(text, a); char *p = (mktemp)(text); puts(*p ? strstr(p, "XXXXXX") ? "kept" : "made" : strerrorname_np(errno)); }
    else if (!strcmp(name, "getxattr")) bytes(getxattr(a, b, text, sizeof text));
    else if (!strcmp(name, "lgetxattr")) bytes(lgetxattr(a, b, text, sizeof text));
    else if (!strcmp(name, "getxattr-size")) number(getxattr(a, b, NULL, 0));
    else if (!strcmp(name, "getxattr-short")) number(getxattr(a, b, text, 1));
    else if (!strcmp(name, "listxattr")) number(listxattr(a, text, sizeof text));
    else if (!strcmp(name, "llistxattr")) number(llistxattr(a, text, sizeof text));
    else if (!strcmp(name, "setxattr")) done(setxattr(a, b, "v", 1, 0));
    else if (!strcmp(name, "lsetxattr")) done(lsetxattr(a, b, "w", 1, 0));
    else if (!strcmp(name, "removexattr")) done(removexattr(a, b));
    else if (!strcmp(name, "lremovexattr")) done(lremovexattr(a, b));
    else if (!strncmp(name, "fd-", 3)) by_descriptor(name + 3, open(a, O_RDONLY), a, b);
    else if (!strcmp(name, "pathconf")) number(pathconf(a, _PC_NAME_MAX));
    else if (!strcmp(name, "inotify")) { int i = inotify_init1(0); number(inotify_add_watch(i, a, IN_MODIFY) < 0 ? -1 : 0); close(i); }
    else if (!strcmp(name, "errno")) { errno = 77; open("/", O_RDONLY); printf("%d\n", errno); }
    else if (!strcmp(name, "null")) { char *volatile none = NULL; number(open(none, O_RDONLY)); }
    else if (!strcmp(name, "cancel")) {
        /* A thread is cancelled where it waits: for a writer of a fifo. */
        pthread_t thread;
        void *end;
        pthread_create(&thread, NULL, wait_for_writer, a);
        pthread_cancel(thread);
        pthread_join(thread, &end);
        puts(end == PTHREAD_CANCELED ? "cancelled" : "ended");
    }
    else printf("unknown call %s\n", name);
}

/* Calls are separated by `;`: name, and up to two arguments. */
int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *words[3] = { NULL, NULL, NULL };
        for (int n = 0; i < argc && strcmp(argv[i], ";"); i++)
            if (n < 3) words[n++] = argv[i];
        if (words[0]) call(words[0], words[1], words[2]);
    }
    return 0;
}

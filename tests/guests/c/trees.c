// Trees and patterns: functions that reach the kernel inside the C library.
#include "story.h"
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

static int n_files, n_dirs;
static long n_bytes;
static int visit(const char *path, const struct stat *st, int kind, struct FTW *where) {
    (void)path; (void)where;
    if (kind == FTW_F) n_files++, n_bytes += st->st_size;
    if (kind == FTW_D) n_dirs++;
    return 0;
}
static int visit_old(const char *path, const struct stat *st, int kind) { (void)path; (void)st; n_files += kind == FTW_F; return 0; }
static int not_dots(const struct dirent *it) { return it->d_name[0] != '.'; }
static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

int main(void) {
    say("nftw", nftw("/data/deep", visit, 10, FTW_PHYS)); printf("%d %d %ld\n", n_files, n_dirs, n_bytes);
    say("nftw many", nftw("/data/many", visit, 10, FTW_PHYS)); printf("%d %d %ld\n", n_files, n_dirs, n_bytes);
    say("ftw", ftw("/data/odd", visit_old, 10)); printf("%d\n", n_files);
    say("nftw none", nftw("/data/none", visit, 10, 0));
    char *roots[] = {"/data/deep", "/data/odd", NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *it; (it = fts_read(tree));) printf("fts %d %s %ld\n", it->fts_info, it->fts_path, it->fts_info == FTS_F ? (long)it->fts_statp->st_size : 0);
    fts_close(tree);
    tree = fts_open(roots, FTS_PHYSICAL, by_name);
    int n = 0; while (fts_read(tree)) n++; fts_close(tree); printf("fts with chdir %d\n", n);
    glob_t found;
    say("glob", glob("/data/many/file-0[12]?", 0, NULL, &found)); printf("%zu %s %s\n", found.gl_pathc, found.gl_pathv[0], found.gl_pathv[found.gl_pathc - 1]); globfree(&found);
    say("glob deep", glob("/data/*/er/*/yet/l*", GLOB_MARK, NULL, &found)); printf("%zu %s\n", found.gl_pathc, found.gl_pathv[0]); globfree(&found);
    say("glob none", glob("/data/none*", 0, NULL, &found));
    struct dirent **names;
    n = scandir("/data/odd", &names, not_dots, alphasort);
    for (int i = 0; i < n; i++) printf("scandir %s %d\n", names[i]->d_name, names[i]->d_type);
    say("scandir none", scandir("/data/none", &names, NULL, NULL));
    DIR *dir = opendir("/data/deep"); n = 0;
    for (struct dirent *it; (it = readdir(dir));) n += it->d_type == DT_DIR;
    printf("readdir %d\n", n); rewinddir(dir); n = 0; while (readdir(dir)) n++; printf("again %d\n", n);
    struct stat st; say("fstatat of a dir", fstatat(dirfd(dir), "er", &st, 0)); say("faccessat", faccessat(dirfd(dir), "er/still", R_OK, 0)); closedir(dir);
    DIR *by_fd = fdopendir(open("/data/many", O_RDONLY | O_DIRECTORY)); n = 0; while (readdir(by_fd)) n++; printf("fdopendir %d\n", n); closedir(by_fd);
    say("opendir file", opendir("/data/orders.txt") ? 0 : -1);
    struct statfs fs; say("statfs", statfs("/data", &fs)); printf("%lx\n", (long)fs.f_type); struct statvfs vfs; say("statvfs", statvfs("/data/orders.txt", &vfs)); say("statfs none", statfs("/data/none", &fs));
    char *real = realpath("/data/link-to-dir/still/../still/yet", NULL); puts(real ? real : "no"); real = realpath("/data/dangling", NULL); say("realpath dangling", real ? 0 : -1);
    char buffer[PATH_MAX]; puts(realpath("/data/absolute-link", buffer) ? buffer : "no"); real = canonicalize_file_name("/data/link"); puts(real ? real : "no");
    say("chdir", chdir("/data/deep")); puts(getcwd(buffer, sizeof buffer)); puts(get_current_dir_name()); puts(realpath("er", buffer)); say("getcwd small", getcwd(buffer, 3) ? 0 : -1);
    int fd = open("er/still", O_RDONLY | O_DIRECTORY); say("fchdir", fchdir(fd)); puts(getcwd(buffer, sizeof buffer)); say("leaf", access("yet/leaf", R_OK)); say("up", open("../../../orders.txt", O_RDONLY) > 0);
    say("chdir here", chdir("/usr/bin")); puts(getcwd(buffer, sizeof buffer)); say("local relative", access("env", X_OK));
    return 0;
}

/* Fails the n-th call of one kind on a path below a folder. For tests/test_failing_calls.py. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NONE, OPEN, READ, WRITE, FSYNC, RENAME, LINK, UNLINK, MKDIR, OPENDIR, READDIR, STAT, UTIME };

static int armed_kind, armed_errno, armed_number;
static char armed_folder[PATH_MAX];
static atomic_int calls;

void fail_call(int kind, int number, int error, const char *folder) {
    strncpy(armed_folder, folder, PATH_MAX - 1);
    armed_number = number, armed_errno = error, calls = 0, armed_kind = kind;
}
int count_calls(void) { return calls; }

static int must_fail(int kind, int folder, const char *path) {
    char whole[2 * PATH_MAX] = "", link[64];
    if (kind != armed_kind) return 0;
    if (!path || path[0] != '/') {
        if (folder == AT_FDCWD) return 0;
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, whole, PATH_MAX - 1);
        if (size < 0) return 0;
        whole[size] = 0;
        if (path) strcat(whole, "/"), strncat(whole, path, PATH_MAX - 1);
    } else strncpy(whole, path, PATH_MAX - 1);
    if (strncmp(whole, armed_folder, strlen(armed_folder))) return 0;
    if (++calls != armed_number) return 0;
    errno = armed_errno;
    return 1;
}

#define REAL(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name))
#define MODE int mode = 0; if (flags & (O_CREAT | O_TMPFILE)) \
    { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); }

#define HOOK_OPEN(name) int name(const char *path, int flags, ...) { MODE \
    if (must_fail(flags & O_DIRECTORY ? OPENDIR : OPEN, AT_FDCWD, path)) return -1; \
    return REAL(int, name, const char *, int, ...)(path, flags, mode); }
#define HOOK_OPENAT(name) int name(int folder, const char *path, int flags, ...) { MODE \
    if (must_fail(flags & O_DIRECTORY ? OPENDIR : OPEN, folder, path)) return -1; \
    return REAL(int, name, int, const char *, int, ...)(folder, path, flags, mode); }
HOOK_OPEN(open) HOOK_OPEN(open64) HOOK_OPENAT(openat) HOOK_OPENAT(openat64)

ssize_t read(int file, void *to, size_t size) {
    if (must_fail(READ, file, NULL)) return -1;
    return REAL(ssize_t, read, int, void *, size_t)(file, to, size);
}
ssize_t write(int file, const void *from, size_t size) {
    if (must_fail(WRITE, file, NULL)) return -1;
    return REAL(ssize_t, write, int, const void *, size_t)(file, from, size);
}
ssize_t copy_file_range(int from, off_t *at, int to, off_t *place, size_t size, unsigned flags) {
    if (must_fail(WRITE, to, NULL)) return -1;
    return REAL(ssize_t, copy_file_range, int, off_t *, int, off_t *, size_t, unsigned)(
        from, at, to, place, size, flags);
}
int fsync(int file) {
    if (must_fail(FSYNC, file, NULL)) return -1;
    return REAL(int, fsync, int)(file);
}
int rename(const char *from, const char *to) {
    if (must_fail(RENAME, AT_FDCWD, to)) return -1;
    return REAL(int, rename, const char *, const char *)(from, to);
}
int renameat(int f, const char *from, int t, const char *to) {
    if (must_fail(RENAME, t, to)) return -1;
    return REAL(int, renameat, int, const char *, int, const char *)(f, from, t, to);
}
int linkat(int f, const char *from, int t, const char *to, int flags) {
    if (must_fail(LINK, t, to)) return -1;
    return REAL(int, linkat, int, const char *, int, const char *, int)(f, from, t, to, flags);
}
int unlink(const char *path) {
    if (must_fail(UNLINK, AT_FDCWD, path)) return -1;
    return REAL(int, unlink, const char *)(path);
}
int unlinkat(int folder, const char *path, int flags) {
    if (must_fail(UNLINK, folder, path)) return -1;
    return REAL(int, unlinkat, int, const char *, int)(folder, path, flags);
}
int mkdir(const char *path, mode_t mode) {
    if (must_fail(MKDIR, AT_FDCWD, path)) return -1;
    return REAL(int, mkdir, const char *, mode_t)(path, mode);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    if (must_fail(MKDIR, folder, path)) return -1;
    return REAL(int, mkdirat, int, const char *, mode_t)(folder, path, mode);
}
DIR *opendir(const char *path) {
    if (must_fail(OPENDIR, AT_FDCWD, path)) return NULL;
    return REAL(DIR *, opendir, const char *)(path);
}
struct dirent *readdir(DIR *folder) {
    if (must_fail(READDIR, dirfd(folder), NULL)) return NULL;
    return REAL(struct dirent *, readdir, DIR *)(folder);
}
struct dirent64 *readdir64(DIR *folder) {
    if (must_fail(READDIR, dirfd(folder), NULL)) return NULL;
    return REAL(struct dirent64 *, readdir64, DIR *)(folder);
}
#define HOOK_STAT(name, type) int name(const char *path, struct type *to) { \
    if (must_fail(STAT, AT_FDCWD, path)) return -1; \
    return REAL(int, name, const char *, struct type *)(path, to); }
#define HOOK_STATAT(name, type) \
    int name(int folder, const char *path, struct type *to, int flags) { \
    if (must_fail(STAT, folder, path)) return -1; \
    return REAL(int, name, int, const char *, struct type *, int)(folder, path, to, flags); }
HOOK_STAT(stat, stat) HOOK_STAT(stat64, stat64) HOOK_STAT(lstat, stat) HOOK_STAT(lstat64, stat64)
HOOK_STATAT(fstatat, stat) HOOK_STATAT(fstatat64, stat64)
int futimens(int file, const struct timespec times[2]) {
    if (must_fail(UTIME, file, NULL)) return -1;
    return REAL(int, futimens, int, const struct timespec *)(file, times);
}
int utimensat(int folder, const char *path, const struct timespec times[2], int flags) {
    if (must_fail(UTIME, folder, path)) return -1;
    return REAL(int, utimensat, int, const char *, const struct timespec *, int)(
        folder, path, times, flags);
}

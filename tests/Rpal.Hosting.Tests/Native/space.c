// System calls that act on an address space, made in a member: a scenario per word, as in probe.c.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT (1UL << 39)
#define CHECK(x) do { if (!(x)) { printf("line %d: %s (errno %d)\n", __LINE__, #x, errno); exit(1); } } while (0)
#define SAYS(e, call) do { errno = 0; long r_ = (call); if (!(r_ == -1 && errno == (e))) { printf("line %d: %s is %ld (errno %d) and not errno %d\n", __LINE__, #call, r_, errno, e); exit(1); } } while (0)
enum { MSEAL = 462, MAP_SHADOW_STACK = 453, SET_HOME_NODE = 450, SET_MDWE = 65, SET_MEMORY_MERGE = 67, FUTEX_HASH = 78, SHSTK_ENABLE = 0x5001 };

static uintptr_t slot(void) { return (uintptr_t)&slot & ~(SLOT - 1); }
static char *anonymous(size_t n) { return mmap(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static char *outside(void) { return (char *)(getauxval(AT_SYSINFO_EHDR) & ~4095UL); }
static void await(const char *pipe) { int fd = open(pipe, O_RDONLY); char c; CHECK(fd >= 0 && read(fd, &c, 1) >= 0); close(fd); }

// A limit of a forked child is not the family's.
static void limits_of_a_child(void)
{
    struct rlimit limit = { 1UL << 30, 1UL << 30 };
    pid_t child = fork();
    if (child == 0) for (;;) pause();
    CHECK(prlimit(child, RLIMIT_AS, &limit, 0) == 0 && kill(child, SIGKILL) == 0 && waitpid(child, 0, 0) == child);
}

static void limits(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0 && setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = 1UL << 42;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0 && anonymous(1 << 20) != MAP_FAILED);
    CHECK(syscall(SYS_prlimit64, 0, RLIMIT_DATA, &limit, 0) == 0);
}

// Runs it in a forked child, which has an address space of its own.
static int forked(void (*what)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) { what(); _exit(0); }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

// Mappings inside and outside the slot whose flags in smaps have a word, or those at one address.
static void flags(const char *word, const void *at, int *inside, int *beyond)
{
    char line[4096];
    uintptr_t from = 0, to = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    CHECK(f);
    *inside = *beyond = 0;
    while (fgets(line, sizeof line, f))
    {
        uintptr_t a, b;
        if (sscanf(line, "%lx-%lx ", &a, &b) == 2) { from = a; to = b; }
        else if (!strncmp(line, "VmFlags:", 8) && strstr(line, word) && (!at || ((uintptr_t)at >= from && (uintptr_t)at < to)))
            ++*(from - slot() < SLOT ? inside : beyond);
    }
    fclose(f);
}

static int has(const void *at, const char *word) { int in, out; flags(word, at, &in, &out); return in; }

static void seal_own(void)
{
    char *p = anonymous(4096);
    CHECK(syscall(MSEAL, p, 4096, 0) == 0);
    SAYS(EPERM, munmap(p, 4096));
}

static void seals(void)
{
    int status;
    char *p = anonymous(4096);
    pid_t sharer = vfork();                                                  // it shares the memory, so it is treated as the member
    if (sharer == 0) _exit(syscall(MSEAL, p, 4096, 0) == -1 && errno == ENOSYS ? 0 : 1);
    CHECK(waitpid(sharer, &status, 0) == sharer && status == 0);
    SAYS(ENOSYS, syscall(MSEAL, p, 4096, 0));
    SAYS(ENOSYS, syscall(MSEAL, p, 4096, 0));
    CHECK(munmap(p, 4096) == 0 && forked(seal_own) == 0);
}

static void deny_execution(void) { CHECK(prctl(SET_MDWE, 1, 0, 0, 0) == 0); }

static void settings(void)
{
    SAYS(EINVAL, prctl(SET_MDWE, 1, 0, 0, 0));
    SAYS(EINVAL, prctl(SET_MEMORY_MERGE, 1, 0, 0, 0));
    SAYS(EINVAL, prctl(FUTEX_HASH, 1, 16, 0, 0));
    SAYS(EPERM, prctl(PR_SET_MM, PR_SET_MM_ARG_START, (long)outside(), 0, 0));
    CHECK(forked(deny_execution) == 0);
}

static void tables(void)
{
    char entry[16] = "";
    SAYS(ENOSYS, syscall(SYS_modify_ldt, 1, entry, 16));
    SAYS(EOPNOTSUPP, syscall(MAP_SHADOW_STACK, 0, 4096, 0));
    SAYS(EOPNOTSUPP, syscall(SYS_arch_prctl, SHSTK_ENABLE, 1));
    unsigned long nodes = 1;
    CHECK(mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0) == MAP_FAILED && errno == ENOMEM);
    SAYS(EPERM, syscall(SYS_migrate_pages, 0, 8, &nodes, &nodes));
    SAYS(EPERM, syscall(SYS_migrate_pages, getppid(), 8, &nodes, &nodes));
}

static void ranges(void)
{
    SAYS(ENOMEM, mlock(outside(), 4096));
    SAYS(ENOMEM, syscall(SYS_mlock2, outside(), 4096, 1));
    SAYS(ENOMEM, munlock(outside(), 4096));
    SAYS(ENOMEM, mlock((void *)(slot() + SLOT - 4096), 8192));
    SAYS(EFAULT, syscall(SYS_mbind, outside(), 4096, 0, 0, 0, 0));
    SAYS(ENOENT, syscall(SET_HOME_NODE, outside(), 4096, 0, 0));
    SAYS(EINVAL, syscall(SYS_remap_file_pages, outside(), 4096, 0, 0, 0));
    SAYS(EINVAL, shmdt(outside()));
    char *p = anonymous(8192);
    CHECK(mlock(p, 8192) == 0 && has(p, " lo") && munlock(p, 8192) == 0 && !has(p, " lo"));
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    CHECK(id >= 0 && (p = shmat(id, 0, 0)) != (void *)-1 && shmctl(id, IPC_RMID, 0) == 0 && shmdt(p) == 0);
}

static void locks(void)
{
    int inside, beyond;
    SAYS(EINVAL, mlockall(0));
    SAYS(EINVAL, mlockall(8));
    SAYS(EINVAL, mlockall(4));
    char *before = anonymous(1 << 20);
    CHECK(mlockall(MCL_CURRENT) == 0);
    flags(" lo", 0, &inside, &beyond);
    CHECK(inside > 3 && beyond == 0 && has(before, " lo"));
    char *p = anonymous(4096);
    CHECK(!has(p, " lo") || p == before + (1 << 20));                        // beside it, it may be one mapping
    CHECK(mlockall(MCL_FUTURE) == 0);
    char *future = anonymous(1 << 20);
    unsigned char resident = 0;
    CHECK(has(future, " lo") && mincore(future, 4096, &resident) == 0 && (resident & 1));
    CHECK(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0);
    future = anonymous(16 << 20);
    CHECK(has(future, " lo") && mincore(future + (8 << 20), 4096, &resident) == 0 && !(resident & 1));
    char *reserved = mmap(0, 1L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(reserved != MAP_FAILED && munlockall() == 0);
    flags(" lo", 0, &inside, &beyond);
    CHECK(inside == 0 && beyond == 0);
    CHECK(!has(anonymous(64 << 20), " lo"));
}

static void locks_too_much(void)
{
    CHECK(anonymous(64 << 20) != MAP_FAILED);
    SAYS(ENOMEM, mlockall(MCL_CURRENT));                                     // more than RLIMIT_MEMLOCK
    CHECK(mlockall(MCL_FUTURE) == 0);
    CHECK(anonymous(1L << 30) == MAP_FAILED && errno == EAGAIN);
    CHECK(munlockall() == 0 && anonymous(1L << 30) != MAP_FAILED);
}

// Together with what another member has locked it is more than RLIMIT_MEMLOCK: nothing is locked, and what was stays so.
static void locks_beside(const char *begin)
{
    int inside, beyond;
    char *first = anonymous(1 << 20), *second = mmap(first + (1 << 18), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(mlock(second, 4096) == 0);
    await(begin);
    SAYS(ENOMEM, mlockall(MCL_CURRENT));
    flags(" lo", 0, &inside, &beyond);
    CHECK(inside == 1 && has(second, " lo"));
}

static void huge_pages(void)
{
    CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
    char *before = anonymous(4 << 20);
    CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
    CHECK(has(before, " nh") && has(anonymous(4 << 20), " nh"));
    CHECK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0);
    SAYS(EINVAL, prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0));
}

static void sees_huge_pages(void) { CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 0 && !has(anonymous(4 << 20), " nh")); }

// hugetlb: the kernel rounds the length up, so that what is missing is pages, if anything.
static void rounds(void)
{
    char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    CHECK(p == MAP_FAILED ? errno == ENOMEM : munmap(p, 2 << 20) == 0);
    int fd = syscall(SYS_memfd_create, "huge", 4);                           // MFD_HUGETLB
    CHECK(fd >= 0 && ftruncate(fd, 2 << 20) == 0);
    anonymous(4096);                                                         // so that the next free address is none of a huge page
    p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p == MAP_FAILED ? errno == ENOMEM : ((uintptr_t)p & ((2 << 20) - 1)) == 0 && munmap(p, 2 << 20) == 0);
    SAYS(EINVAL, (long)mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 50 << 26, -1, 0));
}

static aio_context_t Context;

static void read_by_aio(void)
{
    char buffer[16] = "";
    int fd = open("/proc/self/exe", O_RDONLY);
    struct iocb one = { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buffer, .aio_nbytes = 8 }, *list = &one;
    struct io_event done;
    CHECK(syscall(SYS_io_submit, Context, 1, &list) == 1 && syscall(SYS_io_getevents, Context, 1, 1, &done, 0) == 1 && done.res == 8 && buffer[0]);
    close(fd);
}

static void aio(const char *end)
{
    aio_context_t taken = 1, gone = 0;
    SAYS(EINVAL, syscall(SYS_io_setup, 8, &taken));
    SAYS(EINVAL, syscall(SYS_io_setup, 0, &gone));
    SAYS(EFAULT, syscall(SYS_io_setup, 8, 0));
    CHECK(syscall(SYS_io_setup, 8, &gone) == 0 && syscall(SYS_io_destroy, gone) == 0);
    SAYS(EINVAL, syscall(SYS_io_destroy, gone));
    CHECK(syscall(SYS_io_setup, 128, &Context) == 0);
    read_by_aio();
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    struct iocb waits = { .aio_fildes = pipes[0], .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN }, *list = &waits;
    CHECK(syscall(SYS_io_submit, Context, 1, &list) == 1);                   // under way for ever
    puts("ready");
    await(end);
    read_by_aio();
}

// Executes another program, with something of every kind that does not end with a process but with its address space.
static void leaves(char **program)
{
    char *memory = anonymous(64 << 20);
    CHECK(memory != MAP_FAILED);
    memset(memory, 1, 64 << 20);
    int id = shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600);
    CHECK(id >= 0 && shmat(id, 0, 0) != (void *)-1 && shmctl(id, IPC_RMID, 0) == 0);
    CHECK(syscall(SYS_io_setup, 128, &Context) == 0);
    execv(program[0], program);
    CHECK(!"executed");
}

static void not_dumpable(const char *end)
{
    SAYS(EINVAL, prctl(PR_SET_DUMPABLE, 2, 0, 0, 0));
    CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    puts("ready");
    await(end);
}

static void own_namespace(const char *end)
{
    CHECK(syscall(SYS_unshare, CLONE_NEWUSER) == 0);
    puts("ready");
    await(end);
}

static void write_file(const char *name, pid_t pid, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

// A child of its own, outside the new user namespace, gives one that says its number its users and groups.
static int Asks[2], Mapped[2];
static pid_t maps_ids(const char *map)
{
    CHECK(pipe(Asks) == 0 && pipe(Mapped) == 0);
    pid_t child = fork(), who;
    if (child != 0) return child;
    CHECK(read(Asks[0], &who, sizeof who) == sizeof who);
    write_file("uid_map", who, map);
    write_file("gid_map", who, map);
    CHECK(write(Mapped[1], "x", 1) == 1);
    _exit(0);
}

static void get_mapped(void)
{
    char c;
    pid_t self = syscall(SYS_getpid);
    CHECK(write(Asks[1], &self, sizeof self) == sizeof self && read(Mapped[0], &c, 1) == 1);
}

static void map_a_file(void)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    char *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && munmap(p, 4096) == 0);
    close(fd);
}

// User 0 of the namespace is another user of the host: with the host's own number.
static void become_a_strange_root(void)
{
    get_mapped();
    SAYS(EPERM, syscall(SYS_setresuid, 0, 0, 0));
    SAYS(EPERM, syscall(SYS_setgid, 0));
    SAYS(EINVAL, syscall(SYS_setuid, 70000));                                // which the namespace does not have
    CHECK(syscall(SYS_setfsuid, 0) == 65534 && getuid() == 65534);
    map_a_file();
}

static void strange_root(const char *end)
{
    pid_t helper = maps_ids("0 100000 65536");
    CHECK(syscall(SYS_unshare, CLONE_NEWUSER) == 0);
    become_a_strange_root();
    CHECK(waitpid(helper, 0, 0) == helper);
    puts("ready");
    await(end);
}

static int become_in_child(void *unused) { become_a_strange_root(); return 0; }

// The same in a child that shares the memory.
static void strange_root_in_child(const char *end)
{
    static char stack[64 << 10] __attribute__((aligned(16)));
    int status;
    pid_t helper = maps_ids("0 100000 65536");
    pid_t child = clone(become_in_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | SIGCHLD, 0);
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(waitpid(helper, 0, 0) == helper);
    map_a_file();
    puts("ready");
    await(end);
}

// The host's user has another number inside: to become that one changes nothing.
static void same_user(const char *end)
{
    pid_t helper = maps_ids("7 0 1");
    CHECK(syscall(SYS_unshare, CLONE_NEWUSER) == 0);
    get_mapped();
    CHECK(waitpid(helper, 0, 0) == helper && getuid() == 7);
    CHECK(syscall(SYS_setresuid, 7, 7, 7) == 0 && syscall(SYS_setgid, 7) == 0 && syscall(SYS_setresgid, 7, 7, 7) == 0 && syscall(SYS_setfsuid, 7) == 7);
    SAYS(EINVAL, syscall(SYS_setuid, 0));
    map_a_file();
    puts("ready");
    await(end);
}

// A user namespace that a child makes as that user, in a descriptor of this process.
static int namespace_of(uid_t user, pid_t *child)
{
    int ready[2], fd;
    CHECK(pipe(ready) == 0);
    *child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);          // a fork with one table of descriptors
    if (*child == 0)
    {
        CHECK(syscall(SYS_setresuid, user, user, user) == 0 && syscall(SYS_unshare, CLONE_NEWUSER) == 0);
        fd = open("/proc/self/ns/user", O_RDONLY);
        CHECK(write(ready[1], &fd, sizeof fd) == sizeof fd);
        for (;;) pause();
    }
    CHECK(*child > 0 && read(ready[0], &fd, sizeof fd) == sizeof fd && fd >= 0);
    return fd;
}

static void enters_namespaces(const char *end)
{
    pid_t first, second;
    int strange = namespace_of(1234, &first), own = namespace_of(0, &second);
    SAYS(EPERM, syscall(SYS_setns, strange, 0));
    SAYS(EPERM, syscall(SYS_setns, strange, CLONE_NEWUSER));
    int process = syscall(SYS_pidfd_open, first, 0);
    CHECK(process >= 0);
    SAYS(EPERM, syscall(SYS_setns, process, CLONE_NEWUSER));
    CHECK(kill(first, SIGKILL) == 0 && waitpid(first, 0, 0) == first);
    CHECK(syscall(SYS_setns, own, CLONE_NEWUSER) == 0);
    map_a_file();
    CHECK(kill(second, SIGKILL) == 0);
    puts("ready");
    await(end);
}

// Becomes another user for good. Whether that is allowed is the word.
static void other_user(const char *end, int allowed)
{
    char c;
    int fd = open(end, O_RDWR);                                              // which the other user may not
    CHECK(syscall(SYS_setresuid, -1, 0, -1) == 0 && syscall(SYS_setresgid, 0, 0, 0) == 0);      // changes nothing
    if (allowed) CHECK(syscall(SYS_setresgid, 1234, 1234, 1234) == 0 && syscall(SYS_setuid, 1234) == 0 && getuid() == 1234);
    else
    {
        SAYS(EPERM, syscall(SYS_setresgid, 1234, 1234, 1234));
        SAYS(EPERM, syscall(SYS_setgid, 1234));
        SAYS(EPERM, syscall(SYS_setregid, -1, 1234));
        SAYS(EPERM, syscall(SYS_setresuid, 1234, -1, -1));
        SAYS(EPERM, syscall(SYS_setreuid, 1234, 1234));
        SAYS(EPERM, syscall(SYS_setuid, 1234));
        CHECK(syscall(SYS_setfsuid, 1234) == 0 && syscall(SYS_setfsuid, -1) == 0 && syscall(SYS_setfsgid, 1234) == 0);
    }
    puts("ready");
    CHECK(fd >= 0 && read(fd, &c, 1) == 1);
}

static void drop_user(void) { CHECK(syscall(SYS_setresuid, 1234, 1234, 1234) == 0 && getuid() == 1234); }

static void maps_files(const char *begin)
{
    await(begin);
    for (int i = 0; i < 100; i++)
    {
        int fd = open("/proc/self/exe", O_RDONLY), secret = syscall(SYS_memfd_create, "file", 0);
        CHECK(fd >= 0 && secret >= 0 && ftruncate(secret, 4096) == 0);
        char *p = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0), *q = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, secret, 0);
        CHECK(p != MAP_FAILED && q != MAP_FAILED && munmap(p, 4096) == 0 && munmap(q, 4096) == 0);
        close(fd);
        close(secret);
    }
}

static void own_filter(void)
{
    struct sock_filter allow[] = { { 6, 0, 0, SECCOMP_RET_ALLOW } };
    struct sock_fprog program = { 1, allow };
    SAYS(EINVAL, syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0));
    SAYS(EINVAL, prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    SAYS(EBUSY, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "seals")) seals();
    else if (!strcmp(what, "settings")) settings();
    else if (!strcmp(what, "tables")) tables();
    else if (!strcmp(what, "ranges")) ranges();
    else if (!strcmp(what, "locks")) locks();
    else if (!strcmp(what, "locks-too-much")) locks_too_much();
    else if (!strcmp(what, "huge-pages")) { huge_pages(); if (argc > 2) { prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); puts("ready"); await(argv[2]); } }
    else if (!strcmp(what, "sees-huge-pages")) { await(argv[2]); sees_huge_pages(); }
    else if (!strcmp(what, "rounds")) rounds();
    else if (!strcmp(what, "aio")) aio(argv[2]);
    else if (!strcmp(what, "leaves")) leaves(argv + 2);
    else if (!strcmp(what, "not-dumpable")) not_dumpable(argv[2]);
    else if (!strcmp(what, "own-namespace")) own_namespace(argv[2]);
    else if (!strcmp(what, "strange-root")) strange_root(argv[2]);
    else if (!strcmp(what, "strange-root-in-child")) strange_root_in_child(argv[2]);
    else if (!strcmp(what, "same-user")) same_user(argv[2]);
    else if (!strcmp(what, "enters-namespaces")) enters_namespaces(argv[2]);
    else if (!strcmp(what, "locks-some")) { char *p = anonymous(6 << 20); CHECK(mlock(p, 6 << 20) == 0); puts("ready"); await(argv[2]); }
    else if (!strcmp(what, "locks-beside")) locks_beside(argv[2]);
    else if (!strcmp(what, "limits-of-a-child")) limits_of_a_child();
    else if (!strcmp(what, "other-user")) other_user(argv[2], 1);
    else if (!strcmp(what, "no-other-user")) { other_user(argv[2], 0); CHECK(forked(drop_user) == 0); }
    else if (!strcmp(what, "maps-files")) maps_files(argv[2]);
    else if (!strcmp(what, "stays-dumpable")) { maps_files(argv[2]); CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1); }
    else if (!strcmp(what, "own-filter")) own_filter();
    else if (!strcmp(what, "limits")) limits();
    else if (!strcmp(what, "wait")) { puts("ready"); await(argv[2]); }
    else return 64;
    puts("ok");
    return 0;
}

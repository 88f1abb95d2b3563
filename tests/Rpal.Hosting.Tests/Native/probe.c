// One small native program with a scenario per word. It says what went wrong and returns 1, or prints "ok" and returns 0.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOT (1UL << 39)
#define CHECK(x) do { if (!(x)) { printf("line %d: %s (errno %d)\n", __LINE__, #x, errno); exit(1); } } while (0)
extern char **environ;

static uintptr_t slot(void) { return (uintptr_t)&slot & ~(SLOT - 1); }
static int mine(const void *p, size_t n) { return (uintptr_t)p - slot() <= SLOT - n; }
static char *map(void *hint, size_t n, int prot, int flags, int fd, off_t off) { return mmap(hint, n, prot, flags, fd, off); }
static char *anonymous(size_t n) { return map(0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static int fails(void *p, int e) { return p == MAP_FAILED && errno == e; }
static int temporary(void)
{
    char name[] = "/tmp/rpal-probe-XXXXXX";
    int fd = mkstemp(name);
    CHECK(fd >= 0);
    unlink(name);
    CHECK(ftruncate(fd, 1 << 20) == 0);
    return fd;
}

static void maps(void)
{
    char *p = anonymous(8192);
    CHECK(mine(p, 8192));
    char *hint = (char *)slot() + (100UL << 30);
    char *q = map(hint, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(q == hint);
    CHECK((q = map(hint, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != hint && mine(q, 4096));       // taken
    CHECK(mine(map(hint + (1 << 20) + 123, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096));         // unaligned hint
    CHECK(mine(map((void *)0x7f0000000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096));
    CHECK(mine(map((void *)(slot() + SLOT - 4096), 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192)); // would cross the end
    CHECK(mine(map((void *)-4096L, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096));
    CHECK(fails(map(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0), ENOMEM));
    CHECK(fails(anonymous(0), EINVAL));
    CHECK(fails(anonymous((size_t)-1), ENOMEM));
    CHECK(fails(anonymous((size_t)-4096), ENOMEM));
    CHECK(fails(anonymous(1UL << 63), ENOMEM));
    CHECK(fails(anonymous((1UL << 63) - 1), ENOMEM));
    CHECK(fails(map(0, SLOT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), ENOMEM));
    CHECK(fails(map(0, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL));
    CHECK(fails(map(0, 4096, PROT_READ, MAP_PRIVATE, -1, 0), EBADF));
    CHECK(fails(map(0, 4096, PROT_READ, MAP_PRIVATE, 9999, 0), EBADF));
    int fd = temporary();
    CHECK(pwrite(fd, "hello", 5, 4096) == 5);
    CHECK(mine(p = map(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096), 8192) && memcmp(p, "hello", 5) == 0);
    strcpy(p, "other");
    char five[6] = "";
    CHECK(pread(fd, five, 5, 4096) == 5 && strcmp(five, "hello") == 0);                                         // private
    CHECK(mine(p = map(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096), 8192));
    strcpy(p, "seen!");
    CHECK(pread(fd, five, 5, 4096) == 5 && strcmp(five, "seen!") == 0);                                         // shared
    CHECK(mine(p = map(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE, fd, 0), 8192));
    CHECK(map(p, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 4096) == p && memcmp(p, "seen!", 5) == 0);
    CHECK(map(0, 4096, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED && errno == EINVAL);
    CHECK(map(0, 4096, PROT_READ, MAP_PRIVATE, fd, -4096) == MAP_FAILED && (errno == EOVERFLOW || errno == EINVAL));
    char path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    int readOnly = open(path, O_RDONLY), writeOnly = open(path, O_WRONLY);
    CHECK(readOnly >= 0 && writeOnly >= 0);
    CHECK(fails(map(0, 4096, PROT_WRITE, MAP_SHARED, readOnly, 0), EACCES));
    CHECK(fails(map(0, 4096, PROT_READ, MAP_PRIVATE, writeOnly, 0), EACCES));
    int memory = syscall(SYS_memfd_create, "probe", 0);
    CHECK(memory >= 0 && ftruncate(memory, 65536) == 0);
    CHECK(mine(p = map(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0), 65536));
    memset(p, 7, 65536);
    int pipes[2];
    CHECK(pipe(pipes) == 0 && fails(map(0, 4096, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV));
    CHECK(mine(p = anonymous(5 << 20), 5 << 20) && ((uintptr_t)p & ((2 << 20) - 1)) == 0);                      // huge pages possible
    p = map(0, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    CHECK(p == MAP_FAILED ? errno == ENOMEM : mine(p, 2 << 20));
    CHECK(map(slot() + (char *)(300UL << 30), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (char *)slot() + (300UL << 30));
}

static void remaps(void)
{
    size_t big = 200 << 20;
    char *p = malloc(1 << 20);
    memset(p, 5, 1 << 20);
    char *wall = anonymous(4096);
    p = realloc(p, big);
    CHECK(mine(p, big) && mine(wall, 1) && p[0] == 5 && p[(1 << 20) - 1] == 5);
    memset(p, 6, big);
    free(p);
    p = anonymous(8192);
    strcpy(p, "x");
    CHECK(mine(p = mremap(p, 8192, 64 << 20, MREMAP_MAYMOVE), 64 << 20) && p[0] == 'x');
    CHECK(mremap(p, 64 << 20, 4096, 0) == p);
    CHECK(fails(mremap(p + 1, 4096, 8192, MREMAP_MAYMOVE), EINVAL));
    CHECK(fails(mremap(p, 4096, 0, MREMAP_MAYMOVE), EINVAL));
    CHECK(fails(mremap(p, 4096, (size_t)-4096, MREMAP_MAYMOVE), ENOMEM) || errno == EINVAL);
    CHECK(fails(mremap(p, 4096, 1UL << 46, MREMAP_MAYMOVE), ENOMEM));
    CHECK(fails(mremap((void *)(slot() + (200UL << 30)), 4096, 8192, MREMAP_MAYMOVE), EFAULT));
    CHECK(fails(mremap(p, 4096, 8192, MREMAP_MAYMOVE | 0x800), EINVAL));
    char *moved = mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    CHECK(mine(moved, 4096) && moved != p && moved[0] == 'x' && p[0] == 0);
    int fd = temporary();
    char *first = map(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *second = mremap(first, 0, 65536, MREMAP_MAYMOVE);                                                      // a second view
    CHECK(mine(second, 65536) && second != first);
    strcpy(first, "twice");
    CHECK(strcmp(second, "twice") == 0);
    char *last = (char *)slot() + SLOT - 4096;                                                                   // must not grow into the neighbour
    CHECK(map(last, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == last);
    CHECK(fails(mremap(last, 4096, 8192, 0), ENOMEM));
    CHECK(mine(mremap(last, 4096, 8192, MREMAP_MAYMOVE), 8192));
}

// The slot is the member's whole address space: beyond it come the kernel's errors for what lies beyond TASK_SIZE, and nothing changes there.
static void beyond(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    char *end = (char *)slot() + SLOT, *others[] = { end, end + (5UL << 30), (char *)slot() - 4096, (char *)0x10000000, (char *)0x7f0000000000, (char *)0xf8000000000 };
    for (int i = 0; i < 6; i++)
    {
        CHECK(fails(map(others[i], 4096, PROT_READ, flags, -1, 0), ENOMEM));
        CHECK(fails(map(others[i], 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), ENOMEM));
        CHECK(munmap(others[i], 4096) == -1 && errno == EINVAL);
        CHECK(fails(mremap(others[i], 4096, 4096, MREMAP_MAYMOVE), EFAULT));
    }
    CHECK(fails(map(end - 4096, 8192, PROT_READ, flags, -1, 0), ENOMEM));                                       // crosses the end
    CHECK(fails(map((char *)slot(), SLOT + 4096, PROT_NONE, flags | MAP_NORESERVE, -1, 0), ENOMEM));
    CHECK(fails(map(end - 4096, (size_t)-4096, PROT_READ, flags, -1, 0), ENOMEM));
    CHECK(munmap(end - 4096, 8192) == -1 && errno == EINVAL);
    CHECK(munmap((char *)slot(), (size_t)-8192) == -1 && errno == EINVAL);
    char *p = anonymous(8192);
    CHECK(fails(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, end), EINVAL));
    CHECK(fails(mremap(p, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, end - 4096), EINVAL));
    int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    CHECK(id >= 0);
    CHECK(shmat(id, end, 0) == (void *)-1 && errno == EINVAL);
    CHECK(shmat(id, end - 4096, 0) == (void *)-1 && errno == EINVAL);
    char *at = (char *)slot() + (200UL << 30);
    CHECK(shmat(id, at, 0) == at && shmdt(at) == 0);
    shmctl(id, IPC_RMID, 0);
    CHECK(map(end - 4096, 4096, PROT_READ, flags, -1, 0) == end - 4096 && munmap(end - 4096, 4096) == 0);       // up to its end it is free
    size_t big = 8UL << 30;
    CHECK(map(at, big, PROT_NONE, flags | MAP_NORESERVE, -1, 0) == at && munmap(at, big) == 0);
    CHECK(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at && munmap(at, 4096) == 0);
    CHECK(mine(map(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), 65536));
    CHECK(map(p, 8192, PROT_READ | PROT_WRITE, flags, -1, 0) == p && p[0] == 0);
}

static void attach(void)
{
    int id = shmget(IPC_PRIVATE, 3 << 20, IPC_CREAT | 0600);
    CHECK(id >= 0);
    char *a = shmat(id, 0, 0), *b = shmat(id, 0, SHM_RDONLY);
    shmctl(id, IPC_RMID, 0);
    CHECK(mine(a, 3 << 20) && mine(b, 3 << 20) && a != b);
    strcpy(a, "shared");
    CHECK(strcmp(b, "shared") == 0 && shmdt(a) == 0 && shmdt(b) == 0);
    CHECK(shmat(-1, 0, 0) == (void *)-1 && errno == EINVAL);
}

static void program_break(void)
{
    void *now = sbrk(0);
    CHECK(sbrk(4096) == (void *)-1 && errno == ENOMEM);
    CHECK(sbrk(0) == now && brk((char *)now + 4096) == -1);
    for (int i = 0; i < 2000; i++)
    {
        size_t n = 16 + i * 97;
        char *p = malloc(n);
        CHECK(p && mine(p, n));
        memset(p, i, n);
        if (i % 2) free(p);
    }
}

static void reuse(void)
{
    size_t n = 64UL << 30;
    for (int i = 0; i < 100; i++)
    {
        char *p = map(0, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(mine(p, n));
        CHECK(munmap(p, n) == 0);
    }
    char *kept[64];                                              // fragments: every second gap stays taken
    for (int i = 0; i < 64; i++) CHECK(mine(kept[i] = map(0, 6UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), 6UL << 30));
    for (int i = 0; i < 64; i += 2) CHECK(munmap(kept[i], 6UL << 30) == 0);
    for (int i = 0; i < 32; i++) CHECK(mine(map(0, 5UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), 5UL << 30));
    for (int i = 0; i < 1000; i++) CHECK(mine(anonymous(4096), 4096));
}

// Many more mappings than the slot has room for side by side, a few hundred at a time: they must stay at its bottom.
static void day(void)
{
    enum { Live = 300 };
    static char *kept[Live];
    static size_t sizes[Live];
    unsigned seed = 1;
    uintptr_t highest = 0;
    for (int i = 0; i < 100000; i++)
    {
        seed = seed * 1103515245 + 12345;
        int k = (seed >> 16) % Live;
        if (kept[k]) CHECK(munmap(kept[k], sizes[k]) == 0);
        sizes[k] = (i % 100 == 0 ? 2UL << 30 : 4096UL << (seed >> 8) % 15);
        CHECK(mine(kept[k] = map(0, sizes[k], PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), sizes[k]));
        if (sizes[k] < 1UL << 30 && (uintptr_t)kept[k] > highest) highest = (uintptr_t)kept[k];
    }
    CHECK(highest - slot() < 64UL << 30);
}

static int Waiting, Go;
static void *thread(void *a)
{
    char *p = malloc(100000);
    CHECK(mine(p, 100000) && mine(&p, 1));
    free(p);
    __atomic_add_fetch(&Waiting, 1, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&Go, __ATOMIC_SEQ_CST)) sched_yield();
    return a;
}

static void threads(void)
{
    pthread_t t[200];
    for (long i = 0; i < 200; i++) CHECK(pthread_create(&t[i], 0, thread, (void *)i) == 0);
    while (__atomic_load_n(&Waiting, __ATOMIC_SEQ_CST) < 200) sched_yield();
    __atomic_store_n(&Go, 1, __ATOMIC_SEQ_CST);
    for (long i = 0; i < 200; i++)
    {
        void *r;
        CHECK(pthread_join(t[i], &r) == 0 && r == (void *)i);
    }
}

static volatile int Handled;
static void handler(int s) { (void)s; Handled++; }

static void signals(void)
{
    struct sigaction a = { .sa_handler = handler }, old;
    CHECK(sigaction(SIGUSR1, 0, &old) == 0 && old.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGPIPE, 0, &old) == 0 && old.sa_handler == SIG_DFL);           // the host ignores it
    sigset_t blocked;
    CHECK(sigprocmask(SIG_SETMASK, 0, &blocked) == 0);
    for (int s = 1; s < 32; s++) CHECK(!sigismember(&blocked, s));
    CHECK(sigaction(SIGUSR1, &a, 0) == 0 && raise(SIGUSR1) == 0 && Handled == 1);
    CHECK(sigaction(SIGUSR1, 0, &old) == 0 && old.sa_handler == handler);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, 16, 0, 8) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, 0, 16, 8) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, -1L, 0, 8) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_rt_sigaction, 0, 0, 0, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, 65, 0, 0, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, -1, 0, 0, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, 0x7fffffff, 0, 0, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, 0x52500002, 16, 0, 8) == -1 && errno == EFAULT); // asks the host, with a bad pointer
    CHECK(syscall(SYS_rt_sigaction, 0x52500002, 0, 0, 8) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_rt_sigaction, 0x52500003, 99999, 1, 8) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, 0x52500003, 0, 2, 8) == -1 && errno == EPERM);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, 0, 0, 4) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_rt_sigaction, SIGKILL, &a, 0, 8) == -1 && errno == EINVAL);
    stack_t alternate;
    CHECK(sigaltstack(0, &alternate) == 0 && alternate.ss_flags == SS_DISABLE);
}

static void links(void)
{
    char buffer[4096], byPid[64], exact[4096];
    sprintf(byPid, "/proc/%d/exe", getpid());
    const char *names[] = { "/proc/self/exe", "/proc/thread-self/exe", byPid };
    for (int i = 0; i < 3; i++)
    {
        memset(buffer, 0, sizeof buffer);
        ssize_t n = readlink(names[i], buffer, sizeof buffer);
        CHECK(n > 0);
        printf("%s\n", buffer);
        CHECK(i == 0 || strcmp(buffer, exact) == 0);
        strcpy(exact, buffer);
    }
    ssize_t n = strlen(exact);
    memset(buffer, 'z', sizeof buffer);
    CHECK(readlink("/proc/self/exe", buffer, 3) == 3 && buffer[3] == 'z');
    CHECK(syscall(SYS_readlink, "/proc/self/exe", buffer, 0) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_readlink, "/proc/self/exe", buffer, -1) == -1 && errno == EINVAL);
    CHECK(syscall(SYS_readlink, "/proc/self/exe", buffer, 0x100000002L) == 2 && buffer[4] == 'z');              // an int in the kernel
    CHECK(syscall(SYS_readlink, "/proc/self/exe", 16, 4096) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_readlink, 16, buffer, 4096) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_readlink, -1L, buffer, 4096) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_readlink, 0, buffer, 4096) == -1 && errno == EFAULT);
    CHECK(readlinkat(AT_FDCWD, "/proc/self/exe", buffer, sizeof buffer) == n);
    CHECK(readlink("/nonexistent", buffer, sizeof buffer) == -1 && errno == ENOENT);
    CHECK(readlink("/proc/self/exe/more", buffer, sizeof buffer) == -1 && errno == ENOTDIR);
    char *edge = anonymous(8192);                                // a path that ends where the mapping does
    munmap(edge + 4096, 4096);
    strcpy(edge + 4096 - sizeof "/proc/self/exe", "/proc/self/exe");
    CHECK(readlink(edge + 4096 - sizeof "/proc/self/exe", buffer, sizeof buffer) == n);
    CHECK(syscall(SYS_readlink, "/proc/self/exe", edge + 4096 - 2, 4096) == -1 && errno == EFAULT);             // room for two bytes only
    char *readOnly = map(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(syscall(SYS_readlink, "/proc/self/exe", readOnly, 4096) == -1 && errno == EFAULT);
}

// Mappings while a timer interrupts at every turn: nothing may go elsewhere, nothing may be lost.
static void storm(void)
{
    struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
    struct itimerval every = { { 0, 300 }, { 0, 300 } };
    sigaction(SIGALRM, &a, 0);
    setitimer(ITIMER_REAL, &every, 0);
    int fd = temporary();
    size_t n = 16 << 20;
    for (int i = 0; i < 4000 || Handled < 50; i++)
    {
        char *p = i % 3 ? anonymous(n) : map(0, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
        size_t size = i % 3 ? n : 1 << 20;
        CHECK(mine(p, size));
        if (i % 3 == 2)
        {
            CHECK(mine(p = mremap(p, size, 2 * size, MREMAP_MAYMOVE), 2 * size));
            size *= 2;
        }
        CHECK(munmap(p, size) == 0);
    }
    struct itimerval never = { { 0, 0 }, { 0, 0 } };
    setitimer(ITIMER_REAL, &never, 0);
    FILE *f = fopen("/proc/self/maps", "r");
    char line[4096];
    unsigned long total = 0, from, to;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from >= slot() + (16UL << 30) && from < slot() + SLOT) total += to - from;
    CHECK(total < 400UL << 20);                                  // lost mappings would add up
}

static void collect(pid_t child, int code)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void *idle(void *a) { return a; }

static void forks(void)
{
    int fd = temporary();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        for (int i = 0; i < 50; i++)
        {
            char *p = malloc(3 << 20), *q = map(0, 1 << 20, PROT_READ | PROT_WRITE, i % 2 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
            CHECK(p && q != MAP_FAILED);
            memset(p, i, 3 << 20);
            memset(q, i, 1 << 20);
            CHECK((p = realloc(p, 9 << 20)) && p[0] == i);
        }
        struct sigaction a = { .sa_handler = handler };
        CHECK(sigaction(SIGUSR1, &a, 0) == 0 && raise(SIGUSR1) == 0 && Handled == 1);
        CHECK(map((void *)0x20000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)0x20000000);      // its copy is its own
        CHECK(munmap((void *)0x20000000, 4096) == 0);
        pthread_t t;
        CHECK(pthread_create(&t, 0, idle, 0) == 0 && pthread_join(t, 0) == 0);
        _exit(7);
    }
    collect(child, 7);
    collect(({ pid_t v = vfork(); if (v == 0) _exit(8); v; }), 8);
    char *words[] = { "sh", "-c", "exit 9", 0 };
    CHECK(posix_spawnp(&child, "sh", 0, 0, words, environ) == 0);
    collect(child, 9);
    CHECK(WEXITSTATUS(system("exit 10")) == 10);
    FILE *f = popen("echo out; echo more", "r");
    char line[64];
    CHECK(f && fgets(line, sizeof line, f) && strcmp(line, "out\n") == 0);
    CHECK(fgets(line, sizeof line, f) && strcmp(line, "more\n") == 0 && pclose(f) == 0);      // read to the end, or sh gets SIGPIPE
    CHECK(fork() == 0 ? (execlp("no-such-program", "x", (char *)0), _exit(11), 0) : (wait(&fd), WEXITSTATUS(fd) == 11));
}

// In a process of its own, which an executed program has, the filter of the member that started it changes nothing.
static void plain(void)
{
    char *now = sbrk(0);
    CHECK(sbrk(4096) == now && (now[0] = 1));
    char *at = (char *)0x20000000;
    CHECK(map(at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at);
    CHECK((at = mremap(at, 4096, 1 << 20, MREMAP_MAYMOVE)) != MAP_FAILED && munmap(at, 1 << 20) == 0);
    CHECK(anonymous(16UL << 20) != MAP_FAILED);
}

static void executes(const char *self)
{
    char *words[] = { (char *)self, "plain", 0 };
    pid_t child = fork();
    if (child == 0) { execv(self, words); _exit(126); }
    collect(child, 0);
    child = vfork();
    if (child == 0) { execv(self, words); _exit(126); }
    collect(child, 0);
    CHECK(posix_spawn(&child, self, 0, 0, words, environ) == 0);
    collect(child, 0);
}

// Reserves until there is no room, more often than once, and goes on.
static void fill(void)
{
    size_t n = 16UL << 30;
    char *last = 0, *p;
    int count = 0;
    while ((p = map(0, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED) CHECK(mine(last = p, n) && ++count < 100);
    CHECK(errno == ENOMEM && count >= 25);
    for (int i = 0; i < 5; i++) CHECK(fails(map(0, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), ENOMEM));
    CHECK(mine(anonymous(1 << 20), 1 << 20));
    CHECK(munmap(last, n) == 0 && map(0, n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == last);
}

// A library that is loaded later lies in the slot with all its parts.
static void library(void)
{
    void *handle = dlopen("libresolv.so.2", RTLD_NOW);
    CHECK(handle && mine(dlsym(handle, "ns_name_skip"), 1));
    FILE *f = fopen("/proc/self/maps", "r");
    char line[4096];
    int parts = 0;
    uintptr_t from, to;
    while (fgets(line, sizeof line, f))
        if (strstr(line, "libresolv") && sscanf(line, "%lx-%lx", &from, &to) == 2)
        {
            CHECK(mine((void *)from, to - from));
            parts++;
        }
    CHECK(parts >= 3);
}

// Makes mappings that cannot be joined until there may be no more, then waits for a named pipe.
static void scatter(const char *pipe)
{
    long count = 0;
    while (map(0, 4096, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) count++;
    CHECK(errno == ENOMEM && count > 1000);
    for (int i = 0; i < 5; i++) CHECK(fails(map(0, 4096, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM));
    puts("scattered");
    CHECK(open(pipe, O_RDONLY) >= 0);
}

// A process that shares the address space, as vfork's child does, must get its memory in the slot as well.
static char Stack[65536] __attribute__((aligned(16)));
static char *Seen;
static int sharing(void *a)
{
    (void)a;
    Seen = anonymous(1 << 20);
    return 0;
}

static void sharers(void)
{
    pid_t child = clone(sharing, Stack + sizeof Stack, CLONE_VM | CLONE_VFORK | SIGCHLD, 0);
    CHECK(child > 0);
    collect(child, 0);
    printf("sharer's mapping %s the slot\n", mine(Seen, 1 << 20) ? "in" : "outside");
}

// A child of a child that shares the address space ends when the pipe says so, and its parent is there until then.
static const char *End;
static volatile int Grandchild = -1;
static int second(void *a)
{
    (void)a;
    int fd = open(End, O_RDONLY);
    char c;
    return fd >= 0 && read(fd, &c, 1) == 1 ? 7 : 1;
}

static int first(void *a)
{
    (void)a;
    int status;
    pid_t child = clone(second, (char *)anonymous(1 << 16) + (1 << 16), CLONE_VM | SIGCHLD, 0);
    if (child < 0 || waitpid(child, &status, 0) != child) return 1;
    Grandchild = status;
    return 0;
}

static void grandchild(const char *pipe)
{
    End = pipe;
    pid_t child = clone(first, Stack + sizeof Stack, CLONE_VM | SIGCHLD, 0);
    CHECK(child > 0);
    puts("ready");
    collect(child, 0);
    printf("%s %d\n", WIFSIGNALED(Grandchild) ? "killed by" : "ended with", WIFSIGNALED(Grandchild) ? WTERMSIG(Grandchild) : WEXITSTATUS(Grandchild));
}

// A file that holds one page of that letter.
static int letter(char c)
{
    int fd = temporary();
    char page[4096];
    memset(page, c, sizeof page);
    CHECK(pwrite(fd, page, sizeof page, 0) == sizeof page);
    return fd;
}

static void *maps_its_own(void *a)
{
    int fd = *(int *)a;
    CHECK(unshare(CLONE_FILES) == 0);
    CHECK(dup2(letter('B'), fd) == fd);
    char *p = map(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && *p == 'B');
    CHECK(close(fd) == 0);
    CHECK(fails(map(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0), EBADF));
    return 0;
}

// A thread with a descriptor table of its own maps the files of that table.
static void tables(void)
{
    int fd = letter('A');
    pthread_t t;
    CHECK(pthread_create(&t, 0, maps_its_own, &fd) == 0 && pthread_join(t, 0) == 0);
    char *p = map(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(p != MAP_FAILED && *p == 'A');
}

static int deep(size_t bytes)
{
    volatile char frame[4096];
    for (size_t i = 0; i < sizeof frame; i += 512) frame[i] = (char)bytes;
    return bytes > sizeof frame ? deep(bytes - sizeof frame) + frame[0] : frame[1024];
}

static void limit_stack(rlim_t bytes)
{
    struct rlimit l;
    CHECK(getrlimit(RLIMIT_STACK, &l) == 0);
    l.rlim_cur = bytes;
    CHECK(setrlimit(RLIMIT_STACK, &l) == 0);
}

// The main thread's stack is as large as RLIMIT_STACK says when it is used.
static void stack(void)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        limit_stack(4 << 20);
        deep(3 << 20);
        deep(16 << 20);
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    limit_stack(256 << 20);
    deep(128 << 20);
    pthread_attr_t a;
    void *at;
    size_t size;
    CHECK(pthread_getattr_np(pthread_self(), &a) == 0 && pthread_attr_getstack(&a, &at, &size) == 0);
    CHECK(size > (255 << 20) && (char *)&a > (char *)at && (char *)&a < (char *)at + size);
}

static void *after_main(void *main_thread)
{
    pthread_join(*(pthread_t *)main_thread, 0);
    int fd = temporary();
    CHECK(mine(map(0, 4096, PROT_READ, MAP_SHARED, fd, 0), 4096));
    CHECK(mine(anonymous(4096), 4096));
    char buffer[4096];
    CHECK(readlink("/proc/self/exe", buffer, sizeof buffer) > 0);
    puts("ok");
    exit(5);
}

// Leaves a process in a session of its own, which keeps this one's output open.
static void leave_daemon(int chatty)
{
    if (fork() == 0)
    {
        setsid();
        if (fork() == 0)
        {
            if (chatty) for (;;) if (write(1, "still here\n", 11) < 0) pause();
            for (;;) pause();
        }
        _exit(0);
    }
    wait(0);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "arguments"))
    {
        printf("count %d\n", argc - 2);
        for (int i = 2; i < argc; i++) printf("%zu:%.20s\n", strlen(argv[i]), argv[i]);
        return 0;
    }
    if (!strcmp(what, "exit")) return atoi(argv[2]);
    if (!strcmp(what, "raise")) { raise(atoi(argv[2])); pause(); }
    if (!strcmp(what, "segv")) { *(volatile int *)(slot() + SLOT - 4096) = 1; }
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "store")) { *(volatile int *)strtoul(argv[2], 0, 16) = (int)strtol(argv[3], 0, 10); return atoi(argv[4]); }
    if (!strcmp(what, "exec")) { execv(argv[2], argv + 2); perror("execv"); return 126; }
    if (!strcmp(what, "has-descriptor")) { printf("%s\n", fcntl(atoi(argv[2]), F_GETFD) >= 0 ? "open" : errno == EBADF ? "not open" : "?"); return 0; }
    if (!strcmp(what, "hold-descriptor"))
    {
        CHECK(dup2(open("/etc/passwd", O_RDONLY), atoi(argv[2])) == atoi(argv[2]));
        puts("ready");
        CHECK(open(argv[3], O_RDONLY) >= 0);                     // a named pipe
        return 0;
    }
    if (!strcmp(what, "after-main"))
    {
        static pthread_t self;
        pthread_t t;
        self = pthread_self();
        pthread_create(&t, 0, after_main, &self);
        pthread_exit(0);
    }
    if (!strcmp(what, "spin-until-killed")) { puts("ready"); for (;;) anonymous(4096); }
    if (!strcmp(what, "maps")) maps();
    else if (!strcmp(what, "remaps")) remaps();
    else if (!strcmp(what, "beyond")) beyond();
    else if (!strcmp(what, "attach")) attach();
    else if (!strcmp(what, "break")) program_break();
    else if (!strcmp(what, "reuse")) reuse();
    else if (!strcmp(what, "day")) day();
    else if (!strcmp(what, "threads")) threads();
    else if (!strcmp(what, "signals")) signals();
    else if (!strcmp(what, "links")) links();
    else if (!strcmp(what, "storm")) storm();
    else if (!strcmp(what, "forks")) forks();
    else if (!strcmp(what, "executes")) executes(argv[0]);
    else if (!strcmp(what, "plain")) { plain(); return 0; }
    else if (!strcmp(what, "library")) library();
    else if (!strcmp(what, "fill")) fill();
    else if (!strcmp(what, "scatter")) scatter(argv[2]);
    else if (!strcmp(what, "sharers")) sharers();
    else if (!strcmp(what, "grandchild")) grandchild(argv[2]);
    else if (!strcmp(what, "tables")) tables();
    else if (!strcmp(what, "stack")) stack();
    else if (!strcmp(what, "daemon")) leave_daemon(0);
    else if (!strcmp(what, "chatty-daemon")) leave_daemon(1);
    else return 64;
    puts("ok");
    return 0;
}

using System.Globalization;
using Rpal.Linux;

namespace Rpal.TestMember.Scenarios;

/// <summary>System calls of handlers that the kernel judges by the calling process: limits, personality, clocks, filters. A handler runs on its
/// caller's kernel thread, and its calls are still the service's.</summary>
internal static unsafe class Judged
{
    private const int PageBytes = 4096, ClockGettime = 228, Personality = 135, ProcessClock = 2;
    private const nint ReadImpliesExec = 0x0400000;
    private const int Rounds = 20;

    private static nint s_page;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.AddCaller("judged-by-clock", ByClock);
        scenarios.AddCaller("judged-by-limit", ByLimit);
        scenarios.AddCaller("judged-by-personality", ByPersonality);
        scenarios.AddCaller("judged-by-filter", ByFilter);
    }

    /// <summary>CPU time of the process whose handler this is, in ns.</summary>
    public static long ProcessTime()
    {
        long* time = stackalloc long[2];
        nint r = Sys.Invoke(ClockGettime, ProcessClock, (nint)time);
        return r < 0 ? r : time[0] * 1_000_000_000 + time[1];
    }

    /// <summary>Makes a private page writable that is not.</summary>
    /// <returns>0 or -errno.</returns>
    public static long Protect()
    {
        if (s_page == 0)
        {
            s_page = Sys.Mmap(0, PageBytes, Prot.None, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        }

        int r = Sys.Mprotect(s_page, PageBytes, Prot.Read | Prot.Write);
        return r < 0 ? r : Sys.Mprotect(s_page, PageBytes, Prot.Read);
    }

    /// <summary>Whether the page that <see cref="Protect"/> has made readable is executable.</summary>
    public static long IsExecutable() =>
        File.ReadLines("/proc/self/maps").Single(l => l.StartsWith(s_page.ToString("x", CultureInfo.InvariantCulture), StringComparison.Ordinal)).Split(' ')[1].Contains('x', StringComparison.Ordinal) ? 1 : 0;

    private static void ByClock(RpalConnection work)
    {
        const long apartNs = 1_500_000_000;
        long limit = work.Do(Deed.ProcessTime) + apartNs;
        while (ProcessTime() < 2 * limit)
        {
            Thread.SpinWait(1000);
        }

        for (int i = 0; i < Rounds; i++)
        {
            long time = work.Do(Deed.ProcessTime);
            Check.That(time > 0 && time < limit, $"the service has used {time} ns, this process {ProcessTime()}");
        }
    }

    private static void ByLimit(RpalConnection work)
    {
        const int data = 2;
        ulong* limits = stackalloc ulong[4];
        Check.Equal(0L, work.Do(Deed.Protect));
        Check.Equal(0, (int)Sys.Invoke(SyscallNumber.Prlimit64, 0, data, 0, (nint)limits));
        (limits[2], limits[3]) = (PageBytes, limits[1]);
        Span<long> results = stackalloc long[Rounds];
        Check.Equal(0, (int)Sys.Invoke(SyscallNumber.Prlimit64, 0, data, (nint)(limits + 2), 0));
        for (int i = 0; i < Rounds; i++)
        {
            _ = work.Call(Methods.Do, new Order(Deed.Protect, 0), ref results[i], Calls.Soon);
        }

        Check.Equal(0, (int)Sys.Invoke(SyscallNumber.Prlimit64, 0, data, (nint)limits, 0));
        Check.That(results.IndexOfAnyExcept(0) < 0, $"{string.Join(' ', results.ToArray())}");
    }

    private static void ByPersonality(RpalConnection work)
    {
        Check.Equal(0L, work.Do(Deed.Protect));
        nint before = Sys.Invoke(Personality, unchecked((nint)0xFFFFFFFF));
        _ = Sys.Invoke(Personality, before | ReadImpliesExec);
        for (int i = 0; i < Rounds; i++)
        {
            Check.Equal(0L, work.Do(Deed.Protect));
        }

        _ = Sys.Invoke(Personality, before);
        Check.Equal(0L, work.Do(Deed.IsExecutable));
    }

    /// <summary>On a thread of its own, which keeps the filter: a runtime whose membarrier is refused ends its process.</summary>
    private static void ByFilter(RpalConnection work) => Check.Parallel(1, _ =>
    {
        const uint offsetNumber = 0;
        SockFilter[] filter =
        [
            new(BpfCode.LoadWordAbsolute, offsetNumber),
            new(BpfCode.JumpIfEqual, (uint)SyscallNumber.Membarrier, 0, 1),
            new(BpfCode.Return, SeccompReturn.Errno | (uint)Errno.EPERM),
            new(BpfCode.Return, SeccompReturn.Allow),
        ];
        work.Do(Deed.Collect);
        fixed (SockFilter* instructions = filter)
        {
            SockFprog program = new() { Length = (ushort)filter.Length, Filter = instructions };
            Check.Equal(0, Sys.Prctl(PrctlOp.SetNoNewPrivileges, 1, 0, 0, 0));
            Check.Equal(0, Sys.Seccomp(SeccompOp.SetModeFilter, 0, &program));
        }

        for (int i = 0; i < Rounds; i++)
        {
            work.Do(Deed.Collect);
        }
    });
}

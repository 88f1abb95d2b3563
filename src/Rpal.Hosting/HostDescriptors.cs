using Rpal.Linux;

namespace Rpal.Hosting;

/// <summary>What the host needs of its RLIMIT_NOFILE, and what it says when that is used up.</summary>
/// <remarks>
/// Members have tables of their own and use none of the host's numbers. The limit can be lowered while the host runs (prlimit(1)): then nothing can
/// be opened, in this process and in none of the runtime's, which opens a pipe for every thread that it starts.
/// </remarks>
internal static class HostDescriptors
{
    /// <summary>Open as long as a member runs: its seccomp listener, its process, the two pipes of its output.</summary>
    public const int PerMember = 4;

    /// <summary>Needed to start a member: its own, the pipes' other ends, /dev/null, a file that is read, and a pipe for each of two threads that start at the same time.</summary>
    public const int PerStart = PerMember + 2 + 1 + 1 + 4;

    /// <summary>Of all members together: connections from <c>rpal ps</c> and others, the keeper, and what is opened for a moment.</summary>
    public const int Shared = Control.ControlServer.ConnectionLimit + Keeping.KeeperLink.Descriptors + PerStart;

    /// <summary>At most <paramref name="wanted"/>, found out by taking them for a moment.</summary>
    public static int Free(int wanted)
    {
        Span<int> taken = stackalloc int[wanted];
        int count = 0, any = Sys.Open("/dev/null", OpenFlags.ReadOnly | OpenFlags.CloseOnExec);
        while (any >= 0 && count < wanted)
        {
            taken[count++] = any;
            any = count < wanted ? Sys.DuplicateFrom(taken[0], 0) : any;
        }

        foreach (int fd in taken[..count])
        {
            _ = Sys.Close(fd);
        }

        return count;
    }

    /// <exception cref="MemberStartException">The limit is too low for a family of that size.</exception>
    public static void RequireFor(int members)
    {
        int needed = members * PerMember + Shared;
        if (Free(needed) is var free && free < needed)
        {
            throw new MemberStartException(125, $"A family of {members} needs {needed} descriptors in the host ({PerMember} a member and {Shared} for all): {Found(free)}");
        }
    }

    /// <exception cref="MemberStartException">A member cannot be started now.</exception>
    public static void RequireForStart(string member)
    {
        if (Free(PerStart) is var free && free < PerStart)
        {
            throw new MemberStartException(125, $"{member}: a start needs {PerStart} descriptors in the host: {Found(free)}");
        }
    }

    /// <summary>Whether something may have failed for want of them, and what to say then; null when there are enough.</summary>
    /// <param name="what">That failed.</param>
    public static string? Shortage(string what) => Free(2) is var free && free < 2 ? $"{what}: {Found(free)}" : null;

    private static string Found(int free) =>
        $"{(free == 0 ? "none is" : $"{free} are")} free, its RLIMIT_NOFILE is {Sys.DescriptorLimit()}. Raise it: prlimit --nofile=N --pid {Environment.ProcessId} while it runs; ulimit -n N or LimitNOFILE=N before.";
}

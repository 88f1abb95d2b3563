using Rpal.Linux;

namespace Rpal.Hosting.Broker;

/// <summary>A system call filter that a member asks for beside the family's. Its forked child has inherited the family's, so it asks in the same way.</summary>
internal enum OwnFilter
{
    /// <summary>One that the kernel adds.</summary>
    Possible,

    /// <summary>Strict mode: refused.</summary>
    Strict,

    /// <summary>One with a listener: refused.</summary>
    Listener,
}

/// <summary>Finds out which one a call asks for.</summary>
internal static class OwnFilters
{
    /// <summary>Modes of PR_SET_SECCOMP.</summary>
    private const uint ModeStrict = 1, ModeFilter = 2;

    extension(OwnFilter)
    {
        /// <param name="number">The system call's.</param>
        /// <param name="a">Its arguments.</param>
        /// <returns>Null: it asks for none.</returns>
        public static unsafe OwnFilter? Of(long number, ulong* a) => number switch
        {
            SyscallNumber.Seccomp => (uint)a[0] == SeccompOp.SetModeStrict ? OwnFilter.Strict : (a[1] & SeccompFlags.NewListener) != 0 ? OwnFilter.Listener : OwnFilter.Possible,
            SyscallNumber.Prctl when (int)a[0] == PrctlOp.SetSeccomp => (uint)a[1] switch { ModeStrict => OwnFilter.Strict, ModeFilter => OwnFilter.Possible, _ => null },
            _ => null,
        };
    }
}

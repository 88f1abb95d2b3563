using System.Runtime.InteropServices;

namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    /// <summary>SIGRTMIN as libc has it: the signals from 32 up to it are libc's own (cancelling threads, changing the ids of all
    /// threads).</summary>
    /// <returns>34 in glibc, 35 in musl. Source: signal(7), nptl(7).</returns>
    public static int Sigrtmin() => LibcCurrentSigrtmin();

    [LibraryImport("libc", EntryPoint = "__libc_current_sigrtmin")]
    private static partial int LibcCurrentSigrtmin();
}

using Rpal.Hosting.Loading;

namespace Rpal.Hosting.Broker;

/// <summary>A process that a system call names by its number.</summary>
/// <remarks>
/// A number is one of the calling thread's PID namespace, a number in /proc one of the reader's. A member has the host's namespace, a child
/// that shares its memory may have one of its own. Comes back: the number, once the process is reaped, as for every caller of the kernel.
/// </remarks>
internal static class NamedProcess
{
    /// <summary>Whether a number names the caller's own process, by itself or by its calling thread.</summary>
    /// <param name="tid">The calling thread.</param>
    /// <param name="pid">The number; 0: its own.</param>
    public static bool IsOwn(int tid, int pid) => pid == 0 || IsOwn(Numbers(tid), pid);

    /// <summary>Whether a number names a process of this address space. What cannot be told, from inside a PID namespace, counts as one.</summary>
    /// <inheritdoc cref="IsOwn(int, int)"/>
    public static bool SharesMemory(int tid, int pid)
    {
        if (pid == 0)
        {
            return true;
        }

        (int[] process, int[] thread) = Numbers(tid);
        return IsOwn((process, thread), pid) || process.Length > 1 || AddressSpace.IsSharedBy(pid);
    }

    /// <summary>The last number is the innermost namespace's.</summary>
    private static bool IsOwn((int[] Process, int[] Thread) own, int pid) => own.Process.LastOrDefault() == pid || own.Thread.LastOrDefault() == pid;

    /// <summary>A thread's numbers, from this process's namespace inwards. Source: proc_pid_status(5).</summary>
    private static (int[] Process, int[] Thread) Numbers(int tid)
    {
        const string process = "NStgid:", thread = "NSpid:";
        int[] processes = [], threads = [];
        foreach (string line in File.ReadLines($"/proc/{tid}/status"))
        {
            processes = line.StartsWith(process, StringComparison.Ordinal) ? Columns(line[process.Length..]) : processes;
            threads = line.StartsWith(thread, StringComparison.Ordinal) ? Columns(line[thread.Length..]) : threads;
        }

        return (processes, threads);

        static int[] Columns(string text) => [.. text.Split('\t', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
    }
}

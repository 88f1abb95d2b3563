using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Memory;
using Rpal.Memory.Blocks;
using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

namespace Rpal.MemoryPeer.Roles;

/// <summary>Processes that close a segment while they use it. Part 0 is a pool, 1 a buffer, 2 a semaphore, 3 seats.</summary>
internal static unsafe class CloseRoles
{
    private const long Pause = 34, Fork = 57, MlockAll = 151, ExitGroup = 231;
    private const int MclFuture = 2, DoFork = 11;
    private const int PageBytes = 4096;

    private static nint s_filled;

    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("close", Close);
        roles.Add("close-at-limit", CloseAtLimit);
        roles.Add("close-without-descriptors", CloseWithoutDescriptors);
        roles.Add("close-locked", CloseLocked);
        roles.Add("close-in-child", CloseInChild);
        roles.Add("close-and-exit", CloseAndExit);
        roles.Add("close-kept", CloseKept);
        roles.Add("fork-and-stay", ForkAndStay);
    }

    /// <summary>Holds something of everything, has threads that use it, and closes.</summary>
    private static int Close(Peer peer)
    {
        Segment segment = peer.Receive();
        Hold(segment);
        Use(segment);
        Peer.Say($"holding as {segment.Self.Number}");
        segment.Dispose();
        Peer.Say("closed");
        return Peer.Stay();
    }

    /// <summary>Word: mappings that it can still make when it closes.</summary>
    private static int CloseAtLimit(Peer peer)
    {
        Segment segment = peer.Receive();
        Rehearse();
        Hold(segment);
        Peer.Say($"holding as {segment.Self.Number}");
        int free = peer.Number(0);
        nint last = FillMappings();
        for (int i = 0; i < free; i++)
        {
            _ = Sys.Munmap(last - i * PageBytes, PageBytes);
        }

        segment.Dispose();
        EmptyMappings(last);
        Peer.Say("closed");
        GC.KeepAlive(segment);
        return Peer.Stay();
    }

    /// <summary>Closes when the process can have no descriptor more, and an eventfd was asked for and closed.</summary>
    private static int CloseWithoutDescriptors(Peer peer)
    {
        Segment segment = peer.Receive();
        Rehearse();
        SharedSemaphore.Open(segment, 2).EventFd.Dispose();
        while (Sys.Open("/dev/null", OpenFlags.CloseOnExec) >= 0)
        {
            // until there are none
        }

        segment.Dispose();
        Peer.Say("closed");
        return Peer.Stay();
    }

    /// <summary>Word: a length. Closes a segment that has it where the kernel fills all that is newly mapped.</summary>
    private static int CloseLocked(Peer peer)
    {
        Segment segment = Segment.Create(peer.Number(0));
        nint r = Sys.Invoke(MlockAll, MclFuture);
        long before = AnonymousKilobytes();
        byte* late = segment.Address;
        segment.Dispose();
        *late = 1;
        Peer.Say(r == 0 ? $"grown by {AnonymousKilobytes() - before} kB" : $"mlockall: {ErrnoText.Describe((int)r)}");
        GC.KeepAlive(segment);
        return 0;
    }

    private static long AnonymousKilobytes() =>
        long.Parse(
            File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon", StringComparison.Ordinal)).Split(' ')[^2],
            CultureInfo.InvariantCulture);

    /// <summary>Closes in a forked child what its parent goes on using.</summary>
    private static int CloseInChild(Peer peer)
    {
        using Segment segment = peer.Receive();
        Rehearse();
        Hold(segment);
        nint child = Sys.Invoke(Fork);
        if (child == 0)
        {
            segment.Dispose();
            _ = Sys.Invoke(ExitGroup, 0);
        }

        _ = Sys.Wait((int)child, WaitOptions.Exited, out SigInfoChild info);
        Peer.Say($"child ended with {info.Status}");
        return Peer.Stay();
    }

    /// <summary>Closes a segment whose memory the kernel does not take away, and drops it: its users are told by the collector's
    /// thread.</summary>
    private static int CloseKept(Peer peer)
    {
        Rehearse();
        RehearseFailing();
        using var told = new CountdownEvent(2);
        CloseWithoutMappings(told);
        for (long until = Environment.TickCount64 + (long)Peer.Patience.TotalMilliseconds; !told.IsSet && Environment.TickCount64 < until;)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Peer.Say(told.IsSet ? "told" : $"{told.CurrentCount} were not told");
        return peer.Words.Length;
    }

    /// <summary>There is no room for code that is first needed without mappings.</summary>
    private static void RehearseFailing()
    {
        using var told = new CountdownEvent(1);
        Segment segment = Segment.Create(1 << 20);
        segment.Attach(new FailingAtEnd(told));
        try
        {
            segment.Dispose();
        }
        catch (InvalidOperationException)
        {
            // as it should
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CloseWithoutMappings(CountdownEvent told)
    {
        Segment segment = Segment.Create(1 << 20);
        segment.Attach(new FailingAtEnd(told));
        segment.Attach(new FailingAtEnd(told));
        nint last = FillMappings();
        segment.Dispose();
        EmptyMappings(last);
    }

    /// <summary>Forks a child that executes nothing, has no descriptor, and stays. Word: "given", if it gets the mapping that keeps the
    /// lock.</summary>
    private static int ForkAndStay(Peer peer)
    {
        Segment segment = peer.Receive();
        if (peer.Words[0] == "given")
        {
            string line = File.ReadLines("/proc/self/maps").Single(l =>
                l.Contains(" ---s ", StringComparison.Ordinal) && !l.Contains("doublemapper", StringComparison.Ordinal));
            nint begin = nint.Parse(line.Split('-')[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            _ = Sys.Madvise(begin, PageBytes, DoFork);
        }

        nint child = Sys.Invoke(Fork);
        if (child == 0)
        {
            _ = Sys.Invoke(SyscallNumber.CloseRange, 0, int.MaxValue);
            while (true)
            {
                _ = Sys.Invoke(Pause);
            }
        }

        Peer.Say($"child {child}");
        GC.KeepAlive(segment);
        return Peer.Stay();
    }

    /// <summary>Ends in the middle of closing.</summary>
    private static int CloseAndExit(Peer peer)
    {
        Segment segment = peer.Receive();
        Hold(segment);
        Use(segment);
        Peer.Say($"holding as {segment.Self.Number}");
        var closer = new Thread(segment.Dispose) { IsBackground = true };
        closer.Start();
        Thread.SpinWait(peer.Number(0));
        return 0;
    }

    /// <summary>Everything is compiled when there is no room for more code, or no other thread.</summary>
    private static void Rehearse()
    {
        const BindingFlags all =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        Type[] types = [typeof(Segment), typeof(Tombstone), typeof(CloseRoles)];
        foreach (MethodInfo method in types.SelectMany(t => t.GetMethods(all)))
        {
            RuntimeHelpers.PrepareMethod(method.MethodHandle);
        }

        using var segment = Segment.Create(1 << 20);
        BlockPool.Create(segment, new BlockPoolOptions { BlockCount = 64, BlockBytes = 64, Caches = 2 });
        OwnedBuffer.Create(segment, 100);
        SharedSemaphore.Create(segment);
        SemaphoreSet.CreateSeats(segment, 1, 64);
        Hold(segment);
        string errno = ErrnoText.Describe(-(int)Errno.ENOMEM);
        Console.Error.WriteLine($"rehearsed with {segment.LengthBytes} bytes at 0x{(long)segment.Address:x}: {errno}");
    }

    private static void Hold(Segment segment)
    {
        _ = BlockPool.Open(segment, 0).TryAllocate(out _);
        _ = OwnedBuffer.Open(segment, 1).TryLockWrite(out _);
        SemaphoreSet.Join(segment, 3).Add(SharedSemaphore.Open(segment, 2));
    }

    private static void Use(Segment segment)
    {
        BlockPool pool = BlockPool.Open(segment, 0);
        for (int i = 0; i < 2; i++)
        {
            new Thread(() =>
            {
                try
                {
                    while (true)
                    {
                        _ = pool.TryAllocate(out Block block) == BlockStatus.Done ? pool.Free(block) : default;
                    }
                }
                catch (ObjectDisposedException)
                {
                    // closed
                }
            })
            { IsBackground = true }.Start();
        }
    }

    /// <summary>One page beside the other, each other than its neighbours, until the kernel refuses.</summary>
    /// <returns>The last.</returns>
    private static nint FillMappings()
    {
        const long room = 1L << 30;
        const int flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve;
        s_filled = Sys.Mmap(0, (nuint)room, Prot.None, flags, -1, 0);
        for (nint page = s_filled; ; page += PageBytes)
        {
            int rights = (page & PageBytes) == 0 ? Prot.Read : Prot.Read | Prot.Write;
            if (page == s_filled + (nint)room || Sys.Mmap(page, PageBytes, rights, flags | MapFlags.Fixed, -1, 0) < 0)
            {
                return page - PageBytes;
            }
        }
    }

    /// <summary>Fails when the segment's memory is gone.</summary>
    private sealed class FailingAtEnd(CountdownEvent told) : ISegmentUser
    {
        void ISegmentUser.OnClosing()
        {
        }

        void ISegmentUser.OnGone()
        {
            told.Signal();
            throw new InvalidOperationException("a user fails when the memory is gone");
        }
    }

    private static void EmptyMappings(nint last) => _ = Sys.Munmap(s_filled, (nuint)(last + PageBytes - s_filled));
}

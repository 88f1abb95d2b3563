using System.Diagnostics;
using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Memory.Buffers;
using Rpal.Memory.Segments;

namespace Rpal.MemoryPeer.Roles;

/// <summary>
/// Buffers guarded by protection keys, all in one program: most CPUs of build machines have no keys, and tests/qemu/keys runs this where an emulated one has. What ends
/// a process is done by a child.
/// </summary>
internal static unsafe class KeyRoles
{
    private const int Length = 4096, Keys = 15;
    private const int Killed = 128 + Signal.SIGSEGV;

    private static readonly OwnedBufferOptions s_byKeys = new() { Level = BufferLevel.GuardedByKeys };

    public static void Add(Dictionary<string, Func<Peer, int>> roles)
    {
        roles.Add("keys", _ => All());
        roles.Add("keys-offend", peer => Offend(peer.Words[0]));
    }

    private static int All()
    {
        if (OwnedBuffer.KeysMissing is { } why)
        {
            Peer.Say($"keys: none: {why}");
            return 2;
        }

        (string Name, Action Check)[] checks =
        [
            ("a lease lets its thread read and write", LeasesLet),
            ("exceptions of faults leave the rights of the lease", () => ExceptionsLeaveRights(default)),
            ("a collection during a lease changes nothing", CollectionsChangeNothing),
            ("two leases of a thread end with the second", TwoLeases),
            ("a read outside ends the process", () => Ends("read", "nobody")),
            ("a write outside ends the process", () => Ends("write", "nobody")),
            ("a write under a read lease ends the process", () => Ends("write-under-read", "1 read it")),
            ("another thread's lease is not one's own", () => Ends("other-thread", "party 0 writes (its thread ")),
            ("an exception after the lease gives no rights", () => Ends("after-exception", "nobody")),
            ("a thread created under a lease has its creator's rights until its own lease ends", () => Ends("created-under-lease", "nobody")),
            ("keys are freed with their buffers", KeysAreFreed),
            ("without a key left there is an error, or system calls", KeysRunOut),
        ];
        int failed = 0;
        foreach ((string name, Action check) in checks)
        {
            try
            {
                check();
                Peer.Say($"passed: {name}");
            }
            catch (Exception e)
            {
                failed++;
                Peer.Say($"failed: {name}: {e}");
            }
        }

        Peer.Say($"keys: {checks.Length - failed} passed, {failed} failed");
        return failed == 0 ? 0 : 1;
    }

    private static void LeasesLet()
    {
        using Segment segment = Make(out OwnedBuffer buffer);
        for (int i = 1; i < 100; i++)
        {
            That(buffer.TryLockWrite(out WriteLease write) == BufferStatus.Taken);
            BufferContent.Fill(write.Bytes, (ulong)i);
            write.Dispose();
            That(buffer.TryLockRead(out ReadLease read) == BufferStatus.Taken);
            That(BufferContent.IsWhole(read.Bytes));
            read.Dispose();
        }
    }

    /// <summary>The runtime leaves its signal handler without telling the kernel.</summary>
    private static void ExceptionsLeaveRights(int zero)
    {
        using Segment segment = Make(out OwnedBuffer buffer);
        for (int i = 1; i < 20; i++)
        {
            That(buffer.TryLockWrite(out WriteLease write) == BufferStatus.Taken);
            That(Throws<NullReferenceException>(static _ => Nothing().Length, 0));
            BufferContent.Fill(write.Bytes, (ulong)i);
            That(Throws<DivideByZeroException>(static n => 100 / n, zero));
            BufferContent.Fill(write.Bytes, (ulong)i);
            That(BufferContent.IsWhole(write.Bytes));
            write.Dispose();
        }
    }

    private static void CollectionsChangeNothing()
    {
        using Segment segment = Make(out OwnedBuffer buffer);
        bool stop = false;
        int collected = 0;
        var collector = new Thread(() =>
        {
            for (; !Volatile.Read(ref stop); Volatile.Write(ref collected, collected + 1))
            {
                GC.Collect(0);
            }
        });
        collector.Start();
        for (int i = 1; Volatile.Read(ref collected) < 50; i++)
        {
            That(buffer.TryLockWrite(out WriteLease write) == BufferStatus.Taken);
            BufferContent.Fill(write.Bytes, (ulong)i);
            That(BufferContent.IsWhole(write.Bytes));
            write.Dispose();
        }

        Volatile.Write(ref stop, true);
        Peer.Ends(collector);
    }

    private static void TwoLeases()
    {
        using Segment segment = Make(out OwnedBuffer buffer);
        That(buffer.TryLockRead(out ReadLease first) == BufferStatus.Taken);
        That(buffer.TryLockRead(out ReadLease second) == BufferStatus.Taken);
        first.Dispose();
        That(second.Bytes[^1] == 0);
        second.Dispose();
    }

    private static void KeysAreFreed()
    {
        for (int i = 0; i < 100; i++)
        {
            using Segment segment = Make(out OwnedBuffer buffer);
            That(buffer.Level == BufferLevel.GuardedByKeys);
            That(buffer.TryLockWrite(out WriteLease write) == BufferStatus.Taken);
            write.Bytes.Fill(1);
            write.Dispose();
        }
    }

    private static void KeysRunOut()
    {
        using Segment segment = Segment.Create(1 << 20);
        for (int i = 0; i < Keys; i++)
        {
            _ = OwnedBuffer.Create(segment, Length, s_byKeys);
        }

        try
        {
            _ = OwnedBuffer.Create(segment, Length, s_byKeys);
            throw new InvalidOperationException("a 16th key");
        }
        catch (OwnedBufferException e) when (e.Error == OwnedBufferError.NoKeys)
        {
            Peer.Say(e.Message);
        }

        OwnedBuffer other = OwnedBuffer.Create(segment, Length, s_byKeys with { FallBack = true });
        That(other.Level == BufferLevel.Guarded && other.Means == GuardMeans.Protect);
        That(other.TryLockWrite(out WriteLease write) == BufferStatus.Taken);
        write.Bytes.Fill(1);
        write.Dispose();

        // Another user of the same memory: without a key for it, that is an error, unless its maker allowed for it.
        using (Segment mine = Make(out _, full: true), theirs = Segment.Open(mine.File))
        {
            That(OwnedBuffer.Open(theirs, 0).Level == BufferLevel.Guarded);
        }
    }

    private static Segment Make(out OwnedBuffer buffer, bool full = false)
    {
        Segment segment = Segment.Create(1 << 20);
        buffer = OwnedBuffer.Create(segment, Length, s_byKeys with { FallBack = full });
        return segment;
    }

    private static void Ends(string deed, string holder)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string word in (string[])[.. Environment.GetCommandLineArgs()[0].EndsWith(".dll", StringComparison.Ordinal) && Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : (string[])[], "0", "keys-offend", deed])
        {
            start.ArgumentList.Add(word);
        }

        using Process child = Process.Start(start)!;
        Task<string> output = child.StandardOutput.ReadToEndAsync(), errors = child.StandardError.ReadToEndAsync();
        That(child.WaitForExit(Peer.Patience) && Task.WhenAll(output, errors).Wait(Peer.Patience), "it did not end");
        string said = output.Result, message = errors.Result;
        That(said.Trim() == "now", $"it said: {said} {message}");
        That(child.ExitCode == Killed, $"exit code {child.ExitCode}: {message}");
        foreach (string part in (string[])[$"{Length} bytes at 0x", $"GuardedByKeys, was accessed outside a lease by process {child.Id}, party 0: it ends here. Rule: ", $"Holder: {holder}", "The access came from thread "])
        {
            That(message.Contains(part, StringComparison.Ordinal), $"'{part}' is missing: {message}");
        }
    }

    private static int Offend(string deed)
    {
        Segment segment = Make(out OwnedBuffer buffer);
        byte* bytes = segment.Find(0, PartKind.OwnedBuffer).Address;
        using var taken = new ManualResetEventSlim();
        var other = new Thread(() =>
        {
            That(taken.Wait(Peer.Patience), "nothing was taken");
            Now();
            bytes[5] = 1;
            Peer.Say("survived");
            Environment.Exit(0);
        });
        other.Start();                                           // before there is any lease
        switch (deed)
        {
            case "read":
                Use(buffer);
                Now();
                Peer.Say($"read {bytes[5]}");
                break;
            case "write":
                Use(buffer);
                Now();
                bytes[5] = 1;
                break;
            case "write-under-read":
                _ = buffer.TryLockRead(out _);
                Now();
                bytes[5] = 1;
                break;
            case "other-thread":
                _ = buffer.TryLockWrite(out WriteLease write);
                write.Bytes.Fill(3);
                taken.Set();
                Peer.Ends(other);
                break;
            case "after-exception":
                Use(buffer);
                That(Throws<NullReferenceException>(static _ => Nothing().Length, 0));
                Now();
                bytes[5] = 1;
                break;
            case "created-under-lease":
                CreatedUnderLease(buffer, bytes);
                break;
            default:
                throw new ArgumentException(deed);
        }

        Peer.Say("survived");
        return 0;
    }

    private static void CreatedUnderLease(OwnedBuffer buffer, byte* bytes)
    {
        _ = buffer.TryLockWrite(out WriteLease lease);
        using var ended = new ManualResetEventSlim();
        var created = new Thread(() =>
        {
            bytes[5] = 1;                                        // its creator's rights
            That(ended.Wait(Peer.Patience), "the lease has not ended");
            Use(buffer);
            Now();
            bytes[5] = 1;
        });
        created.Start();
        lease.Dispose();
        ended.Set();
        Peer.Ends(created);
    }

    private static void Use(OwnedBuffer buffer)
    {
        That(buffer.TryLockWrite(out WriteLease lease) == BufferStatus.Taken);
        BufferContent.Fill(lease.Bytes, 7);
        lease.Dispose();
    }

    private static void Now() => Peer.Say("now");

    private static bool Throws<T>(Func<int, int> deed, int argument)
        where T : Exception
    {
        try
        {
            return deed(argument) > int.MaxValue - 1;
        }
        catch (T)
        {
            return true;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string Nothing() => Environment.GetEnvironmentVariable("RPAL_NO_SUCH_VARIABLE")!;

    private static void That(bool condition, string? what = null, [CallerArgumentExpression(nameof(condition))] string? expression = null)
    {
        if (!condition)
        {
            throw new InvalidOperationException($"{what} [{expression}]");
        }
    }
}

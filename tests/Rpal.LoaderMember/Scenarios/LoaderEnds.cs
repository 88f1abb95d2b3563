using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Rpal.LoaderMember.Scenarios;

/// <summary>The ways a .NET program ends.</summary>
internal static class LoaderEnds
{
    public static int Exit(string[] args) => int.Parse(args[0]);

    public static int Abort(string[] args)
    {
        Environment.FailFast("as the test asked");
        return 0;
    }

    public static int Unhandled(string[] args) => throw new InvalidOperationException("as the test asked");

    /// <summary>A fault that the runtime turns into an exception: its own SIGSEGV handler must run.</summary>
    public static int NullReference(string[] args)
    {
        int caught = 0;
        for (int i = 0; i < 100; i++)
        {
            try
            {
                _ = Length(null!);
            }
            catch (NullReferenceException)
            {
                caught++;
            }
        }

        Console.WriteLine($"caught {caught}");
        return caught == 100 ? 0 : 1;
    }

    /// <summary>The runtime must find the main thread's real stack limits to say so.</summary>
    public static int Overflow(string[] args) => Deeper(1);

    /// <summary>Says "ready", then waits until somebody opens the named pipe for writing and closes it.</summary>
    public static int Hold(string[] args)
    {
        Console.WriteLine("ready");
        using FileStream pipe = File.OpenRead(args[0]);
        _ = pipe.ReadByte();
        Console.WriteLine("released");
        return 0;
    }

    /// <summary>Ends with code 9 on SIGTERM, through the runtime's own signal handling.</summary>
    public static int Graceful(string[] args)
    {
        using var asked = new ManualResetEventSlim();
        using PosixSignalRegistration registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            asked.Set();
        });
        Console.WriteLine("ready");
        Patient.Came(asked.Wait(Patient.Limit), "a signal");
        return 9;
    }

    /// <summary>Maps and unmaps without a pause, so that the host is always in the middle of an answer.</summary>
    private static void MapUntil(ManualResetEventSlim asked)
    {
        while (!asked.IsSet)
        {
            using var file = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateNew(null, 1 << 16);
            using var view = file.CreateViewAccessor();
            view.Write(0, 1);
        }
    }

    /// <summary>On SIGTERM: work that needs memory, threads and the collector, then a file; ends by itself with code 0. A second argument: so many threads map memory until then.</summary>
    public static int Cleanup(string[] args)
    {
        using var asked = new ManualResetEventSlim();
        using PosixSignalRegistration registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            asked.Set();
        });
        Thread[] mappers = [.. Enumerable.Range(0, args.Length > 1 ? int.Parse(args[1]) : 0).Select(_ => new Thread(() => MapUntil(asked)))];
        Array.ForEach(mappers, t => t.Start());
        Console.WriteLine("ready");
        Patient.Came(asked.Wait(Patient.Limit), "a signal");
        Array.ForEach(mappers, Patient.Ends);
        Console.WriteLine("cleaning");
        const int blocks = 64, blockBytes = 4 << 20;
        List<byte[]> memory = [];
        long sum = 0;
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(_ => new Thread(() => Interlocked.Add(ref sum, 1)))];
        for (int i = 0; i < blocks; i++)
        {
            byte[] block = new byte[blockBytes];
            block.AsSpan().Fill((byte)i);
            memory.Add(block);
        }

        foreach (Thread t in threads)
        {
            t.Start();
        }

        GC.Collect();
        Array.ForEach(threads, Patient.Ends);
        File.WriteAllText(args[0], $"{memory.Sum(b => (long)b[^1])} {sum}");
        Console.WriteLine("cleaned");
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Length(string text) => text.Length;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Deeper(int depth) => Deeper(depth + 1) + depth;
}

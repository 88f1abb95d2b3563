using System.IO.MemoryMappedFiles;
using System.Runtime;

namespace Rpal.LoaderMember.Scenarios;

/// <summary>Makes the runtime map memory, and shows where it went.</summary>
internal static class LoaderMemory
{
    private const int Rounds = 60;

    /// <summary>Collections, large objects, a file mapping, threads and code; then the address space, line by line.</summary>
    public static int Run(string[] args)
    {
        List<byte[]> kept = [];
        for (int round = 0; round < Rounds; round++)
        {
            kept.Add(new byte[4 << 20]);
            for (int i = 0; i < 10_000; i++)
            {
                _ = new object[16];
            }

            if (round % 10 == 9)
            {
                kept.RemoveRange(0, 5);
                GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }
        }

        string file = Path.Combine(Path.GetTempPath(), $"Rpal.LoaderMember-mapped-{Environment.ProcessId}");
        File.WriteAllBytes(file, new byte[1 << 20]);
        using MemoryMappedFile mapped = MemoryMappedFile.CreateFromFile(file);
        using MemoryMappedViewAccessor view = mapped.CreateViewAccessor();
        view.Write(0, 42);
        foreach (string line in File.ReadAllLines("/proc/self/maps"))
        {
            Console.WriteLine(line);
        }

        File.Delete(file);
        return kept.Count > 0 && view.ReadInt32(0) == 42 ? 0 : 1;
    }

    /// <summary>That many threads at the same time.</summary>
    public static int Threads(string[] args)
    {
        int count = int.Parse(args[0]);
        using var all = new CountdownEvent(count);
        using var release = new ManualResetEventSlim();
        Thread[] threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(() =>
        {
            all.Signal();
            Patient.Came(release.Wait(Patient.Limit), "the others");
        }))];
        Array.ForEach(threads, t => t.Start());
        Patient.Came(all.Wait(Patient.Limit), "all threads");
        release.Set();
        Array.ForEach(threads, Patient.Ends);
        Console.WriteLine($"threads {count}");
        return 0;
    }

    public static int Collector(string[] args)
    {
        long sum = 0;
        Parallel.For(0, 200, _ =>
        {
            byte[][] garbage = [.. Enumerable.Range(0, 100).Select(n => new byte[1000 + n])];
            Interlocked.Add(ref sum, garbage[^1].Length);
        });
        GC.Collect();
        Console.WriteLine($"server {GCSettings.IsServerGC}");
        return sum == 200 * 1099 ? 0 : 1;
    }
}

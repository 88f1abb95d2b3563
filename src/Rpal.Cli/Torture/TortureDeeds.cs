using System.Runtime.CompilerServices;
using Rpal.Linux;

namespace Rpal.Cli.Torture;

/// <summary>What handlers do, each a way in which a foreign context may be left or ended. All return what <see cref="TortureMessage.ValueOf"/> expects.</summary>
internal static class TortureDeeds
{
    private static readonly Lock s_lock = new();

    [ThreadStatic]
    private static object?[]? t_survivors;

    public static ulong Do(in RequestHeader q, Nested nested)
    {
        switch (q.Deed)
        {
            case Deed.Compute: return TortureMessage.Compute(q.Checksum, q.Argument);
            case Deed.NullReference: return q.Checksum ^ (ulong)CatchNullReference();
            case Deed.DivideByZero: return q.Checksum ^ (ulong)CatchDivision(q.Argument & 0);
            case Deed.Throw: throw new InvalidOperationException($"as told {q.Checksum:x}");
            case Deed.File: UseFiles(q.Argument); break;
            case Deed.InPlace: UseInPlace(); break;
            case Deed.Allocate: Allocate(q.Argument); break;
            case Deed.Collect: GC.Collect(q.Argument % 3); break;
            case Deed.NestedAtHome: UseFiles(0); nested.Call(in q); break;
            case Deed.Nested: nested.Call(in q); break;
            case Deed.Sleep: Pace.Run((int)(1 + q.Argument % 5)); break;
        }

        return q.Checksum + (ulong)q.Deed;
    }

    /// <summary>Garbage, and some of it survives until the place is used again.</summary>
    public static void Allocate(int seed)
    {
        object?[] survivors = t_survivors ??= new object?[64];
        for (int i = 0; i < 200; i++)
        {
            byte[] b = new byte[16 + (seed + i * 37) % 2000];
            b[^1] = (byte)i;
            survivors[(seed + i * 7 & int.MaxValue) % survivors.Length] = b;
        }
    }

    private static int CatchNullReference()
    {
        try
        {
            return Nothing()!.Length;
        }
        catch (NullReferenceException)
        {
            return 42;
        }
    }

    private static int CatchDivision(int zero)
    {
        try
        {
            return 1 / zero;
        }
        catch (DivideByZeroException)
        {
            return 42;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static string? Nothing() => null;

    private static void UseFiles(int n)
    {
        if (!Directory.Exists("/"))
        {
            throw new IOException("The root directory is not there.");
        }

        if (n % 8 == 0)
        {
            using FileStream file = File.OpenRead("/proc/self/stat");
            if (file.ReadByte() < '0')
            {
                throw new IOException("/proc/self/stat is no number.");
            }
        }
    }

    private static void UseInPlace()
    {
        lock (s_lock)
        {
            Thread.Yield();
        }

        _ = Sys.Invoke(SyscallNumber.ClockGetres);
    }
}

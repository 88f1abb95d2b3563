using System.Globalization;
using System.Runtime.CompilerServices;
using Rpal.Linux;
using Rpal.Memory.Segments;

namespace Rpal.TestMember.Scenarios;

/// <summary>Segments that a member closes in its slot: what lies there then.</summary>
internal static unsafe class Closings
{
    private const nuint Length = 16 << 20;
    private const int Collections = 50;

    public static void Add(Dictionary<string, Func<string[], int>> scenarios) =>
        scenarios.Add("closings-leave", args => Leave(isLocked: args[0] == "locked"));

    /// <summary>The tombstone is all of the place, empty, and the member's alone; it goes with the segment's object.</summary>
    private static int Leave(bool isLocked)
    {
        if (isLocked)
        {
            Check.Equal(0, (int)Sys.Invoke(SyscallNumber.Mlockall, LockFlags.Future));
        }

        nint at = CloseOne();
        for (int i = 0; i < Collections && Tombstone.IsAt(at, (long)Length); i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Check.That(!Tombstone.IsAt(at, (long)Length), "nothing refers to the segment any more");
        Check.That(Rights(at, out _, out _) is "" or "---p", Line(at));
        using Segment again = Segment.Create((long)Length);
        again.Address[0] = 1;
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint CloseOne()
    {
        Segment segment = Segment.Create((long)Length);
        var at = (nint)segment.Address;
        segment.Address[Length - 1] = 7;
        Check.Equal("rw-s", Rights(at, out _, out _));
        segment.Dispose();
        Check.Equal("rw-p", Rights(at, out nint begin, out nint end));
        Check.That(begin <= at && end >= at + (nint)Length, Line(at));
        Check.That(!Line(at).Contains("memfd", StringComparison.Ordinal), Line(at));
        Check.Equal(0, Resident(at));
        byte* late = (byte*)at;
        Check.Equal(0, late[Length - 1]);
        late[0] = 1;                                             // the step that a thread was in the middle of
        Check.That(Resident(at) >= 1);
        GC.KeepAlive(segment);
        return at;
    }

    /// <summary>Pages of the place that have memory.</summary>
    private static int Resident(nint at)
    {
        var pages = new byte[(int)Length / Environment.SystemPageSize];
        fixed (byte* states = pages)
        {
            Check.Equal(0, Sys.Mincore(at, Length, states));
        }

        return pages.Count(state => (state & 1) != 0);
    }

    private static string Rights(nint at, out nint begin, out nint end)
    {
        string line = Line(at);
        string[] range = line.Split(' ')[0].Split('-');
        begin = line.Length == 0 ? 0 : nint.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        end = line.Length == 0 ? 0 : nint.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return line.Length == 0 ? "" : line.Split(' ')[1];
    }

    /// <summary>What the kernel says lies at an address, or "".</summary>
    private static string Line(nint at) => File.ReadLines("/proc/self/maps").FirstOrDefault(line =>
    {
        string[] range = line.Split(' ')[0].Split('-');
        return nint.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture) <= at
            && at < nint.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    }) ?? "";
}

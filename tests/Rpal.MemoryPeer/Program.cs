using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rpal.Memory.Segments;
using Rpal.MemoryPeer.Roles;

namespace Rpal.MemoryPeer;

/// <summary>The other process of a test: its socket's number, a role, and the role's words.</summary>
internal static class Program
{
    private static readonly Dictionary<string, Func<Peer, int>> s_roles = [];

    private static int Main(string[] args)
    {
        SegmentRoles.Add(s_roles);
        CloseRoles.Add(s_roles);
        BlockRoles.Add(s_roles);
        BufferRoles.Add(s_roles);
        KeyRoles.Add(s_roles);
        WaitingRoles.Add(s_roles);
        PerCpuRoles.Add(s_roles);
        using var socket = new SafeFileHandle(int.Parse(args[0], CultureInfo.InvariantCulture), ownsHandle: true);
        return s_roles[args[1]](new Peer(socket, args[2..]));
    }
}

/// <summary>What a role has.</summary>
/// <param name="Socket">To the test.</param>
/// <param name="Words">The role's arguments.</param>
internal sealed record Peer(SafeFileHandle Socket, string[] Words)
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public Segment Receive(bool requireSharedAddress = true) => SegmentTransfer.Receive(Socket, Patience, requireSharedAddress);

    public int Number(int word) => int.Parse(Words[word], CultureInfo.InvariantCulture);

    /// <summary>Waits for threads that have been told to end, or have nothing left to wait for.</summary>
    /// <exception cref="TimeoutException">One has not ended.</exception>
    public static void Ends(params Thread[] threads)
    {
        foreach (Thread thread in threads)
        {
            if (!thread.Join(Patience))
            {
                throw new TimeoutException($"A thread has not ended in {Patience.TotalSeconds} s.");
            }
        }
    }

    /// <summary>For the test, which waits for such lines.</summary>
    public static void Say(string line)
    {
        Console.Out.WriteLine(line);
        Console.Out.Flush();
    }

    /// <summary>Until the test kills this process.</summary>
    public static int Stay()
    {
        Thread.Sleep(Timeout.Infinite);
        return 0;
    }
}
